"""The reliability diagram: how often answers of each confidence are right, and how many there are."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.style import BLACK, BLUE, GREY, new_figure, style
from atml_exp.pictures.recorded import last, number, option, percent, wilson
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """Above, the accuracy in each bin against its mean confidence, with 95 % intervals; below, the bins' shares."""
    counts, confidence, accuracy = (
        run.array(f"{name}/bin_{key}")[1][-1] for key in ("count", "confidence", "accuracy")
    )
    if not counts.sum() > 0:
        raise ValueError(f"{name} has recorded no example in any bin")
    figure = new_figure(6.4, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    _reliability(above, counts, confidence, accuracy)
    _shares(below, counts)
    return figure


def _reliability(axes: Axes, counts: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray) -> None:
    axes.plot([0, 100], [0, 100], "--", color=BLACK, linewidth=1.4, label="calibrated")
    seen = counts > 0
    x, y = 100 * confidence[seen], 100 * accuracy[seen]
    low, high = 100 * np.array([wilson(a, int(n)) for a, n in zip(accuracy[seen], counts[seen], strict=True)]).T
    spread = np.clip([y - low, high - y], 0, None)  # rounding at 0 and 100 %
    axes.errorbar(x, y, yerr=spread, fmt="o", linewidth=1.6, color=BLUE, capsize=3, clip_on=False)
    axes.legend(loc="upper left")
    axes.set_ylabel("right (%)")
    axes.set_ylim(0, 100)


def _shares(axes: Axes, counts: np.ndarray) -> None:
    edges = np.linspace(0, 100, len(counts) + 1)
    axes.bar(edges[:-1], 100 * counts / counts.sum(), np.diff(edges), align="edge", color=GREY, edgecolor="white")
    axes.set_xlabel("confidence (%)")
    axes.set_ylabel("answers (%)")
    axes.set_xlim(0, 100)


def caption(run: Run, name: str) -> str:
    """What the diagram shows, as HTML."""
    split = {"train": "training", "test": "test"}[option(run, name, "split", "test")]
    text = (
        f"Answers on the {split} set by their confidence, the largest probability: how often they are right, with "
        "95 % intervals (Wilson), against the mean confidence of the bin. Below the diagonal the net is too sure. "
    )
    if option(run, name, "temperature_scaling", False):
        text += "The logits were divided by a temperature first, each half's found on the other half. "
    text += f"Expected calibration error {percent(last(run, f'{name}/expected_error'))}"
    if (chance := last(run, f"{name}/error_if_calibrated")) is not None:
        text += f"; of a perfectly calibrated net with these confidences it would be {percent(chance)} on average"
    text += f". Mean confidence less accuracy: {number(last(run, f'{name}/overconfidence'))}."
    paper = cite("Guo, Pleiss, Sun & Weinberger, 2017", "10.48550/arXiv.1706.04599")
    return f"<p>{typeset(text)}</p><p>{paper}</p>"
