"""How much explanations change as a net's layers are randomised, from the output down, and with random labels."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.explanations import METHODS, between, map_of
from atml_exp.figures.panels import last_values, rows
from atml_exp.figures.style import BLACK, GREY, new_slide, slide
from atml_exp.runs import Run

__all__ = ["claims", "draw"]

CONVOLUTIONAL, PERCEPTRON, LABELS = "convolutional", "perceptron", "random labels"
PAPER = "Adebayo et al. 2018"
PASSING = 0.5
SEEDS = "lines: mean over seeds; bands: their range; marks: one for each seed, or pair of seeds"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Spearman's correlation of absolute values by layer, of two architectures; random labels on the right."""
    figure = new_slide()
    one, other, labels = figure.subplots(1, 3)
    _cascade(one, table[table["sweep"] == CONVOLUTIONAL], "convolutional net")
    _cascade(other, table[table["sweep"] == PERCEPTRON], "perceptron")
    one.set_ylabel("Spearman, absolute values")
    other.tick_params(labelleft=False)
    _labels(labels, table)
    return figure


def _cascade(axes: Axes, table: pd.DataFrame, title: str) -> None:
    layers = 1
    for method, (_, colour) in METHODS.items():
        found = _curves(table, method, "absolute")
        if found is None:
            continue
        layers = found.shape[1]
        at = np.arange(layers)
        axes.plot(at, found.mean(0), "o-", color=colour)
        if method == "grad_cam":  # the others are named on the right
            axes.text(0.05, 0.02, "Grad-CAM", color=colour, fontsize=15)
        if len(found) > 1:
            axes.fill_between(at, found.min(0), found.max(0), color=colour, alpha=0.22, linewidth=0)
    axes.axhline(PASSING, color=GREY, linestyle=":", linewidth=2, zorder=1)
    axes.set_xticks(range(layers))
    axes.set_xlabel("random layers, top down")
    axes.set_ylim(-0.12, 1.06)
    axes.set_title(title)


def _curves(table: pd.DataFrame, method: str, which: str) -> np.ndarray | None:
    """(seeds, 1 + layers), of the runs that have it."""
    found = []
    for _, run in table.drop_duplicates("run_id").sort_values("seed", kind="stable").iterrows():
        try:
            found.append(Run(str(run["directory"])).array(f"sanity_check/{method}_{which}")[1][-1])
        except KeyError:
            return None
    return np.array(found, dtype=float) if found else None


def _labels(axes: Axes, table: pd.DataFrame) -> None:
    """Agreement of a net of true labels and one of random labels, and of two seeds with true labels."""
    names = [m for m in METHODS if m not in ("grad_cam", "random")]
    pairs, seeds = _of_labels(table), _runs(table, PERCEPTRON)
    for y, method in enumerate(reversed(names)):
        colour = METHODS[method][1]
        for (true, random), marker in [
            *((p, "o") for p in pairs),
            *((p, "x") for p in pairwise(seeds)),
        ]:
            value = _alike(true, random, method)
            axes.plot(value, y, marker, color=colour, markersize=10, markeredgewidth=2.5, clip_on=False)
    axes.plot([], [], "o", color=BLACK, label="true, random labels")
    axes.plot([], [], "x", color=BLACK, markeredgewidth=2.5, label="true, another seed")
    axes.axvline(PASSING, color=GREY, linestyle=":", linewidth=2, zorder=1)
    axes.set_yticks(range(len(names)), [METHODS[m][0] for m in reversed(names)])
    for tick, method in zip(axes.get_yticklabels(), reversed(names), strict=True):
        tick.set_color(METHODS[method][1])
    axes.set_ylim(-0.5, len(names) + 1.2)
    axes.set_xlim(-0.1, 1.05)
    axes.set_xlabel("Spearman, absolute values")
    axes.set_title("perceptrons, labels")
    axes.legend(loc="upper left", handletextpad=0.2)


def _runs(table: pd.DataFrame, sweep: str) -> list[pd.Series]:
    part = table[table["sweep"] == sweep].drop_duplicates("run_id").sort_values("seed", kind="stable")
    return [run for _, run in part.iterrows()]


def _of_labels(table: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Runs with true and with random labels, of one seed each."""
    random = {run["seed"]: run for run in _runs(table, LABELS)}
    return [(run, random[run["seed"]]) for run in _runs(table, PERCEPTRON) if run["seed"] in random]


def _alike(one: pd.Series, other: pd.Series, method: str) -> float:
    return between(map_of(one, method), map_of(other, method), absolute=True)


def claims(table: pd.DataFrame) -> list[Claim]:
    """What fails and what passes, with the whole net random, and with random labels."""
    both = table[table["sweep"].isin([CONVOLUTIONAL, PERCEPTRON])]
    fitted = last_values(rows(table[table["sweep"] == LABELS], "train/error"))
    return [
        Claim(
            PAPER,
            "edges, which see the input alone, stay at 1 and fail (lowest correlation)",
            by_seed(both, lambda t: _extreme(t, "edges", min)),
            ">=",
            1,
        ),
        Claim(
            PAPER,
            "gradients pass: the whole net random (largest |correlation|; bound ours)",
            by_seed(both, lambda t: _extreme(t, "gradient", max)),
            "<=",
            PASSING,
        ),
        Claim(
            PAPER,
            "so does Grad-CAM (largest |correlation|; bound ours)",
            by_seed(table[table["sweep"] == CONVOLUTIONAL], lambda t: _extreme(t, "grad_cam", max)),
            "<=",
            PASSING,
        ),
        Claim(
            PAPER,
            "times the input, maps keep more of its looks (gradient × input − gradient)",
            by_seed(both, lambda t: _end(t, "gradient_input") - _end(t, "gradient")),
            ">=",
            0,
        ),
        Claim(
            PAPER,
            "nets that have fitted random labels (training error)",
            by_seed(fitted, lambda t: 100 * float(t["value"].max())),
            "<=",
            5,
            "%",
        ),
        Claim(
            PAPER,
            "have other gradients than those of true labels (correlation; bound ours)",
            tuple(
                between(map_of(a, "gradient"), map_of(b, "gradient"), absolute=True) for a, b in _of_labels(table)
            ),
            "<=",
            PASSING,
        ),
    ]


def _extreme(table: pd.DataFrame, method: str, which: Callable[..., object]) -> float:
    """Over architectures, signed and absolute: the least anywhere, or the largest size, all layers random."""
    curves = [_curves(part, method, w) for _, part in table.groupby("sweep") for w in ("signed", "absolute")]
    if any(c is None for c in curves) or not curves:
        raise ValueError(f"no curves of {method}")
    if which is min:
        return min(float(c.min()) for c in curves if c is not None)
    return max(float(np.abs(c[:, -1]).max()) for c in curves if c is not None)


def _end(table: pd.DataFrame, method: str) -> float:
    """Mean over architectures."""
    curves = [_curves(part, method, "absolute") for _, part in table.groupby("sweep")]
    return float(np.mean([c[:, -1].mean() for c in curves if c is not None]))
