"""Slices of the loss by batch size, and training's path in its principal plane (Li et al. 2018)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed, kendall
from atml_exp.figures.contours import contour_levels, draw_path, loss_contours
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLUE, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

BATCH = "recipe.batch_size"
LI, ANTOGNINI = "Li et al. 2018", "Antognini & Sohl-Dickstein 2018"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: loss on random lines, smallest and largest B; centre: on a plane, one seed; right: training's path."""
    figure = new_slide()
    sizes = sorted(table[BATCH].unique())
    small, large = sizes[0], sizes[-1]
    parts = figure.subplot_mosaic(
        [["lines", "small", "path"], ["lines", "large", "path"]], width_ratios=[1.1, 0.75, 1.1]
    )
    _lines(parts["lines"], table, {small: BLUE, large: VERMILLION})
    planes = {key: _array(_first(table, size), "landscape") for key, size in (("small", small), ("large", large))}
    levels = contour_levels(np.stack([p["loss"] for p in planes.values()]), 7)
    for key, size in (("small", small), ("large", large)):
        _plane(parts[key], planes[key], levels, f"B = {size:g}")
    parts["large"].set_xlabel("random direction")
    _path(parts["path"], _array(_first(table, small), "trajectory_plane"), small)
    return figure


def _first(table: pd.DataFrame, size: Any) -> Run:
    """The run of this batch size with the first of the seeds."""
    chosen = table[table[BATCH] == size].sort_values("seed", kind="stable")
    return Run(chosen["directory"].iloc[0])


def _array(run: Run, probe: str) -> dict[str, np.ndarray]:
    keys = {"landscape": ("coordinates", "loss"), "slices": ("coordinates", "loss")}
    names = keys.get(probe, ("axes", "loss", "path", "variance"))
    return {key: np.asarray(run.array(f"{probe}/{key}")[1][-1], dtype=float) for key in names}


def _lines(axes: Axes, table: pd.DataFrame, colours: dict[Any, str]) -> None:
    """The mean over directions and seeds, and the range of the seeds."""
    labels = {}
    for size, colour in colours.items():
        runs = [Run(d) for d in table.loc[table[BATCH] == size, "directory"].unique()]
        found = [_array(run, "slices") for run in runs]
        at, losses = found[0]["coordinates"], np.stack([f["loss"].mean(0) for f in found])
        axes.plot(at, losses.mean(0), color=colour)
        axes.fill_between(at, losses.min(0), losses.max(0), color=colour, alpha=0.22, linewidth=0)
        labels[f"B = {size:g}"] = (float(losses.mean(0)[-1]), colour)
    axes.set_xlim(-1, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("move relative to the filters")
    axes.set_ylabel("training loss on random lines")
    label_lines(axes, labels, size=15)


def _plane(axes: Axes, plane: dict[str, np.ndarray], levels: np.ndarray, title: str) -> None:
    loss_contours(axes, plane["coordinates"], plane["coordinates"], plane["loss"][0], levels)
    axes.plot(0, 0, "+", color="black", markersize=12, markeredgewidth=2.4)
    axes.set_title(title)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])


def _path(axes: Axes, plane: dict[str, np.ndarray], size: Any) -> None:
    loss_contours(axes, plane["axes"][0], plane["axes"][1], plane["loss"])
    draw_path(axes, plane["path"])
    first, second = 100 * plane["variance"][:2]
    axes.set_title(f"path of training, B = {size:g}")
    axes.set_xlabel(f"1st component ({first:.0f} %)")
    axes.set_ylabel(f"2nd ({second:.0f} %)")


def claims(table: pd.DataFrame) -> list[Claim]:
    """Is the large batch's landscape sharper, does sharper mean worse, is the path flat."""
    rise, plain = (last_values(rows(table, f"{name}/rise")) for name in ("slices", "plain"))
    error = last_values(rows(table, "test/error")).set_index("run_id")["value"]
    explained, walk = (last_values(rows(table, f"trajectory_plane/{key}")) for key in ("explained", "walk"))
    excess = explained.assign(value=explained["value"].to_numpy() - walk["value"].to_numpy())
    return [
        Claim(
            LI,
            "large batches end sharper (rise of the loss on filter-normalised lines, largest to smallest $B$)",
            by_seed(rise, _ratio),
            ">=",
            1,
        ),
        Claim(
            LI,
            "the sharper, the larger the test error (Kendall's $τ$ over $B$; 0: no relation)",
            by_seed(rise, lambda t: _with_error(t, error)),
            ">=",
            0,
        ),
        Claim(
            LI,
            "without the scaling, sharpness says no more of the test error ($τ$ with it less $τ$ without)",
            _difference(
                by_seed(rise, lambda t: _with_error(t, error)), by_seed(plain, lambda t: _with_error(t, error))
            ),
            ">=",
            0,
        ),
        Claim(
            LI,
            "two directions hold at least 40 % of the variance of training's path (least of all $B$)",
            by_seed(explained, lambda t: 100 * t["value"].min()),
            ">=",
            40,
            "%",
        ),
        Claim(
            ANTOGNINI,
            "control: that is more than of a random walk as long (difference, least of all $B$)",
            by_seed(excess, lambda t: 100 * t["value"].min()),
            ">=",
            0,
            "%",
        ),
    ]


def _ratio(rise: pd.DataFrame) -> float:
    at = rise.sort_values(BATCH)["value"]
    return float(at.iloc[-1] / at.iloc[0])


def _with_error(rise: pd.DataFrame, error: pd.Series) -> float:
    return kendall(rise.assign(error=rise["run_id"].map(error)), "error")


def _difference(ones: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(ones, others, strict=True))
