"""Tail indices of the coordinates' steps, and what pooling them would have said."""

import numpy as np
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREY, VERMILLION, finite, new_figure, style
from atml_exp.pictures.recorded import last, number, option
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]

LOW, HIGH = -0.25, 1.25
"""The readings 1/α̂ that are shown; those beyond are counted at the edge."""


@style()
def draw(run: Run, name: str) -> Figure:
    """Histogram of 1/α̂, which is unbiased, over coordinates; lines: Gaussian noise, their mean, all pooled."""
    readings = finite(1 / run.array(f"{name}/readings")[1][-1])
    if not len(readings):
        raise ValueError(f"the run has no finite {name}/readings")
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    axes.hist(np.clip(readings, LOW, HIGH), bins=np.linspace(LOW, HIGH, 36).tolist(), color=BLUE, alpha=0.35)
    top = 1.3 * axes.get_ylim()[1]
    axes.set_ylim(0, top)
    lines = [
        ("Gaussian noise", 2.0, GREY, ":"),
        ("by coordinate", last(run, f"{name}/per_coordinate"), BLUE, "-"),
        ("pooled", last(run, f"{name}/pooled"), VERMILLION, "--"),
    ]
    for i, (text, value, colour, line) in enumerate(lines):
        if value is not None and np.isfinite(value):
            axes.axvline(float(np.clip(1 / value, LOW, HIGH)), color=colour, linestyle=line, zorder=3)
            axes.text(
                0.015, 0.965 - 0.075 * i, rf"{text}: $\hat{{\alpha}}$ = {number(value)}", color=colour, va="top",
                transform=axes.transAxes,
            )  # fmt: skip
    axes.set_xlim(LOW, HIGH)
    axes.set_xlabel(r"$1/\hat{\alpha}$ of a coordinate's noise (0.5: Gaussian, 1: Cauchy)")
    axes.set_ylabel("coordinates")
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    block = option(run, name, "block_size", 20)
    noise = "the last steps" if option(run, name, "reads") else "mini-batches' gradients about their mean"
    text = (
        f"How heavy the tails of {noise} are, from sums of {block} of them: $α = 2$ for Gaussian noise, "
        "less for heavier tails. Each coordinate by itself (histogram; few blocks make it broad), all of them "
        f"averaged as $1/α$: {number(last(run, f'{name}/per_coordinate'))}; thrown together into one stream: "
        f"{number(last(run, f'{name}/pooled'))}. The pooled number is below 2 for Gaussian noise as well where "
        "coordinates have different scales, as those of a network have: it is no evidence of heavy tails. Steps "
        "that depend on one another (momentum, drift, oscillation) move both. "
    )
    papers = [
        cite("Şimşekli, Sagun & Gürbüzbalaban, 2019", "10.48550/arXiv.1901.06053"),
        cite("Mohammadi, Mohammadpour & Ogata, 2015", "10.1007/s00184-014-0515-7"),
    ]
    return f"<p>{typeset(text)}</p><p>{'; '.join(papers)}</p>"
