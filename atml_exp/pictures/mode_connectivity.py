"""The error, or the loss, on paths from the net to a second one."""

import numpy as np
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREEN, VERMILLION, label_lines, new_figure, style
from atml_exp.pictures.recorded import last, number, percent
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["PATHS", "caption", "draw"]

PATHS = {
    "linear": ("straight line", VERMILLION),
    "matched": ("line, units\nmatched", BLUE),
    "curve": ("Bézier curve", GREEN),
}
"""The paths that the probe knows, with their label and colour."""


@style()
def draw(run: Run, name: str) -> Figure:
    """Test error (in a regression the test loss) against the place on the path; train dashed."""
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    quantity, scale = _quantity(run, name)
    labels = {}
    for path, (label, colour) in PATHS.items():
        for split, line in (("train", "--"), ("test", "-")):
            found = _path(run, f"{name}/{path}_{split}_{quantity}_path")
            if found is not None:
                axes.plot(1 - _alphas(run, name), scale * found, line, color=colour)
                labels[label] = (scale * float(found[len(found) // 2]), colour)
    if not labels:
        raise ValueError("no path is recorded")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["this net", "midway", "second net"])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("error (%)\nsolid: test, dashed: train" if quantity == "error" else "loss")
    label_lines(axes, labels)
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    quantity, scale = _quantity(run, name)
    words = {"linear": "on the straight line", "matched": "after matching", "curve": "on the curve"}
    text = f"The {quantity} on paths between this net and one trained from other initial weights. "
    for path, where in words.items():
        value = last(run, f"{name}/{path}_test_{quantity}")
        if value is not None:
            shown = percent(value) if scale == 100 else number(value)
            text += (
                f"The barrier {where}, $max_α E(α) − \\frac{{1}}{{2}}(E(0) + E(1))$, is {shown} on the test set. "
            )
    text += (
        "Hidden units can change places without changing what a net computes: matching puts those of the second "
        "net into the order in which its weights are most like those of this one. "
    )
    papers = [
        cite("Frankle, Dziugaite, Roy & Carbin, 2020", "10.48550/arXiv.1912.05671"),
        cite("Garipov, Izmailov, Podoprikhin, Vetrov & Wilson, 2018", "10.48550/arXiv.1802.10026"),
        cite("Ainsworth, Hayase & Srinivasa, 2023", "10.48550/arXiv.2209.04836"),
    ]
    return f"<p>{typeset(text)}</p><p>{'; '.join(papers)}</p>"


def _quantity(run: Run, name: str) -> tuple[str, int]:
    return ("error", 100) if last(run, f"{name}/linear_test_error") is not None else ("loss", 1)


def _alphas(run: Run, name: str) -> np.ndarray:
    return np.asarray(run.array(f"{name}/alphas")[1][-1])


def _path(run: Run, array: str) -> np.ndarray | None:
    try:
        return np.asarray(run.array(array)[1][-1], dtype=float)
    except KeyError:
        return None
