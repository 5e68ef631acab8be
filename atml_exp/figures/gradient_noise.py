"""How noisy the gradients of single examples are as training goes on, and in which directions."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, log_axis, rows
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

NET, REGRESSION = "net", "linear regression"
LATE = 0.25
"""The last part of a run over which the noise scale is averaged (chosen by us)."""

MCCANDLISH, ZHU = "McCandlish et al. 2018", "Zhu et al. 2019"


class Spectrum(NamedTuple):
    """Of one run: eigenvalues of Σ at its first and last reading; at the last the top k with their curvatures."""

    first: np.ndarray
    last: np.ndarray
    noise: np.ndarray
    curvature: np.ndarray


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: noise scale, dashed: the batch size; middle: eigenvalues of Σ; right: noise against curvature."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    net = table[table["sweep"] == NET]
    _scales(left, net)
    _spectra(middle, [_spectrum(d) for d in net["directory"].unique()])
    _alignment(right, table)
    return figure


def _scales(axes: Axes, net: pd.DataFrame) -> None:
    _, mean = band(axes, rows(net, "gradient_noise/noise_scale"), "epoch", BLUE)
    size = float(net["recipe.batch_size"].iloc[0])
    axes.axhline(size, color=GREY, linestyle="--", linewidth=2)
    log_axis(axes)
    axes.set_xlim(0, net["epoch"].max())
    axes.set_xlabel("epoch")
    axes.set_ylabel("noise scale (examples)")
    label_lines(axes, {"noise\nscale": (float(mean[-1]), BLUE), "batch\nsize": (size, GREY)}, size=16)


def _spectra(axes: Axes, found: list[Spectrum]) -> None:
    labels = {}
    for name, which, colour in (("start", 0, VERMILLION), ("end", 1, BLUE)):
        values = np.stack([spectrum[which] for spectrum in found])[:, :100]
        rank = np.arange(1, values.shape[1] + 1)
        axes.plot(rank, values.mean(0), color=colour)
        axes.fill_between(rank, values.min(0), values.max(0), color=colour, alpha=0.22, linewidth=0)
        labels[name] = (float(values.mean(0)[-1]), colour)
    axes.set(xscale="log", yscale="log", xlabel="rank of eigenvalue")
    axes.set_ylabel(r"eigenvalues of $\Sigma$")
    label_lines(axes, labels, size=16)


def _alignment(axes: Axes, table: pd.DataFrame) -> None:
    looks = {NET: (BLUE, "o", "net, end"), REGRESSION: (GREEN, "s", "regression")}
    curvatures = []
    for sweep, (colour, marker, label) in looks.items():
        for i, directory in enumerate(table.loc[table["sweep"] == sweep, "directory"].unique()):
            found = _spectrum(directory)
            shown = found.curvature > 0
            points = found.curvature[shown], found.noise[shown]
            axes.plot(*points, marker, color=colour, alpha=0.75, label=label if i == 0 else None)
            curvatures.append(points[0])
    ends = np.array([min(c.min() for c in curvatures), max(c.max() for c in curvatures)])
    axes.plot(ends, _residual_variance(table) * ends, "--", color=GREY, label=r"$\Sigma = \sigma^2 H$", zorder=1)
    at_random = last_values(rows(table[table["sweep"] == NET], "gradient_noise/curvature_at_random"))[
        "value"
    ].mean()
    if at_random > 0:
        axes.axvline(at_random, color=VERMILLION, linestyle=":")
        axes.annotate(
            "random directions", (at_random, 0.98), (-4, 0), xycoords=("data", "axes fraction"), rotation=90,
            textcoords="offset points", color=VERMILLION, va="top", ha="right", size=15,
        )  # fmt: skip
        axes.set_xlim(left=at_random / 4)
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel(r"curvature $v^\top H v$")
    axes.set_ylabel(r"noise variance $v^\top \Sigma v$")
    axes.legend(loc="lower right", fontsize=14.5, handlelength=1.2, labelspacing=0.35, borderaxespad=0.1)


def _residual_variance(table: pd.DataFrame) -> float:
    """σ² of the linear regression, twice its loss; 1 where it wasn't run."""
    loss = last_values(rows(table[table["sweep"] == REGRESSION], "train/loss"))["value"]
    return 2 * float(loss.mean()) if len(loss) else 1.0


def _spectrum(directory: str) -> Spectrum:
    run = Run(directory)
    eigenvalues = run.array("gradient_noise/eigenvalues")[1]
    curvatures = run.array("gradient_noise/curvatures")[1][-1]
    known = np.isfinite(curvatures)
    noise = eigenvalues[-1][: len(curvatures)][known[: eigenvalues.shape[1]]]
    return Spectrum(eigenvalues[0], eigenvalues[-1], noise, curvatures[known])


def claims(table: pd.DataFrame) -> list[Claim]:
    """Does noise grow against signal; is it where the loss is curved; and is it what theory says."""
    net, regression = (table[table["sweep"] == sweep] for sweep in (NET, REGRESSION))
    return [
        Claim(
            MCCANDLISH,
            "the noise scale grows as the loss falls (last quarter, to the start)",
            by_seed(rows(net, "gradient_noise/noise_scale"), _growth),
            ">=",
            1,
        ),
        Claim(
            ZHU,
            "curvature along the noise, to that along random directions (least of all readings)",
            by_seed(net, _least_anisotropy),
            ">=",
            1,
        ),
        Claim(
            ZHU,
            "the noisier a direction, the more curved (Kendall's $τ$ at the end)",
            by_seed(net, _rank_correlation),
            ">=",
            0,
        ),
        Claim(
            "theory",
            "linear regression: $Σ = σ^2 H$ at the minimum (distance; 10 % chosen by us)",
            by_seed(_own_data_as_seed(regression), lambda t: 100 * _distance(t)),
            "<=",
            10,
            "%",
        ),
    ]


def _growth(scale: pd.DataFrame) -> float:
    late = scale[scale["step"] >= (1 - LATE) * scale["step"].max()]
    return float(late["value"].mean() / scale.sort_values("step")["value"].iloc[0])


def _least_anisotropy(net: pd.DataFrame) -> float:
    along, at_random = (
        rows(net, f"gradient_noise/curvature_{name}").set_index("step")["value"]
        for name in ("along_noise", "at_random")
    )
    return float((along / at_random).min())


def _rank_correlation(net: pd.DataFrame) -> float:
    found = _spectrum(net["directory"].iloc[0])
    return float(kendalltau(found.noise, found.curvature).statistic)


def _own_data_as_seed(regression: pd.DataFrame) -> pd.DataFrame:
    """The regressions differ in their data."""
    return regression.assign(seed=regression["dataset.seed"]) if "dataset.seed" in regression else regression


def _distance(regression: pd.DataFrame) -> float:
    found = _spectrum(regression["directory"].iloc[0])
    return float(np.mean(np.abs(found.noise / (_residual_variance(regression) * found.curvature) - 1)))
