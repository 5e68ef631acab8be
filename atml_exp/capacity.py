"""Training and test risk by capacity, where theory has them exactly: least squares on polynomials, k-NN.

Needs no torch, so that figures can draw it.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr
from scipy.stats import binom

__all__ = [
    "Function",
    "Risks",
    "bayes_error",
    "cover_hart_bound",
    "grid",
    "nearest_neighbours_error",
    "polynomial_risks",
    "values",
]

Function = Literal["sine", "runge", "step"]


class Risks(NamedTuple):
    """Of squared errors without a factor ½. training, test: expectations; bias, variance: the parts of
    test = noise + bias + variance. training_spread, test_spread: standard deviations over data sets.
    """

    training: float
    test: float
    bias: float
    variance: float
    training_spread: float
    test_spread: float


def grid(number: int) -> np.ndarray:
    """The midpoints of so many equal parts of [−1, 1].

    >>> grid(4).tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """
    return (2 * np.arange(number) + 1) / number - 1


def values(function: Function, x: ArrayLike) -> np.ndarray:
    """f(x), shaped like x: sine sin 2πx, runge 1/(1 + 25x²), step sign(x) with sign(0) = 1. ValueError for others.

    >>> values("runge", [0.0, 0.2]).tolist()
    [1.0, 0.5]
    """
    at = np.asarray(x, dtype=float)
    if function == "sine":
        return np.sin(2 * np.pi * at)
    if function == "runge":
        return 1 / (1 + 25 * at**2)
    if function == "step":
        return np.where(at < 0, -1.0, 1.0)
    raise ValueError(f"function is {function!r}: allowed: {', '.join(get_args(Function))}")


def polynomial_risks(
    degree: int, x: ArrayLike, x_test: ArrayLike, truth: ArrayLike, truth_test: ArrayLike, noise: float
) -> Risks:
    """Risks of least squares on polynomials up to a degree, of given x (N,), y = truth + noise·N(0, 1).

    With H (N, p) the features and P the projector on their span, the training risk is in expectation
    ‖(1 − P)f‖²/N + noise²(1 − p/N); the test risk noise² + mean (f − h·H⁺f)² + noise²·mean ‖h·H⁺‖² over the test
    inputs, whose y have noise of their own. Of p > N the least norm, of Legendre polynomials of mean square 1.
    Spreads are those of quadratic forms in Gaussians, 2tr(A²) + 4‖Ab‖². ValueError where x and truth differ in
    length, for degree < 0 or noise < 0.

    >>> risks = polynomial_risks(1, [-1.0, 0.0, 1.0], [0.0], [0.0, 0.0, 0.0], [0.0], noise=1.0)
    >>> [round(r, 4) for r in risks[:4]]
    [0.3333, 1.3333, 0.0, 0.3333]
    """
    f, f_test = np.asarray(truth, dtype=float), np.asarray(truth_test, dtype=float)
    if degree < 0 or noise < 0 or f.shape != np.shape(x) or f_test.shape != np.shape(x_test):
        raise ValueError(
            f"degree = {degree}, noise = {noise}, x and truth {np.shape(x)} and {f.shape}, of the test "
            f"{np.shape(x_test)} and {f_test.shape}: allowed are degree ≥ 0, noise ≥ 0 and equal shapes"
        )
    h, h_test = _features(degree, x), _features(degree, x_test)
    smoother = np.linalg.pinv(h, rcond=1e-12)
    left = np.eye(len(f)) - h @ smoother  # what the fit leaves of y
    weights = h_test @ smoother
    missed = weights @ f - f_test
    variance = noise**2
    training, training_spread = _quadratic(left, left @ f, variance)
    excess, excess_spread = _quadratic(weights, missed, variance)
    bias = float((missed**2).mean())
    own = (2 * variance**2 + 4 * variance * excess) / len(f_test)  # of the test examples' noise
    test_spread = float(np.sqrt(excess_spread**2 + own))
    return Risks(training, variance + excess, bias, excess - bias, training_spread, test_spread)


def _features(degree: int, x: ArrayLike) -> np.ndarray:
    return legvander(np.asarray(x, dtype=float), degree) * np.sqrt(2 * np.arange(degree + 1) + 1)


def _quadratic(a: np.ndarray, b: np.ndarray, variance: float) -> tuple[float, float]:
    """Mean and standard deviation of ‖Aε + b‖²/n, ε ~ N(0, variance·I), A (n, N)."""
    gram = a.T @ a
    mean = (b @ b + variance * np.trace(gram)) / len(b)
    spread = 2 * variance**2 * (gram**2).sum() + 4 * variance * ((a.T @ b) ** 2).sum()
    return float(mean), float(np.sqrt(spread)) / len(b)


def bayes_error(separation: float, spread: float = 1.0) -> float:
    """Φ(−separation/(2·spread)), R*: of two equally likely Gaussians N(±½separation, spread²·I).

    >>> round(bayes_error(2.0), 4)
    0.1587
    """
    return float(ndtr(-separation / (2 * spread)))


def cover_hart_bound(bayes: float, num_classes: int = 2) -> float:
    """R*(2 − R*·C/(C − 1)): what the error of the nearest neighbour tends to at most, 2R*(1 − R*) of two classes.

    Cover & Hart (1967), Nearest neighbor pattern classification, eq. 2; it tends to R* at least, both for as many
    training examples as one likes. ValueError outside 0 ≤ R* ≤ 1 − 1/C.

    >>> cover_hart_bound(0.5), cover_hart_bound(0.25)
    (0.5, 0.375)
    """
    if not (num_classes >= 2 and 0 <= bayes <= 1 - 1 / num_classes):
        raise ValueError(f"bayes is {bayes} of {num_classes} classes: allowed is 0 to 1 − 1/C, C ≥ 2")
    return bayes * (2 - bayes * num_classes / (num_classes - 1))


def nearest_neighbours_error(k: int, separation: float, spread: float = 1.0) -> float:
    """What the error of k neighbours tends to as examples grow in number, k fixed, of two such Gaussians.

    E[η P(B ≤ k/2) + (1 − η) P(B > k/2)], η the probability of class 1 at x and B ~ Bin(k, η): the neighbours'
    classes are then as if drawn at x itself (Cover & Hart 1967). For k = 1 this is E[2η(1 − η)]; of even k a tie
    goes to class 0, which gives what k − 1 gives. On a fine grid. ValueError for k < 1.

    >>> round(nearest_neighbours_error(1, 0.0), 6), round(nearest_neighbours_error(10**6 + 1, 2.0), 4)
    (0.5, 0.1587)
    """
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    gap = separation / spread
    t = np.linspace(-gap / 2 - 9, gap / 2 + 9, 20001)  # along the means, in units of the spread
    density = (np.exp(-((t - gap / 2) ** 2) / 2) + np.exp(-((t + gap / 2) ** 2) / 2)) / (2 * np.sqrt(2 * np.pi))
    eta = expit(gap * t)
    one = binom.sf(k // 2, k, eta)
    return float((density * (eta * (1 - one) + (1 - eta) * one)).sum() * (t[1] - t[0]))
