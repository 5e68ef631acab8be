"""Each method at the loosest tolerance that is accurate enough, so that speeds are compared at equal accuracy."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

__all__ = ["Tuned", "tuned"]


@dataclass(frozen=True)
class Tuned:
    """A method at the setting that it needs: run(seed) → values; their largest relative error over the trials."""

    run: Callable[[int], Any]
    error: float
    seconds: float


def tuned(
    variants: Sequence[Callable[[float, int], Any]],
    truth: Any,
    accuracy: float,
    *,
    trials: int = 10,
    tolerances: Sequence[float] = tuple(10.0**-n for n in range(8)),
) -> Tuned:
    """The fastest of a method's variants(tolerance, seed), each at the loosest tolerance that is accurate enough.

    Accurate: in all trials, seeds 0, 1, …, each value within `accuracy` of the truth's magnitude.
    RuntimeError where no tolerance is.
    """
    found = [
        t for v in variants if (t := _loosened(v, np.asarray(truth), accuracy, trials, tolerances)) is not None
    ]
    if not found:
        raise RuntimeError(f"{variants[0]} doesn't reach a relative error of {accuracy} at any tolerance")
    return min(found, key=lambda t: t.seconds)


def _loosened(
    variant: Callable[[float, int], Any],
    truth: np.ndarray,
    accuracy: float,
    trials: int,
    tolerances: Sequence[float],
) -> Tuned | None:
    for tolerance in tolerances:
        run = partial(variant, tolerance)
        tried: list[tuple[float, float]] = []
        while len(tried) < trials and all(error <= accuracy for error, _ in tried):
            tried.append(_tried(run, len(tried), truth))
        errors, seconds = zip(*tried, strict=True)
        if max(errors) <= accuracy:
            return Tuned(run, max(errors), statistics.median(seconds))
    return None


def _tried(run: Callable[[int], Any], seed: int, truth: np.ndarray) -> tuple[float, float]:
    """The largest relative error and the seconds that it took."""
    began = time.perf_counter()
    values = run(seed)
    return _error(values, truth), time.perf_counter() - began


def _error(values: Any, truth: np.ndarray) -> float:
    return float(np.max(np.abs(np.asarray(values) - truth) / np.abs(truth)))
