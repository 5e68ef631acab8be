"""Neural collapse: how close features and classifier have come to a simplex of equal, equally spread classes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.data import Split, suits
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import penultimate_features

__all__ = ["collapse_of", "neural_collapse"]


@suits("classification")
def collapse_of(model: nn.Module, data: Split) -> dict[str, Value]:
    """NC1–NC4 of a model on `data`, in eval mode: `neural_collapse` of the input of its last linear layer.

    Raises ValueError if the model doesn't end in an nn.Linear, and where `neural_collapse` does.
    """
    features, last = penultimate_features(model, data.x)
    return {**neural_collapse(features, data.y, last.weight, last.bias)}


def neural_collapse(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, float]:
    """NC1–NC4 of Papyan, Han & Donoho (2020), Prevalence of neural collapse; each is 0 at full collapse.

    With the class means μ_c (C, D), their mean μ_G (each class counts the same, whatever its size), Ṁ the
    matrix of the columns μ_c − μ_G, Σ_W = (1/N) Σ_i (h_i − μ_{y_i})(h_i − μ_{y_i})ᵀ and Σ_B = (1/C) Ṁ Ṁᵀ:

    nc1: Tr(Σ_W Σ_B†)/C, the pseudo-inverse truncated to Σ_B's numerical rank, at most C−1.
    nc2_equinorm_means, nc2_equinorm_weights: std/mean of ‖μ_c − μ_G‖ and of ‖w_c‖; population std (divisor C).
    nc2_equiangle_means, nc2_equiangle_weights: mean over c ≠ c′ of |cos + 1/(C−1)|, of the same vectors.
    nc3: ‖W/‖W‖_F − Ṁᵀ/‖Ṁ‖_F‖_F.
    nc4: fraction of examples where argmax_c (w_c·h + b_c) isn't the nearest class mean.

    features (N, D), labels (N,) integers 0 … C−1, weight (C, D) of the last layer, bias (C,) or None. Computed
    in float64. Raises ValueError on a shape that doesn't fit, a value that isn't finite, fewer than two
    classes, a class without an example, class means that coincide with μ_G, and a class of weight zero.

    >>> etf = torch.eye(3, dtype=torch.float64) - 1 / 3
    >>> found = neural_collapse(etf, torch.arange(3), 2 * etf, None)
    >>> all(abs(value) < 1e-12 for value in found.values())
    True
    """
    features, labels, weight = map(torch.as_tensor, (features, labels, weight))
    bias = None if bias is None else torch.as_tensor(bias)
    _check(features, labels, weight, bias)
    h, w = as_float64(features), as_float64(weight)
    y = labels.to(h.device).long()
    b = as_float64(bias) if bias is not None else w.new_zeros(len(w))
    means = _class_means(h, y, len(w))
    centre = means.mean(0)
    m = means - centre
    rounding = torch.finfo(features.dtype).eps * h.abs().max() * h.shape[1] ** 0.5  # of one class mean
    if not (m.norm(dim=1) > rounding).all():
        raise ValueError("a class mean coincides with the mean of the class means: its direction is undefined")
    return {
        "nc1": _nc1(h - means[y], m, rounding * len(m) ** 0.5),
        "nc2_equinorm_means": _equinorm(m),
        "nc2_equinorm_weights": _equinorm(w),
        "nc2_equiangle_means": _equiangle(m),
        "nc2_equiangle_weights": _equiangle(w),
        "nc3": (w / w.norm() - m / m.norm()).norm().item(),
        "nc4": ((h @ w.T + b).argmax(1) != _nearest(h - centre, m)).double().mean().item(),
    }


def _check(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if features.dim() != 2 or weight.dim() != 2 or features.shape[1] != weight.shape[1]:
        shapes = f"{tuple(features.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"features and weight have the shapes {shapes}: they must be (N, D) and (C, D)")
    if labels.shape != features.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}: they must be integers, "
            f"one for each of the {len(features)} features"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias has the shape {tuple(bias.shape)}: it must be ({len(weight)},), as weight has")
    for name, tensor in (("features", features), ("weight", weight), ("bias", bias)):
        if tensor is not None and not tensor.isfinite().all():
            raise ValueError(f"{name} holds a value that isn't finite (NaN or infinity)")
    _check_classes(labels, len(weight))
    if not (weight.norm(dim=1) > 0).all():
        raise ValueError("weight holds a row of zeros: its direction is undefined")


def _check_classes(labels: Tensor, num_classes: int) -> None:
    present = labels.unique().tolist()
    if len(present) < 2:
        raise ValueError(f"labels hold {len(present)} class: neural collapse compares at least 2")
    if present[0] < 0 or present[-1] >= num_classes:
        raise ValueError(f"labels run from {present[0]} to {present[-1]}: weight has classes 0 … {num_classes - 1}")
    if missing := sorted(set(range(num_classes)) - set(present)):
        raise ValueError(f"no example is of class {missing[0]}: each of the {num_classes} classes needs one")


def _class_means(h: Tensor, y: Tensor, num_classes: int) -> Tensor:
    members = one_hot(y, num_classes).to(h.dtype)
    return members.T @ h / members.sum(0)[:, None]


def _nc1(within: Tensor, m: Tensor, rounding: Tensor) -> float:
    """Σ_B† has the eigenpairs (v_i, C/s_i²), Ṁᵀ = Σ u_i s_i v_iᵀ; hence the trace is C Σ_i mean((h·v_i/s_i)²).

    Singular values that the rounding of Ṁ alone would give count as 0.
    """
    _, s, v = torch.linalg.svd(m, full_matrices=False)
    rank = min(int((s > rounding).sum()), len(m) - 1)
    return (within @ v[:rank].T / s[:rank]).square().mean(0).sum().item()


def _equinorm(rows: Tensor) -> float:
    norms = rows.norm(dim=1)
    return (norms.std(correction=0) / norms.mean()).item()


def _equiangle(rows: Tensor) -> float:
    c = len(rows)
    unit = rows / rows.norm(dim=1, keepdim=True)
    off_diagonal = ~torch.eye(c, dtype=torch.bool, device=rows.device)
    return ((unit @ unit.T)[off_diagonal] + 1 / (c - 1)).abs().mean().item()


def _nearest(h: Tensor, means: Tensor) -> Tensor:
    """Index (N,) of the nearest row of `means`: argmin ‖h − μ‖² = argmax h·μ − ‖μ‖²/2."""
    return (h @ means.T - means.square().sum(1) / 2).argmax(1)
