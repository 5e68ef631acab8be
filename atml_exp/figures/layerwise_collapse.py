"""Variability and nearest-centre error layer by layer, before and after training (He & Su 2023)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import log_axis
from atml_exp.figures.style import BLUE, GREEN, GREY, VERMILLION, label_lines, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

HE_SU, GALANTI, BEN_SHAUL = "He & Su 2023", "Galanti et al. 2022", "Ben-Shaul & Dekel 2022"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """NC1, CDNV of training and test set, and nearest-centre error, by layer; grey: before training."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    runs = [Run(d) for d in table["directory"].unique()]
    _panel(left, runs, {"nc1": ("at the end", BLUE)})
    _panel(middle, runs, {"cdnv": ("training", BLUE), "test_cdnv": ("test", VERMILLION)})
    _panel(right, runs, {"error": ("training", BLUE), "test_error": ("test", VERMILLION)}, scale=100)
    slope, offset = _line(np.mean([np.log(_of(run, "nc1")[-1]) for run in runs], axis=0))
    layers = np.arange(len(_of(runs[0], "nc1")[-1]))
    left.plot(layers, np.exp(offset + slope * layers), color=GREEN, linestyle="--", linewidth=2)
    for axes, title in ((left, "NC1 (green: a law)"), (middle, "CDNV"), (right, "nearest centre's errors (%)")):
        axes.set_title(title)
        axes.set_xlabel("layer whose input it is")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (left, middle):
        log_axis(axes)
    right.set_ylim(bottom=0)
    return figure


def _panel(axes: Axes, runs: list[Run], keys: dict[str, tuple[str, str]], scale: float = 1.0) -> None:
    labels = {}
    for key, (label, colour) in keys.items():
        ends = scale * np.stack([_of(run, key)[-1] for run in runs])
        axes.plot(ends.mean(0), color=colour, marker="o")
        axes.fill_between(range(ends.shape[1]), ends.min(0), ends.max(0), color=colour, alpha=0.22, linewidth=0)
        labels[label] = (float(ends.mean(0)[-1]), colour)
    before = scale * np.stack([_of(run, next(iter(keys)))[0] for run in runs])
    axes.plot(before.mean(0), color=GREY, marker="o", linestyle=":")
    labels["before"] = (float(before.mean(0)[-1]), GREY)
    axes.set_yscale("log" if scale == 1 else "linear")
    label_lines(axes, labels, size=15)


def _of(run: Run, key: str) -> np.ndarray:
    """All readings (T, L)."""
    return np.asarray(run.array(f"layer_collapse/{key}")[1], dtype=float)


def _line(values: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the least-squares line through values (L,) at 0, 1, …"""
    slope, offset = np.polyfit(np.arange(len(values)), values, 1)
    return float(slope), float(offset)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Of the training set unless said."""
    return [
        Claim(
            HE_SU,
            "each layer separates by the same factor (correlation of log NC1 and depth; bound ours)",
            by_seed(table, lambda t: _correlation(np.log(_first(t, "nc1")[-1]))),
            "<=",
            -0.95,
        ),
        Claim(
            HE_SU,
            "training does that: before it, depth doesn't separate (NC1 of the last layer's input to the data's)",
            by_seed(table, lambda t: float(_first(t, "nc1")[0, -1] / _first(t, "nc1")[0, 0])),
            ">=",
            1,
        ),
        Claim(
            BEN_SHAUL,
            "the nearest centre errs less, layer by layer (largest rise from one to the next)",
            by_seed(table, lambda t: float(100 * np.diff(_first(t, "error")[-1]).max())),
            "<=",
            0,
            "%",
        ),
        Claim(
            BEN_SHAUL,
            "and so it does on new examples (largest rise from one to the next)",
            by_seed(table, lambda t: float(100 * np.diff(_first(t, "test_error")[-1]).max())),
            "<=",
            0,
            "%",
        ),
        Claim(
            GALANTI,
            "new examples are separated as well, deeper better (CDNV on the test set, last layer to data)",
            by_seed(table, lambda t: float(_first(t, "test_cdnv")[-1, -1] / _first(t, "test_cdnv")[-1, 0])),
            "<=",
            1,
        ),
        Claim(
            "Hui et al. 2022",
            "but less than those trained on (CDNV at the last layer, test to training)",
            by_seed(table, lambda t: float(_first(t, "test_cdnv")[-1, -1] / _first(t, "cdnv")[-1, -1])),
            ">=",
            1,
        ),
    ]


def _first(table: pd.DataFrame, key: str) -> np.ndarray:
    """Of the one run."""
    return _of(Run(table["directory"].iloc[0]), key)


def _correlation(values: np.ndarray) -> float:
    return float(np.corrcoef(np.arange(len(values)), values)[0, 1])
