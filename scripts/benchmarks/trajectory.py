"""E_α, PH₀ dimension under two metrics and magnitude of 5,000 iterates, against ripser's way, and their memory.

Run as a script it does ours alone and prints the most memory that it took beside the points, in bytes.
"""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
from measuring import Options, Row, speed, wall
from ph import diagram
from sklearn.metrics import pairwise_distances

from atml_exp.distances import distances
from atml_exp.probes.fractal_dimension import ph_dimension, weighted_lifetime_sum
from atml_exp.probes.magnitude import magnitude

__all__ = ["measure"]

NUM_POINTS, NUM_PARAMETERS, NUM_EXAMPLES, REPEATS = 5_000, 20_000, 1_000, 5
SIZES = np.unique(np.linspace(0.2 * NUM_POINTS, 0.95 * NUM_POINTS, 16).round().astype(int))
SCALE = math.sqrt(NUM_EXAMPLES) / 100


def measure(options: Options) -> list[Row]:
    """One round, whatever the options say, for it takes minutes.

    Of the five repeats of a fit rivals do one, whose time counts fivefold; all else is done once on both sides.
    """
    del options
    weights, losses = _trajectory()
    ours = wall(partial(_ours, weights, losses))
    shared = _with_shared_distances(weights, losses)
    each = REPEATS * wall(lambda: [diagram(weights[order]) for order in _subsamples()])
    found, truth = weighted_lifetime_sum(weights), float(diagram(weights).sum())
    difference = abs(found / truth - 1)
    peak = int(subprocess.run([sys.executable, __file__], capture_output=True, check=True, text=True).stdout)
    return [
        speed(f"trajectory: {NUM_POINTS:,} × {NUM_PARAMETERS:,}", [ours], "ripser, distances once", [shared], 10.0),
        speed("trajectory: all of ours", [ours], "ripser on points, one fit only", [each], 10.0),
        Row("trajectory: E_1, relative difference", f"{difference:.1e}", "", "", "≤ 1e-05", difference <= 1e-5),
        Row("trajectory: memory beside the points", f"{peak / 1e9:.2f} GB", "", "", "", met=True),
    ]


def _trajectory() -> tuple[np.ndarray, np.ndarray]:
    """A random walk of weights (T, P) in float32, and losses (T, N) that change along it."""
    generator = np.random.default_rng(0)
    weights = generator.standard_normal((NUM_POINTS, NUM_PARAMETERS), dtype=np.float32)
    np.cumsum(weights, axis=0, out=weights)
    losses = np.abs(np.cumsum(generator.standard_normal((NUM_POINTS, NUM_EXAMPLES), dtype=np.float32), axis=0))
    return weights, losses


def _ours(weights: np.ndarray, losses: np.ndarray) -> None:
    matrix = distances(weights)
    weighted_lifetime_sum(matrix, metric="precomputed")
    magnitude(matrix, SCALE)
    ph_dimension(matrix, metric="precomputed", num_repeats=REPEATS)
    ph_dimension(losses, metric="mean_absolute", num_repeats=REPEATS)


def _with_shared_distances(weights: np.ndarray, losses: np.ndarray) -> float:
    """Seconds of ripser on parts of each metric's matrix, and of a linear system for the magnitude."""
    matrices: list[np.ndarray] = []
    once = wall(lambda: matrices.append(pairwise_distances(weights)))
    once += wall(lambda: matrices.append(pairwise_distances(losses, metric="manhattan") / NUM_EXAMPLES))
    once += wall(lambda: diagram(matrices[0], distance_matrix=True))
    once += wall(lambda: np.linalg.solve(np.exp(-SCALE * matrices[0].astype(float)), np.ones(NUM_POINTS)).sum())
    fits = [
        wall(lambda m=matrix: [diagram(m[np.ix_(o, o)], distance_matrix=True) for o in _subsamples()])
        for matrix in matrices
    ]
    return once + REPEATS * sum(fits)


def _subsamples() -> list[np.ndarray]:
    """Nested, of the sizes that a fit takes."""
    order = np.random.default_rng(0).permutation(NUM_POINTS)
    return [order[:n] for n in SIZES]


def _resident(which: str) -> int:
    """VmRSS, resident now, or VmHWM, the most since the mark was last reset; in bytes, of Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024


if __name__ == "__main__":
    points = _trajectory()
    Path("/proc/self/clear_refs").write_text("5")  # resets the mark
    before = _resident("VmRSS")
    _ours(*points)
    print(_resident("VmHWM") - before)
