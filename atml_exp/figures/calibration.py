"""Reliability diagrams early, late and after temperature scaling, by loss, and the calibration error by epoch."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, rows
from atml_exp.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    label_lines,
    new_slide,
    slide,
)
from atml_exp.pictures.recorded import wilson
from atml_exp.runs import Run

__all__ = ["SEEDS", "claims", "draw"]

SEEDS = "diagrams: the first seed, 95 % intervals of bins of at least 20 answers; right: mean and range over seeds"

CROSS_ENTROPY, SQUARED, SMOOTHED = "cross-entropy", "squared loss", "label smoothing"
GUO = "Guo et al. 2017"
FEWEST = 20
"""Answers in a bin that is drawn: of fewer the interval says nearly nothing."""
Diagram = tuple[str, str, float, str, str]
"""Sweep, probe, at which fraction of the training, label, colour."""
OVER_TRAINING: Sequence[Diagram] = (
    (CROSS_ENTROPY, "calibration", 0.25, "at a quarter", BLUE),
    (CROSS_ENTROPY, "calibration", 1, "at the end", VERMILLION),
    (CROSS_ENTROPY, "calibration_scaled", 1, "best $T$", GREEN),
)
BY_LOSS: Sequence[Diagram] = (
    (SQUARED, "calibration", 1, "squared loss", ORANGE),
    (SMOOTHED, "calibration", 1, "label smoothing", PURPLE),
    (SQUARED, "calibration_scaled", 1, "squared, best $T$", GREEN),
)


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Reliability of one net over its training; of nets of other losses; expected calibration error by epoch."""
    figure = new_slide()
    left, middle, right = figure.subplots(1, 3)
    for axes, diagrams, title in (
        (left, OVER_TRAINING, "cross-entropy"),
        (middle, BY_LOSS, "other losses, at the end"),
    ):
        axes.set_title(title)
        _diagrams(axes, table, diagrams)
    left.legend(loc="upper left", fontsize=14)
    middle.legend(loc="lower right", fontsize=13, handlelength=1.2)
    left.set_ylabel("right (%)")
    _errors(right, table)
    return figure


def _diagrams(axes: Axes, table: pd.DataFrame, diagrams: Sequence[Diagram]) -> None:
    """Of the run with the least seed, whose examples are independent of each other."""
    axes.plot([0, 100], [0, 100], "--", color=BLACK, linewidth=1.6)
    for sweep, probe, fraction, label, colour in diagrams:
        of = table[table["sweep"] == sweep].sort_values("seed", kind="stable")
        if len(of):
            _diagram(axes, Run(str(of["directory"].iloc[0])), probe, fraction, label=label, color=colour)
    axes.set_xlabel("confidence (%)")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)


def _diagram(axes: Axes, run: Run, probe: str, fraction: float, **look: str) -> None:
    steps, counts = run.array(f"{probe}/bin_count")
    at = int(np.searchsorted(steps, fraction * steps[-1]))
    confidence, accuracy = (run.array(f"{probe}/bin_{key}")[1][at] for key in ("confidence", "accuracy"))
    seen = counts[at] >= FEWEST
    x, y, n = confidence[seen], accuracy[seen], counts[at][seen]
    ends = np.array([wilson(a, int(k)) for a, k in zip(y, n, strict=True)]).reshape(-1, 2)
    spread = np.clip([y - ends[:, 0], ends[:, 1] - y], 0, None)
    axes.errorbar(100 * x, 100 * y, yerr=100 * spread, fmt="o-", linewidth=1.6, markersize=6, capsize=3, **look)  # type: ignore[arg-type]


def _errors(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_title("expected calibration error (%)")
    labels = {}
    for sweep, metric, label, colour in (
        (CROSS_ENTROPY, "calibration/expected_error", "cross-entropy", VERMILLION),
        (SQUARED, "calibration/expected_error", "squared", ORANGE),
        (SMOOTHED, "calibration/expected_error", "smoothing", PURPLE),
        (CROSS_ENTROPY, "calibration_scaled/expected_error", "best $T$", GREEN),
        (CROSS_ENTROPY, "calibration_scaled/error_if_calibrated", "calibrated", GREY),
    ):
        found = rows(table[table["sweep"] == sweep], metric)
        if len(found):
            _, mean = band(axes, found, "epoch", colour, scale=100, linestyle=":" if colour == GREY else "-")
            labels[label] = (float(mean[-1]), colour)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, None)
    axes.set_xlim(0, table["epoch"].max())
    label_lines(axes, labels)


def claims(table: pd.DataFrame) -> list[Claim]:
    """Over-confidence by training, loss and temperature; on the test set, at the end."""
    plain, squared, smoothed = (table[table["sweep"] == name] for name in (CROSS_ENTROPY, SQUARED, SMOOTHED))
    error, scaled = "calibration/expected_error", "calibration_scaled/expected_error"
    return [
        Claim(
            GUO,
            "training on makes the net too sure (confidence less accuracy, end less a quarter)",
            by_seed(plain, lambda t: 100 * (_end(t, "calibration/overconfidence") - _quarter(t))),
            ">=",
            0,
            "%",
        ),
        Claim(
            "theory",
            "its calibration error is more than chance gives a calibrated net (quotient)",
            by_seed(plain, lambda t: _end(t, error) / _end(t, "calibration/error_if_calibrated")),
            ">=",
            1,
        ),
        Claim(
            GUO,
            "one temperature removes most of the error (what is left of it; bound ours)",
            by_seed(plain, lambda t: _end(t, scaled) / _end(t, error)),
            "<=",
            0.5,
        ),
        Claim(
            GUO,
            "and changes no answer (largest change of the accuracy)",
            by_seed(table, lambda t: 100 * _change_of_accuracy(t)),
            "<=",
            0,
            "%",
        ),
        Claim(
            "Müller et al. 2019",
            "label smoothing leaves a smaller error (over that of cross-entropy)",
            tuple(
                a / b
                for a, b in zip(
                    by_seed(smoothed, lambda t: _end(t, error)),
                    by_seed(plain, lambda t: _end(t, error)),
                    strict=True,
                )
            ),
            "<=",
            1,
        ),
        Claim(
            "theory",
            "squared loss, whose outputs stay near 0 and 1: softmax is too unsure (confidence less accuracy)",
            by_seed(squared, lambda t: 100 * _end(t, "calibration/overconfidence")),
            "<=",
            0,
            "%",
        ),
    ]


def _end(table: pd.DataFrame, metric: str) -> float:
    return float(rows(table, metric).sort_values("epoch")["value"].iloc[-1])


def _quarter(table: pd.DataFrame) -> float:
    found = rows(table, "calibration/overconfidence").sort_values("epoch")
    return float(found["value"].iloc[int(np.searchsorted(found["epoch"], found["epoch"].max() / 4))])


def _change_of_accuracy(table: pd.DataFrame) -> float:
    plain, scaled = (
        rows(table, f"{probe}/accuracy").set_index(["sweep", "epoch"])["value"]
        for probe in ("calibration", "calibration_scaled")
    )
    return float((plain - scaled).abs().max(skipna=False))
