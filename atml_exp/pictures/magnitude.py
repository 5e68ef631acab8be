"""The magnitude of a recorded trajectory against the scale: how many iterates it tells apart."""

import numpy as np
from matplotlib.figure import Figure

from atml_exp.figures.style import BLUE, GREY, VERMILLION, label_lines, new_figure, readable_log_ticks, style
from atml_exp.pictures.recorded import last, number
from atml_exp.runs import Run
from atml_exp.typeset import cite, typeset

__all__ = ["caption", "draw"]


@style()
def draw(run: Run, name: str) -> Figure:
    """Magnitude and positive magnitude against the scale, on logarithmic axes; dotted: 1, and all points."""
    scales, plain, positive = (_array(run, name, key) for key in ("scales", "magnitudes", "positive_magnitudes"))
    count = last(run, f"{name}/num_points") or 1.0
    figure = new_figure(7.0, 4.8)
    axes = figure.subplots()
    axes.set(
        xscale="log", yscale="log", xlabel=r"scale $s$, up to $\sqrt{N}$", ylabel="magnitude of the recorded points"
    )
    axes.plot(scales, positive, "o-", color=VERMILLION, clip_on=False)
    axes.plot(scales, plain, "o--", color=BLUE, clip_on=False, markersize=5)
    for level in {1.0, count}:
        axes.axhline(level, color=GREY, linestyle=":", linewidth=1.8)
    axes.set_ylim(0.85, 1.25 * max(count, positive.max()))
    axes.set_xlim(scales[0] / 1.15, scales[-1] * 1.15)
    readable_log_ticks(axes, "x")
    readable_log_ticks(axes)
    labels = [
        ("positive", float(positive[-1]), VERMILLION),
        ("magnitude", float(plain[-1]), BLUE),
        ("1", 1.0, GREY),
    ]
    label_lines(axes, [*labels, (f"{count:,.0f} points", count, GREY)] if count > 1 else labels)
    return figure


def caption(run: Run, name: str) -> str:
    """What the picture shows, as HTML."""
    ends = [number(last(run, f"{name}/{key}")) for key in ("positive_small", "positive_sqrt_n")]
    text = (
        "The magnitude of the recorded points is $Σβ$ where $exp(−sD) β = 1$, the positive magnitude "
        "$Σ max(β, 0)$: how many points can be told apart at the scale $s$, between 1 and the number of different "
        f"ones, {number(last(run, f'{name}/num_points'))}. Positive magnitude {ends[0]} at the smallest scale and "
        f"{ends[1]} at $√N$, $N$ the number of training examples. "
    )
    papers = cite("Andreeva, Dupuis, Sarkar, Birdal & Şimşekli, 2024", "10.48550/arXiv.2407.08723")
    return f"<p>{typeset(text + _accuracy(run, name))}</p><p>{papers}</p>"


def _array(run: Run, name: str, key: str) -> np.ndarray:
    return np.asarray(run.array(f"{name}/{key}")[1][-1], dtype=float)


def _accuracy(run: Run, name: str) -> str:
    bound = number(last(run, f"{name}/error_bound"))
    if last(run, f"{name}/cholesky") == 1:
        return f"Solved by Cholesky factors in float64, with an error of at most {bound}."
    return (
        "At a scale the matrix was not positive definite, and the eigenvalues that rounding can't tell from 0 were "
        f"left out: error at most {bound}."
    )
