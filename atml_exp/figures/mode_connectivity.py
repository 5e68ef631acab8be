"""Barriers between nets that share their first steps, and between strangers (Frankle et al. 2020 and others)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, last_values, rows
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

WIDTH, SPLIT = "model.width", "step"
CHILDREN, PROBE = "instability/test_error", "mode_connectivity"
STABLE = 2.0
"""Per cent: below, Frankle et al. (2020) call nets linearly connected."""

PATHS: Mapping[str, tuple[str, str]] = {
    "linear": ("straight\nline", VERMILLION),
    "matched": ("units\nmatched", BLUE),
    "curve": ("Bézier\ncurve", GREEN),
}
FRANKLE, GARIPOV, AINSWORTH = "Frankle et al. 2020", "Garipov et al. 2018", "Ainsworth et al. 2023"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Barrier against the step of the split; test error on paths between strangers; barrier against width."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    _children(left, table)
    _paths(middle, table)
    _widths(right, table)
    return figure


def _children(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title("children of one net")
    found = rows(table, CHILDREN)
    band(axes, found, SPLIT, VERMILLION, scale=100, marker="o", clip_on=False)
    steps = sorted(found[SPLIT].unique())
    axes.set_xscale("symlog", linthresh=max(min([s for s in steps if s > 0], default=1), 1))
    axes.set_xticks(steps, [f"{s:g}" for s in steps])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.set_xlabel("shared steps k")
    axes.set_ylabel("barrier, test error (%)")
    axes.set_ylim(0, max(1.1 * 100 * found["value"].max(), 1.5 * STABLE) if len(found) else 1)
    _stable(axes)


def _stable(axes: Axes) -> None:
    axes.axhline(STABLE, color=GREY, linestyle=":", linewidth=2.5)
    axes.annotate(
        "connected: below 2 %", (1, STABLE), (-4, 4), xycoords=axes.get_yaxis_transform(),
        textcoords="offset points", ha="right", va="bottom", color=GREY, size=14,
    )  # fmt: skip


def _paths(axes: Axes, table: pd.DataFrame) -> None:
    """Mean over seeds, and their range."""
    axes.set_title("nets of other initial weights")
    strangers = table[table["sweep"] == "strangers"]
    labels = {}
    for path, (label, colour) in PATHS.items():
        along = _recorded(strangers, path)
        if len(along):
            place = np.linspace(0, 1, along.shape[1])
            axes.plot(place, along.mean(0), color=colour)
            axes.fill_between(place, along.min(0), along.max(0), color=colour, alpha=0.22, linewidth=0)
            labels[label] = (float(along.mean(0)[along.shape[1] // 2]), colour)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["one", "midway", "other"])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("place on the path")
    axes.set_ylabel("test error (%)")
    label_lines(axes, labels, size=14)


def _recorded(strangers: pd.DataFrame, path: str) -> np.ndarray:
    """(runs, places), per cent; nothing where nothing is recorded."""
    name = f"{PROBE}/{path}_test_error_path"
    directories: list[str] = list(strangers["directory"].unique()) if len(strangers) else []
    return np.array([100 * Run(d).array(name)[1][-1] for d in directories])


def _widths(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title("perceptrons by width")
    labels = {}
    for path, (label, colour) in list(PATHS.items())[:2]:
        found = _barriers(table, path, "widths")
        if len(found):
            _, mean = band(axes, found, WIDTH, colour, scale=100, marker="o", clip_on=False)
            labels[label] = (float(mean[-1]), colour)
    widths = sorted(table.loc[table["sweep"] == "widths", WIDTH].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [f"{w:g}" for w in widths])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.axhline(STABLE, color=GREY, linestyle=":", linewidth=2.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("width")
    axes.set_ylabel("barrier, test error (%)")
    label_lines(axes, labels, size=14)


def _barriers(table: pd.DataFrame, path: str, sweep: str) -> pd.DataFrame:
    return last_values(rows(table, f"{PROBE}/{path}_test_error", sweep=sweep))


def claims(table: pd.DataFrame) -> list[Claim]:
    """Do children connect once they share enough steps; do strangers, on a curve or with their units matched."""
    children = rows(table, CHILDREN).sort_values(SPLIT)
    matched = _barriers(table, "matched", "widths")
    return [
        Claim(
            FRANKLE,
            "children that split at the start are not linearly connected (barrier of the test error, $k = 0$)",
            by_seed(children, lambda t: 100 * t["value"].iloc[0]),
            ">=",
            STABLE,
            "%",
        ),
        Claim(
            FRANKLE,
            "children that share their first steps are (barrier of the test error at the largest $k$)",
            by_seed(children, lambda t: 100 * t["value"].iloc[-1]),
            "<=",
            STABLE,
            "%",
        ),
        Claim(
            GARIPOV,
            "between nets of other initial weights the line has a barrier",
            by_seed(_barriers(table, "linear", "strangers"), lambda t: 100 * t["value"].iloc[0]),
            ">=",
            STABLE,
            "%",
        ),
        Claim(
            GARIPOV,
            "and a curve has none",
            by_seed(_barriers(table, "curve", "strangers"), lambda t: 100 * t["value"].iloc[0]),
            "<=",
            STABLE,
            "%",
        ),
        Claim(
            AINSWORTH,
            "matching units lowers the line's barrier (perceptrons of the largest width; matched to unmatched)",
            by_seed(_both(table), _ratio),
            "<=",
            1,
        ),
        Claim(
            AINSWORTH,
            "in wide perceptrons it leaves none (barrier after matching, largest width)",
            by_seed(matched, lambda t: 100 * t.sort_values(WIDTH)["value"].iloc[-1]),
            "<=",
            STABLE,
            "%",
        ),
        Claim(
            AINSWORTH,
            "the wider, the lower the barrier after matching (largest − smallest width)",
            by_seed(matched, _difference),
            "<=",
            0,
            "%",
        ),
    ]


def _both(table: pd.DataFrame) -> pd.DataFrame:
    parts = [_barriers(table, path, "widths").assign(path=path) for path in ("linear", "matched")]
    return pd.concat(parts, ignore_index=True)


def _ratio(both: pd.DataFrame) -> float:
    widest = both[both[WIDTH] == both[WIDTH].max()].set_index("path")["value"]
    return float(widest["matched"] / widest["linear"])


def _difference(matched: pd.DataFrame) -> float:
    at = matched.sort_values(WIDTH)["value"]
    return 100 * float(at.iloc[-1] - at.iloc[0])
