"""Agreement of explanations across seeds, by test error, and under noise; deletion and insertion beside chance."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.explanations import METHODS, agreements, map_of, pairwise_agreement
from atml_exp.figures.panels import each, last_values, rows
from atml_exp.figures.style import BLACK, new_slide, slide

__all__ = ["claims", "draw"]

PROBE, FAITHFULNESS = "explanation_instability", "faithfulness"
SIZE = "dataset.wrapper.subset.num_train"
MAPS = ("gradient", "smoothgrad", "gradient_input", "integrated_gradients")
LEY, SMILKOV, PETSIUK = "Ley et al. 2023", "Smilkov et al. 2017", "Petsiuk et al. 2018"
SEEDS = "left: mean and range over pairs of seeds; marks: one for each seed"


@slide()
def draw(table: pd.DataFrame) -> Figure:
    """Left: across seeds, by test error. Middle: under noise in the input. Right: deletion and insertion."""
    figure = new_slide()
    seeds, noise, areas = figure.subplots(1, 3)
    _by_error(seeds, table)
    _rows(noise, table, {f"{PROBE}/%s_noise_signed": "o"}, (*MAPS, "edges"), "Spearman of x and x + ε")
    noise.set_title("noise in the input")
    kinds = {f"{FAITHFULNESS}/%s_deletion": "v", f"{FAITHFULNESS}/%s_insertion": "^"}
    _rows(areas, table, kinds, (*MAPS, "edges", "random"), "area under the curve")
    areas.plot([], [], "v", color=BLACK, label="deletion: small is good")
    areas.plot([], [], "^", color=BLACK, label="insertion: large is good")
    areas.set_ylim(-0.5, len(MAPS) + 3.4)
    areas.legend(loc="upper left", handletextpad=0.1, fontsize=14)
    areas.set_title("does it matter?")
    return figure


def _by_error(axes: Axes, table: pd.DataFrame) -> None:
    """Mean over pairs of seeds, against the mean test error; each point is a size of the training set."""
    errors = last_values(rows(table, "test/error")).groupby(SIZE)["value"].mean()
    for method in MAPS:
        colour = METHODS[method][1]
        pairs = [(100 * errors[size], agreements(_maps(part, method))) for size, part in each(table, SIZE)]
        known = sorted((error, values) for error, values in pairs if values)
        if known:
            at = [error for error, _ in known]
            low, high = ([f(values) for _, values in known] for f in (min, max))
            axes.plot(at, [np.mean(values) for _, values in known], "o-", color=colour)
            axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.set_xlabel("test error (%)")
    axes.set_ylabel("Spearman, pairs of seeds")
    axes.set_ylim(0, 1)
    axes.set_title("other seeds")  # colours are named beside the next panel


def _maps(part: pd.DataFrame, method: str) -> list[np.ndarray]:
    """Of the runs that have it, by seed."""
    runs = part.drop_duplicates("run_id").sort_values("seed", kind="stable")
    return [map_of(run, method) for _, run in runs.iterrows()]


def _rows(axes: Axes, table: pd.DataFrame, kinds: dict[str, str], methods: tuple[str, ...], name: str) -> None:
    """A row for each method, a mark for each seed, of the largest training set."""
    part = _largest(table)
    for y, method in enumerate(reversed(methods)):
        for metric, marker in kinds.items():
            values = last_values(rows(part, metric % method))["value"].to_numpy()
            axes.plot(values, np.full(len(values), y), marker, color=METHODS[method][1], alpha=0.7, clip_on=False)
    axes.set_yticks(range(len(methods)), [METHODS[m][0] for m in reversed(methods)])
    for tick, method in zip(axes.get_yticklabels(), reversed(methods), strict=True):
        tick.set_color(METHODS[method][1])
        tick.set_fontsize(14)
    axes.set_ylim(-0.5, len(methods) - 0.5)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
    axes.set_xlabel(name)


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    return table[table[SIZE] == table[SIZE].max()]


def claims(table: pd.DataFrame) -> list[Claim]:
    """What differs across seeds, and what averaging does; noise; deletion and insertion against chance."""
    part = _largest(table)
    return [
        Claim(
            LEY,
            "nets of other seeds err alike (largest difference in test error; bound ours)",
            (_error_range(part),),
            "<=",
            5,
            "%",
        ),
        Claim(
            LEY,
            "and explain differently (agreement of gradients between seeds; bound ours)",
            (pairwise_agreement(_maps(part, "gradient")),),
            "<=",
            0.8,
        ),
        Claim(
            LEY,
            "explanations averaged over half of the seeds agree more (less single ones)",
            (_ensembles(part, "gradient"),),
            ">=",
            0,
        ),
        Claim(
            SMILKOV,
            "SmoothGrad stands noise better than the gradient (difference in agreement)",
            _differences(part, f"{PROBE}/smoothgrad_noise_signed", f"{PROBE}/gradient_noise_signed"),
            ">=",
            0,
        ),
        Claim(
            PETSIUK,
            "deletion: all methods below a random order (largest difference of the areas)",
            by_seed(part, lambda t: _against_chance(t, "deletion", max)),
            "<=",
            0,
        ),
        Claim(
            PETSIUK,
            "insertion: all methods above it (smallest difference of the areas)",
            by_seed(part, lambda t: _against_chance(t, "insertion", min)),
            ">=",
            0,
        ),
        Claim(
            "control",
            "edges, which know no net, are no better than chance at deletion (difference)",
            _differences(part, f"{FAITHFULNESS}/edges_deletion", f"{FAITHFULNESS}/random_deletion"),
            ">=",
            0,
        ),
    ]


def _error_range(part: pd.DataFrame) -> float:
    errors = last_values(rows(part, "test/error"))["value"]
    return 100 * float(errors.max() - errors.min()) if len(errors) > 1 else float("nan")


def _ensembles(part: pd.DataFrame, method: str) -> float:
    """Of a mean over the first half of the seeds with one over the others; NaN for fewer than four seeds."""
    maps = _maps(part, method)
    if len(maps) < 4:
        return float("nan")
    half = len(maps) // 2
    means = [np.mean(maps[:half], 0), np.mean(maps[half : 2 * half], 0)]
    return pairwise_agreement(means) - pairwise_agreement(maps)


def _differences(part: pd.DataFrame, one: str, other: str) -> tuple[float, ...]:
    """Of two metrics, of each seed."""
    return by_seed(part, lambda t: _value(t, one) - _value(t, other))


def _value(rows_of_seed: pd.DataFrame, name: str) -> float:
    return float(last_values(rows(rows_of_seed, name))["value"].iloc[0])


def _against_chance(rows_of_seed: pd.DataFrame, kind: str, worst: Callable[..., float]) -> float:
    chance = _value(rows_of_seed, f"{FAITHFULNESS}/random_{kind}")
    return float(worst(_value(rows_of_seed, f"{FAITHFULNESS}/{m}_{kind}") - chance for m in MAPS))
