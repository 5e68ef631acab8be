"""The Hessian's spectrum over training: a bulk at 0 and as many outliers as classes, which hold the gradient."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, each, log_axis, rows
from atml_exp.figures.style import BLACK, BLUE, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.pictures.spectrum import broadened, density_grid
from atml_exp.runs import Run

__all__ = ["claims", "draw", "outliers"]

NORM = "model.normalisation"
GHORBANI = "Ghorbani et al. 2019"
LOWEST = 1e-4
"""Densities below this are cut off."""
BULK = 0.01
"""What counts as 0, as a share of λ_max (chosen by us)."""


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Density at the start and the end; top eigenvalues over epochs; the gradient's share in their subspace."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.1, 1, 1])
    plain = table[table[NORM] == "none"].sort_values("seed", kind="stable")
    first = plain[plain["directory"] == plain["directory"].iloc[0]]
    _densities(left, Run(first["directory"].iloc[0]))
    _eigenvalues(middle, first)
    _shares(right, table)
    for axes in (middle, right):
        axes.set_xlabel("epoch")
    return figure


def _densities(axes: Axes, run: Run) -> None:
    nodes, weights = (run.array(f"spectrum/{key}")[1] for key in ("nodes", "weights"))
    at, width = density_grid(nodes[[0, -1]])
    for index, colour, label in ((-1, BLUE, "at the end"), (0, VERMILLION, "at the start")):
        density = np.maximum(broadened(nodes[index], weights[index], at, width), LOWEST)
        axes.fill_between(at, LOWEST, density, color=colour, alpha=0.35, linewidth=0)
        axes.plot(at, density, color=colour, linewidth=1.8, label=label)
    axes.set_yscale("log")
    axes.set_ylim(bottom=LOWEST)
    axes.set_xlabel(r"eigenvalue $\lambda$ of $\nabla^2 L$")
    axes.set_ylabel("density")
    axes.legend()


def _eigenvalues(axes: Axes, table: pd.DataFrame) -> None:
    """Of one run: as many as classes less one in colour; the largest of the others in grey."""
    values, classes = _recorded(table, "eigenvalues"), int(table["num_classes"].iloc[0])
    epochs = rows(table, "spectrum/lowest").sort_values("step")["epoch"]
    for index, series in enumerate(values.T):
        outlier = index < classes - 1
        axes.plot(epochs, series, color=BLUE if outlier else GREY, linewidth=2 if outlier else 1.2)
    log_axis(axes)
    axes.set_title(f"top {values.shape[1]} eigenvalues")
    label_lines(axes, {f"first {classes - 1}": (values[-1, 0], BLUE), "others": (values[-1, -1], GREY)}, size=15)


def _shares(axes: Axes, table: pd.DataFrame) -> None:
    names = {"none": ("no normalisation", BLUE, "-"), "batch": ("batch norm", VERMILLION, "--")}
    labels = {}
    for norm, runs in each(rows(table, "gradient_alignment/share"), NORM):
        label, colour, style = names.get(norm, (norm, BLACK, ":"))
        _, mean = band(axes, runs, "epoch", colour, scale=100, linestyle=style)
        labels[label.replace(" ", "\n")] = (float(mean[-1]), colour)
    chance = 100 * float(rows(table, "gradient_alignment/chance")["value"].mean())
    axes.axhline(chance, color=GREY, linestyle=":", linewidth=2)
    axes.set_ylim(0, 100)
    axes.set_title("gradient in top subspace (%)")
    label_lines(axes, labels | {"chance": (chance, GREY)}, size=15)


def outliers(eigenvalues: np.ndarray, among: int) -> int:
    """How many of the descending eigenvalues lie above the widest gap, by ratio, within the first `among` + 1.

    >>> outliers(np.array([9.0, 8.0, 7.0, 1.0, 0.9]), 4)
    3
    """
    top = eigenvalues[: among + 1]
    top = top[top > 0]
    return int(np.argmax(top[:-1] / top[1:])) + 1


def claims(table: pd.DataFrame) -> list[Claim]:
    """Of the nets without normalisation unless said."""
    plain = table[table[NORM] == "none"]
    return [
        Claim(
            "Sagun et al. 2017",
            "at most as many eigenvalues stand out as there are classes, 10 (place of the widest gap)",
            by_seed(plain, _outliers_at_end),
            "<=",
            float(table["num_classes"].iloc[0]),
        ),
        Claim(
            "Sagun et al. 2017",
            "most others are near 0 (share within 1 % of $λ_{max}$ at the end; bounds ours)",
            by_seed(plain, _share_near_zero),
            ">=",
            90,
            "%",
        ),
        Claim(
            GHORBANI,
            "negative eigenvalues fade ($|λ_{min}|/λ_{max}$, end to start)",
            by_seed(plain, _fading),
            "<=",
            1,
        ),
        Claim(
            "Gur-Ari et al. 2018",
            "most of the gradient lies in the span of the top 10 eigenvectors (second half of training)",
            by_seed(plain, lambda t: 100 * _late_share(t)),
            ">=",
            50,
            "%",
        ),
        Claim(
            GHORBANI,
            "batch norm suppresses outliers ($λ_1/λ_{10}$, without to with, mean after the start)",
            by_seed(table, lambda t: _prominence(t, "none") / _prominence(t, "batch")),
            ">=",
            1,
        ),
        Claim(
            GHORBANI,
            "with batch norm less of the gradient lies along them (share without less with)",
            by_seed(table, lambda t: 100 * (_late_share(_with(t, "none")) - _late_share(_with(t, "batch")))),
            ">=",
            0,
            "%",
        ),
    ]


def _with(table: pd.DataFrame, norm: str) -> pd.DataFrame:
    return table[table[NORM] == norm]


def _recorded(table: pd.DataFrame, key: str) -> np.ndarray:
    """All readings of an array of the one run."""
    return np.asarray(Run(table["directory"].iloc[0]).array(f"spectrum/{key}")[1], dtype=float)


def _outliers_at_end(table: pd.DataFrame) -> float:
    return outliers(_recorded(table, "eigenvalues")[-1], 2 * int(table["num_classes"].iloc[0]))


def _share_near_zero(table: pd.DataFrame) -> float:
    nodes, weights = _recorded(table, "nodes")[-1], _recorded(table, "weights")[-1]
    near = np.abs(nodes) <= BULK * _recorded(table, "eigenvalues")[-1, 0]  # of NaN: False
    return float(100 * weights[near].sum())


def _fading(table: pd.DataFrame) -> float:
    lowest = rows(table, "spectrum/lowest").sort_values("step")["value"].to_numpy()
    top = _recorded(table, "eigenvalues")[:, 0]
    relative = np.maximum(-lowest, 0) / top
    return float(relative[-1] / relative[0])


def _late_share(table: pd.DataFrame) -> float:
    share = rows(table, "gradient_alignment/share")
    return float(share[share["step"] >= share["step"].max() / 2]["value"].mean())


def _prominence(table: pd.DataFrame, norm: str) -> float:
    values = _recorded(_with(table, norm), "eigenvalues")[1:]
    return float((values[:, 0] / values[:, 9]).mean())
