"""The global minimiser of the unconstrained-features model, in closed form and by its convex programme.

The model: C classes of sizes n_c, N examples in all; the features h_i and the classifier W, without a bias, are all
free, and one minimises

    (1/N) Σ_i ℓ(W h_i, y_i) + ½λ(‖W‖² + Σ_i ‖h_i‖²)        (W as wide as there are classes, at least).

For a given matrix of logits Z = WH the least penalty is λ‖Z‖_*, the nuclear norm, so that the programme is convex
in Z; at its solution the features of a class are one vector (Zhu et al. 2021, A geometric analysis of neural
collapse with unconstrained features; Fang, He, Long & Su 2021, Exploring deep neural networks via layer-peeled
model). This module needs no torch, as figures draw it.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

__all__ = [
    "classifier_cosines",
    "collapsed_scale",
    "logits_at_minimum",
    "minority_merges",
    "vanishing_decay_cosines",
]


def collapsed_scale(
    num_classes: int, per_class: int, weight_decay: float, loss: Literal["cross_entropy", "mse"]
) -> float:
    """s of the logits s(I − 11ᵀ/C), column by class, at the global minimum with n = `per_class` examples of each.

        cross_entropy:  s = max(0, log(1/(λ√n) − C + 1))      (features and classifier are 0 where λ√n ≥ 1/C)
        mse:            s = max(0, 1 − λC√n)                   (½‖o − y‖², and a bias that takes the mean)

    W and the class means are s^½ n^¼ and s^½ n^−¼ times one simplex equiangular tight frame with Gram matrix
    I − 11ᵀ/C, whence ‖W‖² = Σ_i ‖h_i‖² = (C−1)s√n: along this ray the objective is ℓ(s) + λ(C−1)√n s, whose only
    stationary point it is (Zhu et al. 2021; of squared loss Zhou et al. 2022, On the optimization landscape of
    neural collapse under MSE loss). ValueError where num_classes < 2, per_class < 1 or weight_decay ≤ 0.

    >>> collapsed_scale(2, 4, 0.1, "cross_entropy") == math.log(5 - 1), collapsed_scale(2, 4, 0.1, "mse")
    (True, 0.6)
    """
    if num_classes < 2 or per_class < 1 or not weight_decay > 0:
        raise ValueError(
            f"num_classes = {num_classes}, per_class = {per_class}, weight_decay = {weight_decay}: allowed are at "
            "least 2 classes of at least 1 example, and weight_decay > 0 (without it there is no minimum)"
        )
    cost = weight_decay * math.sqrt(per_class)
    if loss == "mse":
        return max(0.0, 1 - num_classes * cost)
    return math.log(max(1.0, 1 / cost - num_classes + 1))


def logits_at_minimum(
    sizes: Sequence[int], weight_decay: float, *, tolerance: float = 1e-10, max_iterations: int = 100_000
) -> np.ndarray:
    """Z (C, C), cross-entropy's logits at the global minimum: column c those of each example of class c.

    The solution of min Σ_c (n_c/N) ℓ(z_c, c) + λ‖Z diag(√n_c)‖_*, by accelerated proximal steps with restarts,
    until a step changes Z diag(√n_c) by less than `tolerance` of its norm. ValueError for sizes that aren't
    positive, fewer than two classes, weight_decay ≤ 0, or where `max_iterations` don't suffice.

    >>> logits_at_minimum([4, 4], 0.1).round(6).tolist(), round(math.log(4) / 2, 6)
    ([[0.693147, -0.693147], [-0.693147, 0.693147]], 0.693147)
    """
    root = _roots(sizes)
    if not weight_decay > 0:
        raise ValueError(f"weight_decay = {weight_decay}: it must be > 0 (without it there is no minimum)")
    step = 2 * float(root @ root)  # one over the smoothness, as cross-entropy's Hessian in the logits is at most ½
    x = moving = np.zeros((len(root), len(root)))
    momentum = 1.0
    for _ in range(max_iterations):
        new = _shrunk(moving - step * _gradient(moving, root), step * weight_decay)
        change = new - x
        if np.vdot(moving - new, change) > 0:  # the momentum points uphill: O'Donoghue & Candès (2015)
            momentum = 1.0
        faster = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        settled = np.linalg.norm(new - moving) <= tolerance * max(float(np.linalg.norm(new)), 1.0)
        x, moving, momentum = new, new + (momentum - 1) / faster * change, faster
        if settled:
            return x / root
    raise ValueError(f"{max_iterations} proximal steps don't reach the minimum to {tolerance}: allow more")


def classifier_cosines(sizes: Sequence[int], weight_decay: float) -> np.ndarray:
    """Cosines (C, C) between the classifier's rows at cross-entropy's global minimum; NaN with a row of zeros.

    With the singular value decomposition Z diag(√n_c) = UΣVᵀ the rows have the Gram matrix WWᵀ = UΣUᵀ.

    >>> classifier_cosines([9, 9, 9], 0.02).round(6)[0].tolist()
    [1.0, -0.5, -0.5]
    """
    return _cosines(logits_at_minimum(sizes, weight_decay) * _roots(sizes))


def vanishing_decay_cosines(sizes: Sequence[int]) -> np.ndarray:
    """Cosines (C, C) between the classifier's rows as λ → 0, where the logits' *shape* is I − 11ᵀ/C at any sizes.

    The simplex-encoded-labels geometry of Thrampoulidis, Kini, Vakilian & Behnia (2022), Imbalance trouble:
    revisiting neural-collapse geometry: minority classes approach one another as the ratio grows, and merge at no
    finite one.

    >>> vanishing_decay_cosines([5, 5, 5]).round(6)[0].tolist()
    [1.0, -0.5, -0.5]
    """
    root = _roots(sizes)
    return _cosines((np.eye(len(root)) - 1 / len(root)) * root)


def minority_merges(size: int, num_train: int, weight_decay: float) -> bool:
    """Whether classes of the same `size` have one and the same classifier at cross-entropy's global minimum.

    They do where √n ≤ λN: with their rows equal, each gains (n/N) per unit of the logits along a direction that
    tells them apart, since ℓ's gradient in it is −1 whatever the other logits are, and pays λ√n for it (the
    threshold of minority collapse; Hong & Ling 2023, Neural collapse for unconstrained feature model under
    cross-entropy loss with imbalanced data).

    >>> minority_merges(4, 100, 0.02), minority_merges(5, 100, 0.02)
    (True, False)
    """
    return math.sqrt(size) <= weight_decay * num_train


def _roots(sizes: Sequence[int]) -> np.ndarray:
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes = {list(sizes)}: allowed are two classes or more, of at least 1 example each")
    return np.sqrt(np.asarray(sizes, dtype=float))


def _gradient(x: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy, in X = Z diag(√n_c)."""
    logits = x / root
    likely = np.exp(logits - logits.max(0))
    return (likely / likely.sum(0) - np.eye(len(root))) * root / float(root @ root)


def _shrunk(x: np.ndarray, by: float) -> np.ndarray:
    """Singular values less `by`: the proximal map of the nuclear norm."""
    u, s, vt = np.linalg.svd(x)
    return np.asarray((u * np.maximum(s - by, 0)) @ vt)


def _cosines(x: np.ndarray) -> np.ndarray:
    """Between the rows of (X Xᵀ)^¼, whose Gram matrix is UΣUᵀ of X = UΣVᵀ."""
    u, s, _ = np.linalg.svd(x)
    gram = (u * s) @ u.T
    lengths = np.sqrt(np.diag(gram))
    lengths[lengths < 1e-9 * max(lengths.max(), 1e-300)] = math.nan
    return np.asarray(gram / np.outer(lengths, lengths))
