"""One model under every definition of fairness, and which gaps can be closed together as base rates move apart."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import each, last_values, rows
from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION, label_lines, new_slide, slide
from atml_exp.impossibility import odds, positive_predictive_value
from atml_exp.runs import Run

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "left: the first seed, 95 % intervals; else mean and range over seeds, dashed: theory"
NAMES = {
    "demographic_parity": "demographic parity",
    "equal_opportunity": "equal opportunity",
    "equalised_odds": "equalised odds",
    "predictive_parity": "predictive parity",
    "balance_positive": "balance, $Y=1$",
    "balance_negative": "balance, $Y=0$",
    "calibration": "calibration",
}
DRAWN = {"selection": ("selection", BLUE), "tpr": ("TPR", VERMILLION), "ppv": ("PPV", PURPLE)}
APART, BASE = "difference", "dataset.base_rates"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Gaps of one model; differences of rates under one threshold and under equalised odds, by base rates."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    table = _with_difference(table)
    _definitions(left, table[table["seed"] == table["seed"].min()])
    labels = [
        _differences(middle, table, _one_threshold, _theory_of_one),
        _differences(right, table, _equalised, _theory_of_equalised),
    ]
    middle.set_title("one threshold")
    right.set_title("equalised odds")
    limits = [limit for axes in (middle, right) for limit in axes.get_ylim()]
    for axes in (middle, right):
        axes.set_ylim(min(limits), max(limits))
        axes.set_xlabel("difference of base rates")
    middle.set_ylabel("difference of rates, B − A")
    for axes, of in zip((middle, right), labels, strict=True):
        label_lines(axes, of)
    return figure


def _definitions(axes: Axes, table: pd.DataFrame) -> None:
    """Gaps with intervals where base rates are equal, and where they are furthest apart."""
    for shift, apart, colour in ((0.14, min, GREY), (-0.14, max, BLACK)):
        part = table[table[APART] == apart(table[APART])]
        values = {n: [_last(part, f"fairness/{n}{end}") for end in ("", "_low", "_high")] for n in NAMES}
        gap, low, high = np.array(list(values.values())).T
        at = np.arange(len(NAMES))[::-1] + shift
        axes.hlines(at, low, high, color=colour, linewidth=3, alpha=0.6)
        axes.plot(gap, at, "o", color=colour, markeredgecolor="white", label=_percent(part))
    axes.set_yticks(np.arange(len(NAMES))[::-1], list(NAMES.values()))
    axes.set_xlim(-0.01, None)
    axes.set_xlabel("gap between the groups")
    axes.set_title("one model")
    axes.legend(loc="lower right", title="base rates", fontsize=14, title_fontsize=14)


def _differences(
    axes: Axes,
    table: pd.DataFrame,
    rates_of: Callable[[str], dict[str, np.ndarray]],
    theory: Callable[[pd.DataFrame], dict[str, np.ndarray]],
) -> dict[str, tuple[float, str]]:
    """Signed differences by base rates' difference, and theory's, dashed."""
    found, labels = _by_difference(table, rates_of), {}
    lines = {apart: theory(part) for apart, part in each(table, APART)}
    for name, (label, colour) in DRAWN.items():
        at = np.array(list(found))
        values = np.array([found[a][name] for a in found])
        axes.plot(at, values.mean(1), "o-", color=colour, markersize=6)
        axes.fill_between(at, values.min(1), values.max(1), color=colour, alpha=0.22, linewidth=0)
        axes.plot(at, [_difference(lines[a][name]) for a in found], "--", color=BLACK, linewidth=1.6, zorder=5)
        labels[label] = (float(values[-1].mean()), colour)
    axes.axhline(0, color=GREEN, linewidth=1.2, zorder=0)
    return labels


def claims(table: pd.DataFrame) -> list[Claim]:
    """Equal base rates; each rule's rates in closed form as they move apart; calibration and balance."""
    table = _with_difference(table)
    furthest = table[table[APART] == table[APART].max()]
    equal = table[table[APART] == 0]
    return [
        Claim(
            "theory",
            "equal base rates: no rate differs between groups (largest difference in s.e.; bound ours)",
            (_largest(equal, _one_threshold, lambda _: {}),),
            "<=",
            5,
        ),
        Claim(
            "theory",
            "one threshold: rates differ as theory says (largest deviation in s.e.; bound ours)",
            (_largest(table, _one_threshold, _theory_of_one),),
            "<=",
            5,
        ),
        Claim(
            "Hardt et al. 2016",
            "equalised odds: TPR, FPR agree, selection and PPV can't (from theory, in s.e.; bound ours)",
            (_largest(table, _equalised, _theory_of_equalised),),
            "<=",
            5,
        ),
        Claim(
            "Kleinberg et al. 2016",
            "the score is calibrated in each group (largest error; bound ours)",
            by_seed(rows(table, "fairness/calibration_worst"), lambda t: float(t["value"].max())),
            "<=",
            0.05,
        ),
        Claim(
            "Kleinberg et al. 2016",
            r"so balance fails: $(δ_- + o_B δ_+)/((1-E_A[s|1])(o_B - o_A))$, odds $o$, is 1 (in s.e.; bound ours)",
            (_from_one(furthest),),
            "<=",
            5,
        ),
    ]


def _largest(
    table: pd.DataFrame,
    rates_of: Callable[[str], dict[str, np.ndarray]],
    theory: Callable[[pd.DataFrame], dict[str, np.ndarray]],
) -> float:
    """|mean over seeds of a difference − theory's (0 if it has none)| in standard errors, over rates and rows."""
    found = []
    for apart, differences in _by_difference(table, rates_of).items():
        expected = theory(table[table[APART] == apart])
        for name, values in differences.items():
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
            found.append(abs(values.mean() - _difference(expected.get(name, np.zeros(2)))) / error)
    return float(max(found, default=np.nan)) if np.isfinite(found).all() else float("nan")


def _from_one(table: pd.DataFrame) -> float:
    """|mean over seeds of `_forced` − 1| in standard errors: of a sample E[s] is not just the base rate."""
    forced = np.array(by_seed(table, lambda t: _forced(str(t["directory"].iloc[0]))))
    if len(forced) < 2:
        return float("nan")
    return float(abs(forced.mean() - 1) / (forced.std(ddof=1) / len(forced) ** 0.5))


def _by_difference(
    table: pd.DataFrame, rates_of: Callable[[str], dict[str, np.ndarray]]
) -> dict[float, dict[str, np.ndarray]]:
    """{difference of base rates: {rate: (S,), the groups' difference under each seed}}."""
    found = {}
    for apart, part in each(table, APART):
        runs = [rates_of(str(d)) for d in dict.fromkeys(part["directory"])]
        found[float(apart)] = {name: np.array([_difference(r[name]) for r in runs]) for name in runs[0]}
    return found


def _one_threshold(directory: str) -> dict[str, np.ndarray]:
    return {name: _array(directory, f"fairness/{name}") for name in ("selection", "tpr", "fpr", "ppv")}


def _equalised(directory: str) -> dict[str, np.ndarray]:
    """In expectation, on the test split."""
    selection, fpr, tpr = _array(directory, "threshold_optimiser/test_rates_expected").T
    ppv = positive_predictive_value(_array(directory, "fairness/base_rate"), fpr, 1 - tpr)
    return {"selection": selection, "tpr": tpr, "fpr": fpr, "ppv": ppv}


def _theory_of_one(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """The best score is above ½ where d·x > −log odds, of x ~ N(±d/2, 1)."""
    p, d = _population(table)
    return _rates(p, norm.cdf(d / 2 + np.log(odds(p)) / d), norm.cdf(-d / 2 + np.log(odds(p)) / d))


def _theory_of_equalised(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Groups with one ROC curve, half of all positive: the threshold x > 0 for both."""
    p, d = _population(table)
    return _rates(p, norm.cdf(d / 2), norm.cdf(-d / 2))


def _rates(p: np.ndarray, tpr: np.ndarray, fpr: np.ndarray) -> dict[str, np.ndarray]:
    selection = p * tpr + (1 - p) * fpr
    return {"selection": selection, "tpr": tpr, "fpr": fpr, "ppv": positive_predictive_value(p, fpr, 1 - tpr)}


def _forced(directory: str) -> float:
    """1 of a score that is right on average, o_A < o_B and E_A[s|1] < E_B[s|1]: see `negative_balance`."""
    names = ("base_rate", "positive_mean", "negative_mean")
    p, positive, negative = (_array(directory, f"fairness/{name}") for name in names)
    a, b = odds(p)
    return float((np.ptp(negative) + b * np.ptp(positive)) / ((1 - positive[0]) * (b - a)))


def _population(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(base rates, distances of the class means), by group."""
    row = table.iloc[0]
    return np.array(json.loads(row[BASE]), dtype=float), np.array(
        json.loads(row["dataset.separations"]), dtype=float
    )


def _with_difference(table: pd.DataFrame) -> pd.DataFrame:
    """With the column of the last group's base rate less the first's."""
    return table.assign(**{APART: [round(json.loads(p)[-1] - json.loads(p)[0], 9) for p in table[BASE]]})


def _percent(table: pd.DataFrame) -> str:
    return ", ".join(f"{100 * p:.0f}" for p in json.loads(table[BASE].iloc[0])) + " %"


def _difference(by_group: np.ndarray) -> float:
    return float(by_group[-1] - by_group[0])


def _last(table: pd.DataFrame, name: str) -> float:
    return float(last_values(rows(table, name))["value"].iloc[0])


def _array(directory: str, name: str) -> np.ndarray:
    return np.asarray(Run(directory).array(name)[1][-1])
