"""The minimum f* of convex empirical losses of linear models, with a certificate. Needs no torch.

    f(w) = (1/N) Σ_i ℓ(⟨w, x_i⟩, y_i) + ½λ₂‖w‖² + λ₁‖w‖₁

with the conventions of `atml_exp.losses`: mse ½(o − y)², logistic log(1 + e^−m), hinge max(0, 1 − m) with the
margin m = (2y − 1)o. All weights are penalised; an offset is the weight of a constant feature 1, and penalised too,
as the optimisers' weight_decay does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from atml_exp.separability import separation, signed

__all__ = ["LOSSES", "Minimum", "minimise", "objective"]

LOSSES = ("mse", "logistic", "hinge")
ACCURACY = 1e-12


@dataclass(frozen=True)
class Minimum:
    """value: f*. weights: w* (D, K), of the least norm where there are several.

    certificate: by how much f* can be too large, at most, where it is a `duality gap`; or the norm of the gradient
    at w*. smoothness: L of f without λ₁‖w‖₁, None where it isn't smooth. strong_convexity: μ, of f, 0 where
    unknown. unique: whether w* is the only minimiser.
    """

    value: float
    weights: np.ndarray
    certificate: float
    certified_by: Literal["duality gap", "gradient norm"]
    smoothness: float | None
    strong_convexity: float
    unique: bool


def minimise(loss: str, x: ArrayLike, y: ArrayLike, *, l2: float = 0.0, l1: float = 0.0) -> Minimum:
    """min_w f(w) for inputs x (N, D) and targets y: (N,) or (N, K) for mse, (N,) in {0, 1} for logistic and hinge.

    mse: in closed form, or with l1 > 0, the lasso, by coordinate descent and the linear system of its support.
    logistic: Newton's method. hinge: an interior-point method for the dual, O(N D²) an iteration. All end at about
    rounding.

    Raises ValueError for another loss, for penalties that are negative, l1 > 0 with other losses than mse, hinge
    without l2 (its minimiser isn't unique), logistic without l2 on data that a hyperplane separates, completely or
    in part (there is no minimiser then: f falls for ever as w grows), and where the certificate isn't below 1e-12
    of the size of inputs and targets, as happens to hinge with l2 < 1e-5.

    >>> found = minimise("mse", [[1.0], [1.0]], [1.0, 3.0])
    >>> round(found.value, 9), found.weights.round(9).tolist(), round(found.strong_convexity, 9)
    (0.5, [[2.0]], 1.0)
    """
    inputs, targets = _checked(loss, x, y, l2, l1)
    if loss == "mse":
        found = _lasso(inputs, targets, l2, l1) if l1 > 0 else _ridge(inputs, targets, l2)
    else:
        found = (_logistic if loss == "logistic" else _hinge)(signed(inputs, targets[:, 0]), l2)
    unit = max(1.0, objective(loss, inputs, targets, np.zeros_like(found.weights)))
    if found.certified_by == "gradient norm":
        unit *= max(1.0, float(np.linalg.norm(inputs)))
    if not found.certificate <= ACCURACY * unit:
        raise ValueError(
            f"the minimum of {loss} with l2 = {l2:g}, l1 = {l1:g} was found to a {found.certified_by} of "
            f"{found.certificate:.1e} only: scale the inputs, or take a larger penalty"
        )
    return found


def objective(loss: str, x: ArrayLike, y: ArrayLike, w: ArrayLike, *, l2: float = 0.0, l1: float = 0.0) -> float:
    """f(w) for w (D, K), or (D,) for K = 1; see `minimise`.

    >>> objective("hinge", [[1.0], [2.0]], [1, 0], [0.0]), objective("mse", [[1.0]], [0.0], [2.0], l1=1.0)
    (1.0, 4.0)
    """
    inputs, targets = _checked(loss, x, y, l2, l1)
    weights = np.asarray(w, dtype=np.float64).reshape(inputs.shape[1], -1)
    outputs = inputs @ weights
    if outputs.shape != targets.shape:
        raise ValueError(f"w gives outputs {outputs.shape} for targets {targets.shape}: they must be equal")
    penalty = 0.5 * l2 * float((weights**2).sum()) + l1 * float(np.abs(weights).sum())
    if loss == "mse":
        return 0.5 * float(((outputs - targets) ** 2).sum()) / len(inputs) + penalty
    margins = (2 * targets - 1) * outputs
    each = np.logaddexp(0, -margins) if loss == "logistic" else np.maximum(0, 1 - margins)
    return float(each.mean()) + penalty


def _checked(loss: str, x: ArrayLike, y: ArrayLike, l2: float, l1: float) -> tuple[np.ndarray, np.ndarray]:
    if loss not in LOSSES:
        raise ValueError(f"loss = {loss!r}: its minimum isn't known; allowed: {', '.join(LOSSES)}")
    if not (l2 >= 0 and l1 >= 0):
        raise ValueError(f"l2 = {l2}, l1 = {l1}: penalties must be at least 0")
    if l1 > 0 and loss != "mse":
        raise ValueError(f"l1 = {l1} with loss = {loss}: allowed with mse (the lasso)")
    inputs, targets = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if inputs.ndim != 2 or targets.shape[:1] != inputs.shape[:1] or targets.ndim not in (1, 2) or not len(inputs):
        raise ValueError(f"x must be (N, D) and y (N,) or (N, K), N ≥ 1; got {inputs.shape} and {targets.shape}")
    targets = targets.reshape(len(inputs), -1)
    if loss != "mse":
        signed(inputs, targets[:, 0] if targets.shape[1] == 1 else targets)
    return inputs, targets


def _eigenvalues(x: np.ndarray) -> tuple[float, float]:
    """The largest and the smallest of XᵀX/N."""
    lengths = np.linalg.svd(x, compute_uv=False) ** 2 / len(x)
    low = float(lengths.min()) if x.shape[0] >= x.shape[1] else 0.0
    return float(lengths.max()), low if low > 1e-14 * lengths.max() else 0.0


def _ridge(x: np.ndarray, y: np.ndarray, l2: float) -> Minimum:
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = s > 1e-12 * s.max() if l2 == 0 else s >= 0
    inverse = np.where(kept, s / np.where(kept & (s + l2 > 0), s**2 + l2 * len(x), 1), 0)
    w = vt.T @ (inverse[:, None] * (u.T @ y))
    gradient = x.T @ (x @ w - y) / len(x) + l2 * w
    high, low = _eigenvalues(x)
    norm, mu = float(np.linalg.norm(gradient)), low + l2
    return Minimum(objective("mse", x, y, w, l2=l2), w, norm, "gradient norm", high + l2, mu, mu > 0)


def _lasso(x: np.ndarray, y: np.ndarray, l2: float, l1: float) -> Minimum:
    """With l2 as √(Nλ₂) times the identity below the inputs, and zeros below the targets."""
    n, d = x.shape
    rows = np.vstack([x, np.sqrt(n * l2) * np.eye(d)]) if l2 > 0 else x
    targets = np.vstack([y, np.zeros((d, y.shape[1]))]) if l2 > 0 else y
    columns = [_lasso_column(rows, t, n, l1) for t in targets.T]
    w = np.stack([column for column, _ in columns], 1)
    gap = sum(gap for _, gap in columns)
    high, low = _eigenvalues(x)
    mu = low + l2
    return Minimum(objective("mse", x, y, w, l2=l2, l1=l1), w, gap, "duality gap", high + l2, mu, mu > 0)


def _lasso_column(
    x: np.ndarray, y: np.ndarray, n: int, l1: float, passes: int = 20_000
) -> tuple[np.ndarray, float]:
    """argmin (1/2n)‖y − Xw‖² + l1‖w‖₁ and its duality gap."""
    lengths = (x**2).sum(0) / n
    w, best, least = np.zeros(x.shape[1]), np.zeros(x.shape[1]), np.inf
    accuracy = 1e-15 * max(float(y @ y) / (2 * n), 1e-300)
    for k in range(passes):
        left = y - x @ w  # afresh, so that rounding doesn't add up
        for j in np.flatnonzero(lengths):
            pull = x[:, j] @ left / n + lengths[j] * w[j]
            new = np.sign(pull) * max(0.0, abs(pull) - l1) / lengths[j]
            left += x[:, j] * (w[j] - new)
            w[j] = new
        if k % 10 == 0 or k == passes - 1:
            for candidate in (w, _on_support(x, y, n, l1, w)):
                gap = _lasso_gap(x, y, n, l1, candidate)
                if gap < least:
                    best, least = candidate.copy(), gap
            if least <= accuracy:
                break
    return best, max(least, 0.0)


def _on_support(x: np.ndarray, y: np.ndarray, n: int, l1: float, w: np.ndarray) -> np.ndarray:
    """The solution if these weights and no others are non-zero, with these signs."""
    kept, found = w != 0, np.zeros_like(w)
    part = x[:, kept]
    found[kept] = np.linalg.lstsq(part.T @ part / n, part.T @ y / n - l1 * np.sign(w[kept]), rcond=None)[0]
    return found


def _lasso_gap(x: np.ndarray, y: np.ndarray, n: int, l1: float, w: np.ndarray) -> float:
    """Primal less dual at the residual, shrunk until it is feasible."""
    left = y - x @ w
    slope = float(np.abs(x.T @ left).max()) / n
    theta = left * min(1.0, l1 / slope) if slope > 0 else left
    # ½‖r‖² − (½‖y‖² − ½‖y − θ‖²) with y = r + Xw, written without the difference of large numbers
    return float((left @ left - theta @ (2 * y - theta)) / (2 * n) + l1 * np.abs(w).sum())


def _logistic(z: np.ndarray, l2: float) -> Minimum:
    if l2 == 0 and (kind := separation(z, np.ones(len(z)))) != "none":
        raise ValueError(
            f"the data are separable ({kind}) and there is no penalty: the logistic loss has no minimiser, it "
            "falls for ever as ‖w‖ grows; allowed: l2 > 0"
        )
    n, d = z.shape
    w = np.zeros(d)

    def value(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -z @ w).mean()) + 0.5 * l2 * float(w @ w)

    for _ in range(200):
        p = np.exp(-np.logaddexp(0, z @ w))  # of the wrong answer
        gradient = l2 * w - z.T @ p / n
        curvature = (z * (p * (1 - p))[:, None]).T @ z / n + l2 * np.eye(d)
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        if float(gradient @ step) <= 1e-32 * max(1.0, value(w)):
            break
        w = w - _shortened(value, w, step, float(gradient @ step)) * step
    p = np.exp(-np.logaddexp(0, z @ w))
    norm = float(np.linalg.norm(l2 * w - z.T @ p / n))
    high, low = _eigenvalues(z)
    return Minimum(value(w), w[:, None], norm, "gradient norm", high / 4 + l2, l2, l2 > 0 or low > 0)


def _shortened(value: Callable[[np.ndarray], float], w: np.ndarray, step: np.ndarray, fall: float) -> float:
    """The first of 1, ½, ¼, … of Newton's step with which the value falls by a quarter of what it promises."""
    at, rate = value(w), 1.0
    while rate > 1e-8 and value(w - rate * step) > at - 0.25 * rate * fall + 1e-15 * abs(at):
        rate /= 2
    return rate


def _hinge(z: np.ndarray, l2: float) -> Minimum:
    """Mehrotra's predictor and corrector for the dual, max (1/N)Σβ_i − ½λ‖w‖² with w = Zᵀβ/(Nλ), 0 ≤ β_i ≤ 1."""
    if not l2 > 0:
        raise ValueError("hinge without a penalty: its minimiser isn't unique; allowed: l2 > 0")
    n = len(z)
    beta, low, high = np.full(n, 0.5), np.ones(n), np.ones(n)
    w, gap, last = np.zeros(z.shape[1]), np.inf, 0
    for k in range(100):
        now = z.T @ beta / (n * l2)
        margins = z @ now
        # primal less dual as what complementary slackness leaves, without the difference of large numbers
        found = float((np.maximum(0, 1 - margins) * (1 - beta) + np.maximum(0, margins - 1) * beta).mean())
        if found < gap:
            w, gap, last = now, found, k
        if gap <= 1e-16 or k > last + 5:
            break
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # where rounding is all that is left
            beta, low, high = _interior_step(z, l2, beta, low, high, margins)
        if not np.isfinite(beta).all():
            break
    value = float(np.maximum(0, 1 - z @ w).mean()) + 0.5 * l2 * float(w @ w)
    return Minimum(value, w[:, None], gap, "duality gap", None, l2, True)


def _interior_step(
    z: np.ndarray, l2: float, beta: np.ndarray, low: np.ndarray, high: np.ndarray, margins: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """β and the multipliers of β ≥ 0 and β ≤ 1, moved to margins − 1 = low − high, low·β = high·(1 − β) = 0."""
    room = np.maximum(1 - beta, 1e-300)
    solve = _solver(z, l2, low / beta + high / room)
    left = margins - 1 - low + high
    mu = float(low @ beta + high @ room) / (2 * len(beta))

    def direction(target: float, one: np.ndarray | float, two: np.ndarray | float) -> tuple[np.ndarray, ...]:
        from_low, from_high = (target - one) / beta - low, (target - two) / room - high
        d = solve(-left + from_low - from_high)
        return d, from_low - low / beta * d, from_high + high / room * d

    d, dl, dh = direction(0.0, 0.0, 0.0)
    a = _longest(beta, room, low, high, d, dl, dh)
    after = float((low + a * dl) @ (beta + a * d) + (high + a * dh) @ (room - a * d)) / (2 * len(beta))
    d, dl, dh = direction((after / mu) ** 3 * mu, d * dl, -d * dh)
    a = 0.995 * _longest(beta, room, low, high, d, dl, dh)
    return beta + a * d, low + a * dl, high + a * dh


def _solver(z: np.ndarray, l2: float, diagonal: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """b ↦ (diag + ZZᵀ/(Nλ))⁻¹b, through the smaller of the two Gram matrices."""
    n, d = z.shape
    if d >= n:
        matrix = np.diag(diagonal) + z @ z.T / (n * l2)
        return lambda b: np.linalg.solve(matrix, b)
    scaled = z / diagonal[:, None]
    small = n * l2 * np.eye(d) + z.T @ scaled
    return lambda b: b / diagonal - scaled @ np.linalg.solve(small, scaled.T @ b)


def _longest(*state: np.ndarray) -> float:
    """The part of a step, at most 1, that leaves β, 1 − β and both multipliers non-negative."""
    beta, room, low, high, d, dl, dh = state
    ratios = [-v[change < 0] / change[change < 0] for v, change in ((beta, d), (room, -d), (low, dl), (high, dh))]
    return float(min([1.0, *(r.min() for r in ratios if len(r))]))
