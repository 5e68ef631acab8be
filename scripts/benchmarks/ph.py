"""PH₀ dimension of 1,000 points in 10,000 dimensions against ripser on the same subsamples."""

import warnings
from functools import partial
from typing import Any

import numpy as np
from measuring import Options, Row, interleaved, speed, wall
from ripser import ripser
from sklearn.metrics import pairwise_distances

from atml_exp.probes.fractal_dimension import PHDimension, ph_dimension
from atml_exp.spanning_tree import lifetimes

__all__ = ["diagram", "measure"]

NUM_POINTS, DIMENSION, MOST_ROUNDS = 1_000, 10_000, 3


def measure(options: Options) -> list[Row]:
    """A Gaussian random walk, float64: the fit with its defaults, and one diagram of all points."""
    walk = np.random.default_rng(0).standard_normal((NUM_POINTS, DIMENSION)).cumsum(0)
    ours = ph_dimension(walk)
    contestants = {
        "ours": partial(ph_dimension, walk),
        "each": partial(_from_points, walk, ours),
        "shared": partial(_from_distances, walk, ours),
        "our diagram": partial(lifetimes, walk),
        "diagram": partial(diagram, walk),
    }
    timed = {name: partial(wall, action) for name, action in contestants.items()}
    times = interleaved(timed, min(options.repeats, MOST_ROUNDS))
    num_subsamples = ours.weighted_sums.size
    what = f"ph: dimension from {num_subsamples} subsamples"
    return [
        speed(what, times["ours"], "ripser on the points of each", times["each"], 10.0),
        speed(what, times["ours"], "ripser on distances made once", times["shared"], 10.0),
        speed("ph: one diagram of all points", times["our diagram"], "ripser", times["diagram"], 1.0),
        _agreement("ph: largest relative difference, lifetimes", lifetimes(walk), diagram(walk)),
        _agreement("ph: largest relative difference, sums", ours.weighted_sums, _from_distances(walk, ours)),
    ]


def _agreement(what: str, ours: np.ndarray, theirs: np.ndarray) -> Row:
    difference = float(np.max(np.abs(ours - theirs) / theirs))
    return Row(what, f"{difference:.1e}", "", "", "≤ 1e-06", difference <= 1e-6)


def _orders(found: PHDimension) -> list[np.ndarray]:
    """The permutations that `ph_dimension` draws from its default seed."""
    generator = np.random.default_rng(0)
    return [generator.permutation(NUM_POINTS) for _ in found.weighted_sums]


def _from_points(points: np.ndarray, found: PHDimension) -> np.ndarray:
    return np.array([[diagram(points[o[: int(n)]]).sum() for n in found.sizes] for o in _orders(found)])


def _from_distances(points: np.ndarray, found: PHDimension) -> np.ndarray:
    distances = pairwise_distances(points)
    return np.array(
        [
            [diagram(distances[np.ix_(o[: int(n)], o[: int(n)])], distance_matrix=True).sum() for n in found.sizes]
            for o in _orders(found)
        ]
    )


def diagram(values: np.ndarray, **options: Any) -> np.ndarray:
    """Finite lifetimes of PH₀ alone, ascending."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The input point cloud has more columns than rows")
        died = ripser(values, maxdim=0, **options)["dgms"][0][:, 1]
    return np.sort(died[np.isfinite(died)])
