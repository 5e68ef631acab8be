"""Box counting: the dimension of recorded points in few dimensions, by how many boxes they are in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atml_exp.fields import PositiveInt
from atml_exp.probe import Value
from atml_exp.spanning_tree import Array, as_points

__all__ = ["BoxCounting", "box_counting", "box_counting_dimension"]

MOST_DIMENSIONS = 5
"""Chosen by us: halving boxes multiplies their number by up to 2^d: already in 5 dimensions a million points fill
the boxes of three sizes only."""

MIN_SIZES = 3
"""Sizes of boxes that a line is fitted to, at the least. Chosen by us."""

MIN_POINTS = 20
"""As for the dimension of PH₀. Chosen by us."""

FULL = 0.2
"""The most boxes for each point: where boxes hold five random points on average, e⁻⁵ = 0.7 % of those that meet
the set hold none; with more boxes the line bends. Chosen by us: 10⁵ random points of the d-cube then read 1.000,
2.000 and 3.000 in 1, 2, 3 dimensions, and those of the Sierpinski triangle 1.60."""


@dataclass(frozen=True, eq=False)
class BoxCounting:
    """A fitted box-counting dimension.

    dimension: the slope of log count against log divisions, least squares. residual: root mean square of what the
    line leaves, natural logarithms. divisions: (S,), 1/ε: along the longest edge of the bounding box. counts: (S,),
    boxes of size ε that hold a point. num_points: N.
    """

    dimension: float
    residual: float
    divisions: Array
    counts: Array
    num_points: int

    @property
    def reliable(self) -> bool:
        """Whether the smallest boxes that hold a point hold five on average, so that few are missed."""
        return bool(self.counts.max() <= FULL * self.num_points)


def box_counting(points: torch.Tensor, *, num_components: PositiveInt = 2) -> dict[str, Value]:
    """The box-counting dimension of recorded points (T, …), projected onto their `num_components` principal axes.

        N(ε) ∝ ε^−dim

    A projection reads at most `num_components`, and less than the set itself where that is of a higher dimension:
    it says how the path fills that plane, and nothing of the space. Returns `dimension`, `residual`, `reliable` (1
    or 0) and `explained`, the fraction of the variance within the plane, and the arrays of the fit, `divisions` and
    `counts` (S,). Raises ValueError as `box_counting_dimension` does.
    """
    _check_dimensions(num_components, "num_components means")
    projected, explained = _principal(as_points(points.detach().double().cpu().flatten(1)), num_components)
    found = box_counting_dimension(projected)
    return {
        "dimension": found.dimension,
        "residual": found.residual,
        "reliable": found.reliable,
        "explained": explained,
        "divisions": torch.from_numpy(found.divisions),
        "counts": torch.from_numpy(found.counts),
    }


def box_counting_dimension(points: Any, divisions: Sequence[int] | None = None) -> BoxCounting:
    """The box-counting dimension of points (N, d) in a few dimensions.

    N(ε), the number of boxes of a grid of size ε that hold a point, grows as ε^−dim (Falconer 2014, Fractal
    geometry, §2.1). The grid begins at the least coordinates, and ε is the longest edge of the bounding box over
    `divisions`: by default 2, 4, 8, and on as long as there are five points for each box that holds one. So the
    reading doesn't change with scale and translation, but with rotation it does; unlike that of PH₀ with α = 1 it
    can be below 1. `.reliable` says whether there were points enough.

    Raises ValueError as `as_points` does, for more than 5 dimensions, fewer than 20 points, and unless divisions
    are at least two different whole numbers from 1.

    >>> box_counting_dimension([[i / 4096] for i in range(4096)]).dimension
    1.0
    """
    found: Any = as_points(points)
    _check_dimensions(found.shape[1], "points have")
    found = found.cpu().numpy() if isinstance(found, torch.Tensor) else found
    found = found.astype(np.float64) - found.min(0)
    unit = found / found.max()
    if len(unit) < MIN_POINTS:
        raise ValueError(f"points must be at least {MIN_POINTS} for counting boxes; got {len(unit)}")
    chosen, counts = _counted(unit) if divisions is None else _given(unit, divisions)
    slope, intercept = np.polyfit(np.log(chosen), np.log(counts), 1)
    left = np.log(counts) - slope * np.log(chosen) - intercept
    residual = float(np.sqrt((left**2).mean()))
    return BoxCounting(round(float(slope), 12), residual, chosen, counts, len(unit))


def _check_dimensions(dimensions: int, what: str) -> None:
    if dimensions > MOST_DIMENSIONS:
        raise ValueError(
            f"{what} {dimensions} dimensions: boxes can be counted in {MOST_DIMENSIONS} at the most, since their "
            "number grows as a power of it; project the points (num_components=2), or use ph_dimension"
        )


def _counted(unit: Array) -> tuple[Array, Array]:
    """Three sizes, and more as long as the points can fill the boxes."""
    divisions = [2**k for k in range(1, MIN_SIZES + 1)]
    counts = [_count(unit, n) for n in divisions]
    while divisions[-1] < 2**40 and (more := _count(unit, 2 * divisions[-1])) <= FULL * len(unit):
        divisions.append(2 * divisions[-1])
        counts.append(more)
    return np.array(divisions, float), np.array(counts, float)


def _given(unit: Array, divisions: Sequence[int]) -> tuple[Array, Array]:
    chosen = np.unique(np.asarray(divisions))
    if chosen.ndim != 1 or len(chosen) < 2 or chosen.min() < 1 or not np.array_equal(chosen, chosen.astype(int)):
        raise ValueError(f"divisions must be at least two different whole numbers from 1; got {divisions!r}")
    return chosen.astype(float), np.array([_count(unit, int(n)) for n in chosen], float)


def _count(unit: Array, divisions: int) -> int:
    """Boxes that hold a point of [0, 1]^d; the last one of each row holds its far edge, too."""
    places = np.minimum((unit * divisions).astype(np.int64), divisions - 1)
    return len(np.unique(places, axis=0))


def _principal(points: Any, num_components: int) -> tuple[Array, float]:
    """Points in the coordinates of their principal axes, and the fraction of the variance that lies in them."""
    centred = points - points.mean(0)
    if num_components >= centred.shape[1]:
        return centred, 1.0
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    kept = slice(0, num_components)
    return left[:, kept] * singular[kept], float((singular[kept] ** 2).sum() / (singular**2).sum())
