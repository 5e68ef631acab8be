"""The look of every figure: readable from the back row, for colour-blind eyes, and the same bytes each time.

Figures are made with matplotlib's object-oriented interface (no pyplot, no display, no list of open figures):

    @style()
    def draw(table) -> Figure:
        figure = new_figure()
        axes = figure.subplots()
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from threading import RLock
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "finite",
    "label_lines",
    "log_if_wide",
    "new_figure",
    "new_slide",
    "pdf",
    "png",
    "rc",
    "readable_log_ticks",
    "slide",
    "slide_rc",
    "spans_decades",
    "style",
    "svg",
]

BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PURPLE, GREY = "#E69F00", "#56B4E9", "#CC79A7", "#6B6B6B"

PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Okabe & Ito's colours (2008), told apart with any colour vision; their yellow is too faint on white."""

_LOCK = RLock()  # matplotlib's settings belong to the process: one figure is drawn or saved at a time


def rc() -> dict[Any, Any]:
    """Settings for matplotlib: a figure is 7 inches wide, so 14 points fill a fortieth of its width."""
    return {
        "font.size": 14,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
        "mathtext.fontset": "dejavusans",
        "axes.titlesize": 14,
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.labelsize": 14,
        "axes.labelcolor": "#222222",
        "axes.edgecolor": "#444444",
        "axes.linewidth": 1.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.grid": True,
        "axes.grid.which": "major",
        "axes.axisbelow": True,
        "axes.formatter.limits": (-3, 5),
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.8,
        "xtick.labelsize": 12.5,
        "ytick.labelsize": 12.5,
        "xtick.color": "#444444",
        "ytick.color": "#444444",
        "lines.linewidth": 2.4,
        "lines.markersize": 7,
        "lines.solid_capstyle": "round",
        "legend.facecolor": "white",  # lines pass behind the words, not through them
        "legend.edgecolor": "none",
        "legend.framealpha": 0.8,
        "legend.fontsize": 13,
        "figure.facecolor": "white",
        "figure.dpi": 100,
        "savefig.dpi": 200,
        "svg.fonttype": "path",
        "svg.hashsalt": "atml_exp",
    }


def slide_rc() -> dict[Any, Any]:
    """The same look on a slide of 13.33 × 7.5 inches, where 18 points are read from the back row."""
    sizes = {
        "font.size": 18,
        "axes.titlesize": 19,
        "axes.labelsize": 18,
        "xtick.labelsize": 16,
        "ytick.labelsize": 16,
        "legend.fontsize": 16,
        "lines.linewidth": 3.0,
        "lines.markersize": 9,
        "axes.linewidth": 1.3,
        "grid.linewidth": 1.0,
        "savefig.dpi": 150,
    }
    return rc() | sizes


@contextmanager
def style() -> Iterator[None]:
    """Our settings within a `with` block or, as `@style()`, within a function; the caller's own come back."""
    with _LOCK, matplotlib.rc_context(rc()):
        yield


@contextmanager
def slide() -> Iterator[None]:
    """As `style`, for figures that fill a slide."""
    with _LOCK, matplotlib.rc_context(slide_rc()):
        yield


def new_figure(width: float = 7.0, height: float = 4.4) -> Figure:
    """An empty figure of this many inches that finds room for labels by itself."""
    return Figure(figsize=(width, height), layout="constrained")


def new_slide() -> Figure:
    """An empty figure as wide as a slide; the verdicts on its claims are added below it, up to 7.5 inches."""
    return new_figure(13.333, 5.4)


@style()
def svg(figure: Figure) -> str:
    """The figure as an SVG document: text as outlines, no date, the same bytes for the same figure."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


@style()
def png(figure: Figure) -> bytes:
    """The figure as a PNG image of 200 dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@style()
def pdf(figure: Figure) -> bytes:
    """The figure as a PDF: text as outlines of its own font, no date, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return buffer.getvalue()


def finite(values: ArrayLike) -> np.ndarray:
    """The values that are numbers: no NaN, no infinity.

    >>> finite([1.0, float("nan"), float("inf")]).tolist()
    [1.0]
    """
    array = np.asarray(values, dtype=float).ravel()
    return array[np.isfinite(array)]


def spans_decades(values: ArrayLike, decades: float = 1.3) -> bool:
    """Whether positive values range over so many powers of ten that a linear axis would hide the small ones.

    >>> spans_decades([0.01, 1.0]), spans_decades([1.0, 2.0]), spans_decades([])
    (True, False, False)
    """
    array = finite(values)
    positive = array[array > 0]
    return positive.size > 0 and bool(np.log10(positive.max() / positive.min()) >= decades)


def log_if_wide(axes: Axes, values: ArrayLike) -> None:
    """A logarithmic y axis where values are all positive and span decades, else a linear one from 0."""
    array = finite(values)
    if array.size and array.min() > 0 and spans_decades(array):
        axes.set_yscale("log")
        readable_log_ticks(axes)
    elif array.size and array.min() >= 0:
        axes.set_ylim(0, 1.08 * array.max() or 1)


def readable_log_ticks(axes: Axes, which: str = "y") -> None:
    """Ticks as plain numbers at 1, 2, 5 × 10^k; at all k × 10^n below a decade, at powers of ten above two."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    low, high = sorted(axis.get_view_interval())
    few = bool(np.log10(high / low) <= 2.2)
    subs = range(1, 10) if np.log10(high / low) < 0.8 else (1, 2, 5) if few else (1,)
    axis.set_major_locator(ticker.LogLocator(subs=[float(s) for s in subs], numticks=12))
    axis.set_minor_locator(ticker.NullLocator() if few else ticker.LogLocator(subs="auto", numticks=12))
    if low >= 1e-4 and high < 1e5:
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def label_lines(
    axes: Axes, labels: Mapping[str, tuple[float, str]] | Sequence[tuple[str, float, str]], size: float = 13
) -> None:
    """Writes each label at the right edge at its line's height y, in its colour: {text: (y, colour)}.

    Labels that would overlap are pushed apart, keeping their order; heights that aren't finite get no label.
    """
    rows = [(text, y, colour) for text, (y, colour) in labels.items()] if isinstance(labels, Mapping) else labels
    placed = [(text, _height(axes, y), colour) for text, y, colour in rows if np.isfinite(y)]
    placed.sort(key=lambda row: row[1])
    lines = [1 + text.count("\n") for text, _, _ in placed]
    unit = 1.3 * size / 72 / _inches_high(axes)
    heights = [max(y, unit * n / 2) for (_, y, _), n in zip(placed, lines, strict=True)]  # not below the axis
    for (text, _, colour), at in zip(placed, _spread(heights, lines, unit), strict=True):
        axes.text(1.015, at, text, color=colour, size=size, va="center", transform=axes.transAxes, clip_on=False)


def _height(axes: Axes, y: float) -> float:
    """y as a fraction of the axes' height, within [0, 1]."""
    at = axes.transAxes.inverted().transform(axes.transData.transform((axes.get_xlim()[0], y)))[1]
    return float(np.clip(at, 0, 1)) if np.isfinite(at) else 0.0


def _inches_high(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    return float(axes.get_window_extent().height / figure.dpi)


def _spread(heights: Sequence[float], lines: Sequence[int], unit: float) -> list[float]:
    """Ascending heights moved as little as keeps neighbours apart, inside [0, 1] where there is room.

    >>> [round(y, 2) for y in _spread([0.5, 0.5], [1, 1], 0.1)]
    [0.45, 0.55]
    """
    gaps = [unit * (a + b) / 2 for a, b in pairwise(lines)]
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])[: len(heights)]
    blocks: list[list[float]] = []  # [mean of height − offset, members]: isotonic regression by pooling
    for value in np.asarray(heights) - offsets:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks.pop(-2), blocks.pop()
            blocks.append([(a * n + b * m) / (n + m), n + m])
    bases = np.repeat([block[0] for block in blocks], [int(block[1]) for block in blocks])
    top = 1 - offsets[-1] if len(offsets) else 1.0
    return [float(y) for y in np.clip(bases, 0, max(top, 0)) + offsets]
