"""Attributions of digits by eight methods, how far these agree, and where theory says that they must."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import new_slide, slide
from atml_exp.pictures.attribution import METHODS, UNSIGNED, heat_map, image_panel, recorded_methods
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

DIGITS, TABLE, LINEAR = "digits", "table", "linear"
SHOWN = 5
SHARES = ("gradient_input", "integrated_gradients", "occlusion", "lime", "kernel_shap", "exact_shap")
SHORT = {
    "saliency": "saliency",
    "smoothgrad": "SmoothGrad",
    "grad_cam": "Grad-CAM",
    "gradient_input": "grad × input",
    "integrated_gradients": "int. gradients",
    "occlusion": "occlusion",
    "lime": "LIME",
    "kernel_shap": "kernel SHAP",
}


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: five digits of the first seed and their maps. Right: correlations between the methods."""
    figure = new_slide()
    left, right = np.ravel(figure.subfigures(1, 2, width_ratios=(1.95, 1)))  # type: ignore[arg-type]
    runs = _runs(table, DIGITS)
    if runs:
        _maps(left, runs[0])
    _correlations(right.subplots(), runs)
    return figure


def _maps(figure: SubFigure, run: Run) -> None:
    found = recorded_methods(run, "attribution")
    inputs, targets = (_array(run, key) for key in ("input", "target"))
    count = min(SHOWN, len(inputs))
    panels = figure.subplots(count, 1 + len(found), squeeze=False)
    for k, row in enumerate(panels):
        image_panel(row[0], inputs[k])
        row[0].set_ylabel(f"class {int(targets[k])}", fontsize=15)
        for axes, (method, values) in zip(row[1:], found.items(), strict=True):
            heat_map(axes, values[k], unsigned=method in UNSIGNED)
            if k == 0:
                title = (
                    METHODS[method] if "\n" in METHODS[method] else METHODS[method].replace("SmoothG", "Smooth\nG")
                )
                axes.set_title(title.replace("integrated", "integr."), fontsize=12.5, loc="center")
    panels[0, 0].set_title("input", fontsize=12.5, loc="center")


def _correlations(axes: Axes, runs: list[Run]) -> None:
    axes.set_title("Spearman's $ρ$ of |maps|", fontsize=16)
    axes.grid(False)
    if not runs:
        return
    names, values = _methods(runs[0]), np.mean([_in_order(run) for run in runs], 0)
    axes.imshow(values, cmap="cividis", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        axes.text(
            j,
            i,
            f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−"),
            ha="center",
            va="center",
            size=12,
            color="white" if value < 0.55 else "black",
        )
    axes.set_xticks(range(len(names)), [SHORT[n] for n in names], rotation=45, ha="right", fontsize=13)
    axes.set_yticks(range(len(names)), [SHORT[n] for n in names], fontsize=13)


def _runs(table: pd.DataFrame, sweep: str) -> list[Run]:
    """By seed."""
    part = table[table["sweep"] == sweep].drop_duplicates("run_id").sort_values("seed", kind="stable")
    return [Run(Path(directory)) for directory in part["directory"]]


def _array(run: Run, key: str) -> np.ndarray:
    return np.asarray(run.array(f"attribution/{key}")[1][-1], dtype=float)


def _methods(run: Run) -> list[str]:
    return list(recorded_methods(run, "attribution"))


def _in_order(run: Run) -> np.ndarray:
    """The correlations (M, M), recorded in the order of the config, in that of METHODS."""
    recorded = list(run.config["probe"]["attribution"]["fn"]["methods"])
    place = [recorded.index(name) for name in _methods(run)]
    return _array(run, "ranks")[np.ix_(place, place)]


def claims(table: pd.DataFrame) -> list[Claim]:
    """Completeness, what is exact on small tables and linear models, and who agrees with whom."""
    digits, small, linear = (table[table["sweep"] == sweep] for sweep in (DIGITS, TABLE, LINEAR))
    return [
        Claim(
            "Sundararajan et al. 2017",
            "CNN: integrated gradients with 50 steps sum to $F(x) − F(x')$ (error)",
            by_seed(digits, lambda t: 100 * _metric(t, "completeness_error/integrated_gradients")),
            "<=",
            5,
            "%",
        ),
        Claim(
            "Lundberg & Lee 2017",
            "10 features: kernel SHAP is exact SHAP (relative difference)",
            by_seed(small, lambda t: _metric(t, "kernel_shap_error")),
            "<=",
            1e-9,
        ),
        Claim(
            "Shapley 1953",
            "10 features: Shapley values sum to $F(x) − F(x')$ (error)",
            by_seed(small, lambda t: _metric(t, "completeness_error/exact_shap")),
            "<=",
            1e-9,
        ),
        Claim(
            "Simonyan et al. 2014",
            "linear model: saliency is $|w|$ (relative difference)",
            by_seed(linear, lambda t: _off_weights(_run(t))),
            "<=",
            1e-6,
        ),
        Claim(
            "theory",
            "linear model: six methods say $w(x − x')$ (relative difference)",
            by_seed(linear, lambda t: _off_shares(_run(t))),
            "<=",
            1e-6,
        ),
        Claim(
            "Sundararajan & Najmi 2020",
            "MLP: SHAP is nearer to integrated gradients than to gradient × input (by $Δρ$; bound ours)",
            by_seed(small, lambda t: _nearer(_run(t), "exact_shap", "integrated_gradients", "gradient_input")),
            ">=",
            0,
        ),
        Claim(
            "Smilkov et al. 2017",
            "CNN: saliency is nearer to SmoothGrad than to Grad-CAM (by $Δρ$; bound ours)",
            by_seed(digits, lambda t: _nearer(_run(t), "saliency", "smoothgrad", "grad_cam")),
            ">=",
            0,
        ),
    ]


def _metric(runs: pd.DataFrame, key: str) -> float:
    return float(last_values(rows(runs, f"attribution/{key}"))["value"].iloc[0])


def _run(runs: pd.DataFrame) -> Run:
    return Run(Path(runs["directory"].iloc[0]))


def _weights(run: Run) -> np.ndarray:
    """Of a linear model with one output, (d,); the bias comes last."""
    return np.asarray(run.array("trajectory/weights")[1][-1], dtype=float)[:-1]


def _off_weights(run: Run) -> float:
    weights = np.abs(_weights(run))
    return float(np.abs(_array(run, "saliency") - weights).max() / weights.max())


def _off_shares(run: Run) -> float:
    """The baseline is 0."""
    expected = _array(run, "input") * _weights(run)
    return max(float(np.abs(_array(run, name) - expected).max() / np.abs(expected).max()) for name in SHARES)


def _nearer(run: Run, to: str, one: str, other: str) -> float:
    names, values = _methods(run), _in_order(run)
    return float(values[names.index(to), names.index(one)] - values[names.index(to), names.index(other)])
