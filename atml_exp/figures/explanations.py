"""What figures of explanations share: methods' names and colours, their maps, and agreement without torch."""

import itertools

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from atml_exp.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION
from atml_exp.runs import Run

__all__ = ["METHODS", "agreements", "between", "map_of", "pairwise_agreement"]

METHODS = {
    "gradient": ("gradient", BLUE),
    "smoothgrad": ("SmoothGrad", GREEN),
    "gradient_input": ("gradient × input", ORANGE),
    "integrated_gradients": ("integrated gr.", VERMILLION),
    "grad_cam": ("Grad-CAM", PURPLE),
    "edges": ("edges (control)", BLACK),
    "random": ("random order", GREY),
}
"""By the name that probes give them: what to call it, and its colour."""


def map_of(run: pd.Series, method: str) -> np.ndarray:
    """The run's explanations (K, D) of K examples, at the last step. KeyError where there are none."""
    maps = Run(str(run["directory"])).array(f"explanation_instability/{method}")[1][-1]
    return np.asarray(maps, dtype=float).reshape(len(maps), -1)


def between(one: np.ndarray, other: np.ndarray, *, absolute: bool = False) -> float:
    """Mean over K examples of Spearman's correlation of maps (K, D), 0 where one of an example's is constant.

    >>> between(np.array([[1.0, 2.0, -3.0]]), np.array([[1.0, 2.0, 3.0]]), absolute=True)
    1.0
    """
    a, b = (rankdata(np.abs(m) if absolute else m, axis=1) for m in (one, other))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return float(np.mean((a * b).sum(1) / np.where(size > 0, size, 1)))


def agreements(maps: list[np.ndarray], *, absolute: bool = False) -> list[float]:
    """`between` each pair of maps (K, D) of the same examples."""
    return [between(a, b, absolute=absolute) for a, b in itertools.combinations(maps, 2)]


def pairwise_agreement(maps: list[np.ndarray], *, absolute: bool = False) -> float:
    """Their mean; NaN for fewer than two maps."""
    found = agreements(maps, absolute=absolute)
    return float(np.mean(found)) if found else float("nan")
