"""What the best rules can do on two noisy moons, from their density. Needs no torch."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

__all__ = ["bayes_error", "best_line_error", "moon_log_odds"]

ANGLES = 120


def moon_log_odds(points: ArrayLike, noise: float) -> np.ndarray:
    """log p(x | 1) − log p(x | 0) (…,) at points (…, 2) of dataset=two_moons: its Bayes rule answers 1 above 0.

    Each density is a half circle's, its angle uniform on [0, π], blurred by N(0, noise²·I); the integral over the
    angle by the midpoint rule with 120 points, which is enough for noise ≥ 0.05. ValueError for noise ≤ 0 or points
    that aren't (…, 2).

    >>> moon_log_odds([[0.5, 0.25]], 0.2).round(9).tolist()
    [0.0]
    """
    at = np.asarray(points, dtype=float)
    if at.shape[-1:] != (2,):
        raise ValueError(f"points are {at.shape}: they must be (…, 2)")
    # the second moon is the first one turned about (½, ¼) by half a circle
    return _log_density(np.array([1, 0.5]) - at, noise) - _log_density(at, noise)


def bayes_error(noise: float, *, side: int = 120) -> float:
    """½∫min(p₀, p₁), the error of the best rule of all, by the midpoint rule on side² points out to 6 noise.

    >>> round(bayes_error(0.1), 4), round(bayes_error(5.0), 2)
    (0.0006, 0.45)
    """
    low, high = np.array([-1.0, -0.5]) - 6 * noise, np.array([2.0, 1.0]) + 6 * noise
    steps = (high - low) / side
    first, second = (a + s * (np.arange(side) + 0.5) for a, s in zip(low, steps, strict=True))
    grid = np.stack(np.meshgrid(first, second), -1)
    one, other = _log_density(grid, noise), _log_density(np.array([1, 0.5]) - grid, noise)
    return float(0.5 * np.exp(np.minimum(one, other)).sum() * steps.prod())


def best_line_error(noise: float) -> float:
    """The least error of any straight line: of 180 directions and 250 offsets, 2° and 0.02 apart.

    Of a line with unit normal u and offset b the error is ½P(⟨u, x⟩ > b | 0) + ½P(⟨u, x⟩ ≤ b | 1), each of which is
    a mean of Φ over the moon's angle. ValueError for noise ≤ 0.

    >>> 0.1 < best_line_error(0.1) < 0.13
    True
    """
    _check(noise)
    turn = 2 * np.pi * np.arange(180) / 180
    centres = _half_circle() @ np.stack([np.cos(turn), np.sin(turn)])  # (angles, directions)
    middle = np.cos(turn) + 0.5 * np.sin(turn)
    offsets = np.linspace(-2.5, 2.5, 250)[:, None, None]
    missed_first = ndtr((centres - offsets) / noise).mean(1)
    missed_second = ndtr((offsets - (middle - centres)) / noise).mean(1)
    return float((missed_first + missed_second).min() / 2)


def _half_circle() -> np.ndarray:
    t = np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    return np.stack([np.cos(t), np.sin(t)], 1)


def _log_density(at: np.ndarray, noise: float) -> np.ndarray:
    """Of class 0."""
    _check(noise)
    exponents = -((at[..., None, :] - _half_circle()) ** 2).sum(-1) / (2 * noise**2)
    most = exponents.max(-1, keepdims=True)
    mean = np.exp(exponents - most).mean(-1)
    return np.log(mean) + most[..., 0] - np.log(2 * np.pi * noise**2)


def _check(noise: float) -> None:
    if not noise > 0:
        raise ValueError(f"noise is {noise}: it must be positive")
