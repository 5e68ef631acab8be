"""Test risk by width and by sample size: in closed form, on random features and in a net (Belkin et al. 2019)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, last_values, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, VERMILLION, label_lines, new_figure, slide
from atml_exp.theory import min_norm_risk

__all__ = ["claims", "draw"]

WIDTH, RIDGE = "model.width", "recipe.ridge"
BY_WIDTH, BY_SIZE, FEATURES, NET = "least norm", "sample size", "random features", "net"
BELKIN, NAKKIRAN = "Belkin, Hsu & Xu 2020", "Nakkiran et al. 2020"
NEAR = 0.5
"""Widths nearer to n than this share of it stay out of the comparison with theory: risks vary too much there."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Two panels with theory drawn in, two on digits with wrong labels; dotted: the interpolation threshold."""
    figure = new_figure(13.333, 4.6)
    parts = {name: table[table["sweep"] == name] for name in (BY_WIDTH, BY_SIZE, FEATURES, NET)}
    panels = figure.subplots(1, 4)
    _by_width(panels[0], parts[BY_WIDTH])
    _by_size(panels[1], parts[BY_SIZE])
    _features(panels[2], parts[FEATURES])
    _net(panels[3], parts[NET])
    names = ("features p", "examples n", "random features", "width of the net")
    for axes, label in zip(panels, names, strict=True):
        axes.set_xlabel(label)
    panels[0].set_title("test risk")
    panels[1].set_title("test risk")
    panels[2].set_title("test error (%)")
    panels[3].set_title("test error (%)")
    return figure


def _theory(axes: Axes, x: np.ndarray, risk: list[float], threshold: float) -> None:
    axes.plot(x, risk, color=BLACK, linewidth=1.8, zorder=1)
    axes.axvline(threshold, color=GREY, linestyle=":", linewidth=2, zorder=0)


def _points(axes: Axes, part: pd.DataFrame, x: str) -> None:
    """Mean over data sets, and the middle half of them."""
    grouped = _risks(part).groupby(x)["value"]
    axes.plot(grouped.mean().index, grouped.mean(), "o", color=BLUE, zorder=3)
    axes.vlines(grouped.mean().index, grouped.quantile(0.25), grouped.quantile(0.75), color=BLUE, alpha=0.5)


def _by_width(axes: Axes, part: pd.DataFrame) -> None:
    if not len(part):
        return
    n, d = int(part["num_train"].iloc[0]), int(part["dataset.dimension"].iloc[0])
    p = np.arange(1, d + 1)
    _theory(axes, p, [_risk(part, n, int(k)) for k in p], n)
    _points(axes, part, WIDTH)
    axes.set_yscale("log")
    axes.set_ylim(0.5, 100)
    log_axis(axes)


def _by_size(axes: Axes, part: pd.DataFrame) -> None:
    if not len(part):
        return
    p = int(part[WIDTH].iloc[0])
    n = np.arange(int(part["num_train"].min()), int(part["num_train"].max()) + 1)
    _theory(axes, n, [_risk(part, int(k), p) for k in n], p)
    _points(axes, part, "num_train")
    axes.set_yscale("log")
    axes.set_ylim(0.5, 100)
    log_axis(axes)


def _features(axes: Axes, part: pd.DataFrame) -> None:
    labels = {}
    for ridge, runs in each(_errors(part), RIDGE):
        colour, label = (VERMILLION, "ridge") if ridge > 0 else (BLUE, "least\nnorm")
        _, mean = band(axes, runs, WIDTH, colour, scale=100, marker="o", markersize=4)
        labels[label] = (float(mean[-1]), colour)
    if len(part):
        axes.axvline(int(part["num_train"].iloc[0]), color=GREY, linestyle=":", linewidth=2, zorder=0)
        log_axis(axes, "x")
        axes.set_ylim(0, 100)
        label_lines(axes, labels, size=13)


def _net(axes: Axes, part: pd.DataFrame) -> None:
    if not len(part):
        return
    labels = {}
    for name, label, colour in (("test/error", "test", BLUE), ("train/error", "training", GREEN)):
        runs = last_values(rows(part, name))
        _, mean = band(axes, runs, WIDTH, colour, scale=100, marker="o", markersize=4)
        labels[label] = (float(mean[-1]), colour)
    axes.axvline(_fits(part), color=GREY, linestyle=":", linewidth=2, zorder=0)
    log_axis(axes, "x")
    axes.set_ylim(0, 100)
    label_lines(axes, labels, size=13)


def _risks(part: pd.DataFrame) -> pd.DataFrame:
    """Test risks E(y − f)²: twice the loss."""
    last = last_values(rows(part, "test/loss"))
    return last.assign(value=2 * last["value"])


def _errors(part: pd.DataFrame) -> pd.DataFrame:
    return last_values(rows(part, "test/error"))


def _risk(part: pd.DataFrame, n: int, p: int) -> float:
    """In theory, the mean over teachers too, which are uniform on the sphere."""
    d = int(part["dataset.dimension"].iloc[0])
    return min_norm_risk(n, p, np.full(d, d**-0.5), float(part["dataset.noise_std"].iloc[0]) ** 2)


def _fits(part: pd.DataFrame) -> float:
    """The least width at which the mean training error is 0, as at all larger ones; NaN where none is."""
    mean = last_values(rows(part, "train/error")).groupby(WIDTH)["value"].mean()
    above = mean.index[mean > 0]
    fitted = mean.index[mean.index > (above.max() if len(above) else -1)]
    return float(fitted.min()) if len(fitted) else float("nan")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Against the closed form; the second descent and its peak; what a penalty does; the same of a net."""
    parts = {name: table[table["sweep"] == name] for name in (BY_WIDTH, BY_SIZE, FEATURES, NET)}
    features = _errors(parts[FEATURES])
    plain, ridge = features[features[RIDGE] == 0], features[features[RIDGE] > 0]
    return [
        Claim(
            BELKIN,
            "least norm: risks are the closed form's, where $|p − n| ≥ n/2$ (largest deviation of means)",
            _deviation(parts[BY_WIDTH]),
            "<=",
            10,
            "%",
        ),
        Claim(
            "Nakkiran 2019",
            "more examples can hurt: orders of magnitude of the risk at $n = p$ above that at $n = p/2$",
            by_seed(_risks(parts[BY_SIZE]), _hurt),
            ">=",
            0,
        ),
        Claim(
            "Belkin et al. 2019",
            "random features: the test error peaks where they are as many as examples (quotient; bound ours)",
            by_seed(plain, lambda t: _quotient(_peak(t), float(t["num_train"].iloc[0]))),
            "<=",
            1.25,
        ),
        Claim(
            "Belkin et al. 2019",
            "the widest does better than the best below the threshold (difference of errors)",
            by_seed(plain, _classical_less_widest),
            ">=",
            0,
            "%",
        ),
        Claim(
            "Nakkiran et al. 2021",
            "with a ridge there is no peak (largest rise from one width to the next; bound ours)",
            by_seed(ridge, lambda t: float(100 * t.sort_values(WIDTH)["value"].diff().max())),
            "<=",
            1,
            "%",
        ),
        Claim(
            NAKKIRAN,
            "net: beyond the width that fits all examples, wider is better (error there less the widest's)",
            by_seed(_errors(parts[NET]), lambda t: _net_descends(t, _fits(parts[NET]))),
            ">=",
            0,
            "%",
        ),
        Claim(
            NAKKIRAN,
            "net: and up to there it gets worse (error there less the least of narrower ones)",
            by_seed(_errors(parts[NET]), lambda t: _net_ascends(t, _fits(parts[NET]))),
            ">=",
            0,
            "%",
        ),
    ]


def _deviation(part: pd.DataFrame) -> tuple[float, ...]:
    """In per cent; one number, of the means over seeds."""
    if not len(part):
        return (float("nan"),)
    n = int(part["num_train"].iloc[0])
    mean = _risks(part).groupby(WIDTH)["value"].mean()
    far = mean[np.abs(mean.index.to_numpy() - n) >= NEAR * n]
    theory = np.array([_risk(part, n, int(p)) for p in far.index])
    return (float(100 * np.abs(far / theory - 1).max()),)


def _hurt(risks: pd.DataFrame) -> float:
    """A logarithm, since at n = p the risk has no finite mean."""
    p = int(risks[WIDTH].iloc[0])
    at = risks.set_index("num_train")["value"]
    return float(np.log10(at.loc[p] / at.loc[p // 2]))


def _peak(errors: pd.DataFrame) -> float:
    return float(errors[WIDTH].to_numpy()[np.nanargmax(errors["value"])])


def _quotient(a: float, b: float) -> float:
    """The larger by the smaller."""
    return max(a / b, b / a)


def _classical_less_widest(errors: pd.DataFrame) -> float:
    below = errors[errors[WIDTH] < errors["num_train"]]
    return float(100 * (below["value"].min() - errors.sort_values(WIDTH)["value"].iloc[-1]))


def _net_descends(errors: pd.DataFrame, threshold: float) -> float:
    at = errors.set_index(WIDTH)["value"].sort_index()
    return float(100 * (at.loc[threshold] - at.iloc[-1]))


def _net_ascends(errors: pd.DataFrame, threshold: float) -> float:
    at = errors.set_index(WIDTH)["value"].sort_index()
    return float(100 * (at.loc[threshold] - at.loc[: threshold - 1].min()))
