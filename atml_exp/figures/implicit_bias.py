"""Gradient descent on separable data: loss, norm and direction beside the hard-margin SVM, and where others go."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

LOGISTIC, HINGE, SQUARED, ADAM = "logistic", "hinge", "squared", "Adam"
COLOURS = {LOGISTIC: BLUE, HINGE: GREEN, SQUARED: VERMILLION, ADAM: PURPLE}
SOUDRY = "Soudry et al. 2018"
RATE = "optimiser.learning_rate"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """The logistic loss; ‖w‖ in units of ‖ŵ‖; the angle to ŵ. All against the step, on a logarithmic axis."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _loss(left, table)
    _norm(middle, table)
    _angle(right, table)
    for axes in (left, middle, right):
        axes.set_xlabel("step $t$")
        log_axis(axes, "x")
    return figure


def _loss(axes: Axes, table: pd.DataFrame) -> None:
    loss = _later(rows(table[table["sweep"] == LOGISTIC], "train/loss"))
    limit = loss.assign(value=_squared_norm(loss) / (loss[RATE] * loss["step"]))
    axes.set_title("logistic loss")
    band(axes, loss, "step", BLUE)
    mean = limit.groupby("step")["value"].mean()
    axes.plot(mean.index, mean, "--", color=BLACK, linewidth=1.8, label=r"$‖ŵ‖^2/(ηt)$")
    log_axis(axes, "y")
    axes.legend(loc="lower left")


def _norm(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title(r"norm $‖w‖/‖ŵ‖$")
    labels = {}
    for name in (LOGISTIC, HINGE, SQUARED):
        found = _later(rows(table[table["sweep"] == name], "implicit_bias/norm"))
        _, mean = band(axes, _over_svm(found), "step", COLOURS[name])
        labels[name] = (float(mean[-1]), COLOURS[name])
    line = _asymptote(table[table["sweep"] == LOGISTIC])
    theory = line.groupby("step")["value"].mean()
    axes.plot(theory.index, theory, "--", color=BLACK, linewidth=1.8, label=r"$‖ŵ\,\log(ηt) + \tilde{w}‖/‖ŵ‖$")
    axes.set_ylim(0, None)
    axes.legend(loc="upper left")
    label_lines(axes, labels)


def _angle(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title(r"angle to $ŵ$ (degrees)")
    labels = {}
    for name, colour in COLOURS.items():
        found = _later(rows(table[table["sweep"] == name], "implicit_bias/svm_angle"))
        _, mean = band(axes, found, "step", colour)
        labels[name] = (float(mean[-1]), colour)
    other = _later(rows(table[table["sweep"] == ADAM], "implicit_bias/linf_angle"))
    _, mean = band(axes, other, "step", GREY, linestyle=":")
    labels["Adam to\n$ℓ_∞$ margin"] = (float(mean[-1]), GREY)
    axes.set_ylim(0, None)
    label_lines(axes, labels)


def _later(found: pd.DataFrame) -> pd.DataFrame:
    """Without step 0, where w = 0, for which a logarithmic axis has no place."""
    return found[found["step"] > 0]


def _over_svm(norms: pd.DataFrame) -> pd.DataFrame:
    return norms.assign(value=norms["value"] / np.sqrt(_squared_norm(norms)))


def _squared_norm(found: pd.DataFrame) -> np.ndarray:
    """‖ŵ‖² of each row's run."""
    each = {d: float((_first(d, "svm") ** 2).sum()) for d in found["directory"].unique()}
    return found["directory"].map(each).to_numpy(dtype=float)


def _first(directory: str, key: str) -> np.ndarray:
    """Of what doesn't change while a net of no features trains."""
    return np.asarray(Run(str(directory)).array(f"implicit_bias/{key}")[1][0])


def _asymptote(table: pd.DataFrame) -> pd.DataFrame:
    """‖ŵ log(ηt) + w̃‖/‖ŵ‖ at the measured steps from t = 10/η on."""
    norms = _later(rows(table, "implicit_bias/norm"))
    norms = norms[norms["step"] * norms[RATE] >= 10]
    values = []
    for directory, rate, step in zip(norms["directory"], norms[RATE], norms["step"], strict=True):
        svm, offset = _first(directory, "svm"), _first(directory, "offset")
        values.append(np.linalg.norm(svm * np.log(rate * step) + offset) / np.linalg.norm(svm))
    return norms.assign(value=values)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Rates of the loss and of the norm, and which direction each loss and rule goes to."""
    of = {name: table[table["sweep"] == name] for name in COLOURS}
    return [
        Claim(
            SOUDRY,
            r"the loss falls as $1/t$: $ηt · loss/‖ŵ‖^2$ at the end (distance from 1; bound ours)",
            by_seed(rows(of[LOGISTIC], "train/loss"), _distance_of_loss),
            "<=",
            0.05,
        ),
        Claim(
            SOUDRY,
            "local slope $d‖w‖/d log t$ at the end, over $‖ŵ‖$ (distance from 1; bound ours)",
            by_seed(_over_svm(rows(of[LOGISTIC], "implicit_bias/norm")), lambda t: abs(1 - _slope(t))),
            "<=",
            0.05,
        ),
        Claim(
            SOUDRY,
            "the angle to $ŵ$ keeps falling (at the end, over that at an eighth of the steps)",
            by_seed(rows(of[LOGISTIC], "implicit_bias/svm_angle"), _over_an_eighth),
            "<=",
            1,
        ),
        Claim(
            SOUDRY,
            "the margin still misses less than at an eighth of the steps (what is missing, quotient)",
            by_seed(rows(of[LOGISTIC], "implicit_bias/margin_gap"), _over_an_eighth),
            "<=",
            1,
        ),
        Claim(
            "theory",
            "squared loss from 0: the interpolant of least norm, $X^{+}y$ (relative distance; bound ours)",
            by_seed(rows(of[SQUARED], "implicit_bias/least_squares_distance"), lambda t: _end(t)),
            "<=",
            1e-6,
        ),
        Claim(
            "theory",
            "hinge loss: stands still once all margins are 1 (change of $‖w‖$ in the last half)",
            by_seed(rows(of[HINGE], "implicit_bias/norm"), lambda t: abs(_end(t) - _at(t, 1 / 2))),
            "<=",
            0,
        ),
        Claim(
            SOUDRY,
            "of the three losses the logistic one ends nearest to $ŵ$ (angle, over the least other one)",
            by_seed(_angles(table, (LOGISTIC, HINGE, SQUARED)), _over_others),
            "<=",
            1,
        ),
        Claim(
            "Zhang et al. 2024",
            "Adam is nearer to the direction of the largest $ℓ_∞$ margin than to $ŵ$ (angles, quotient)",
            by_seed(of[ADAM], lambda t: _end_of(t, "linf_angle") / _end_of(t, "svm_angle")),
            "<=",
            1,
        ),
    ]


def _distance_of_loss(loss: pd.DataFrame) -> float:
    last = loss[loss["step"] == loss["step"].max()]
    return abs(1 - float((last["value"] * last[RATE] * last["step"]).iloc[0] / _squared_norm(last)[0]))


def _slope(norms: pd.DataFrame) -> float:
    """By log t, between the middle of the steps and the end."""
    steps = np.log(norms["step"].max()) - np.log(_step_at(norms, 1 / 2))
    return (_end(norms) - _at(norms, 1 / 2)) / float(steps)


def _over_an_eighth(found: pd.DataFrame) -> float:
    return _end(found) / _at(found, 1 / 8)


def _step_at(found: pd.DataFrame, fraction: float) -> int:
    """The first measured step from that fraction of all on."""
    return int(found.loc[found["step"] >= fraction * found["step"].max(), "step"].min())


def _at(found: pd.DataFrame, fraction: float) -> float:
    return float(found.loc[found["step"] == _step_at(found, fraction), "value"].iloc[0])


def _end(found: pd.DataFrame) -> float:
    return _at(found, 1)


def _end_of(table: pd.DataFrame, key: str) -> float:
    return _end(rows(table, f"implicit_bias/{key}"))


def _angles(table: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    found = rows(table, "implicit_bias/svm_angle")
    return found[found["sweep"].isin(names)]


def _over_others(angles: pd.DataFrame) -> float:
    ends = {name: _end(part) for name, part in angles.groupby("sweep", observed=True)}
    return ends.pop(LOGISTIC) / min(ends.values())
