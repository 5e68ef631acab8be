"""Neural collapse: how close features and classifier have come to a simplex of equal, equally spread classes."""

import weakref
from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from atml_exp.data import Split, suits
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import penultimate_features

__all__ = ["CollapseAccumulator", "collapse_of", "neural_collapse"]

ROWS = 1024
"""Examples that an accumulator takes in at once."""

PARKED = 2**25
"""Bytes of features that are held in memory for NC4; what comes after them lies in a temporary file."""


@suits("classification")
def collapse_of(model: nn.Module, data: Split) -> dict[str, Value]:
    """NC1–NC4 of a model on `data`, in eval mode: `neural_collapse` of the input of its last linear layer.

        NC1 = tr(Σ_W Σ_B†)/C
        NC2 = mean_{c ≠ c′} |cos(μ_c − μ_G, μ_{c′} − μ_G) + 1/(C − 1)|
        NC3 = ‖W/‖W‖_F − Ṁᵀ/‖Ṁ‖_F‖_F
        NC4 = P(argmax_c (w_c·h + b_c) ≠ argmin_c ‖h − μ_c‖)

    Besides, as arrays, `cosines_means` and `cosines_weights` (C, C): between the centred class means, and between
    the rows of the classifier; off the diagonal −1/(C−1) at collapse, and 1 between two classes that have merged
    (minority collapse: Fang, He, Long & Su 2021, Exploring deep neural networks via layer-peeled model).
    Raises ValueError if the model doesn't end in an nn.Linear, and where `neural_collapse` does.
    """
    features, last = penultimate_features(model, data.x)
    found = neural_collapse(features, data.y, last.weight, last.bias)
    w, h = as_float64(last.weight.detach()), as_float64(features)
    means = _class_means(h, data.y.to(h.device).long(), len(w))
    return {**found, "cosines_means": _cosines(means - means.mean(0)), "cosines_weights": _cosines(w)}


def neural_collapse(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, float]:
    """NC1–NC4 of Papyan, Han & Donoho (2020), Prevalence of neural collapse; each is 0 at full collapse.

    With the class means μ_c (C, D), their mean μ_G (each class counts the same, whatever its size), Ṁ the
    matrix of the columns μ_c − μ_G, Σ_W = (1/N) Σ_i (h_i − μ_{y_i})(h_i − μ_{y_i})ᵀ and Σ_B = (1/C) Ṁ Ṁᵀ:

    nc1: Tr(Σ_W Σ_B†)/C, the pseudo-inverse truncated to Σ_B's numerical rank, at most C−1.
    cdnv: mean over c ≠ c′ of (σ_c² + σ_c′²)/(2‖μ_c − μ_c′‖²), σ_c² the mean of ‖h − μ_c‖² over class c, the
        class-distance normalised variance of Galanti, György & Hutter (2022), On the role of neural collapse in
        transfer learning; infinite where two means coincide.
    nc2_equinorm_means, nc2_equinorm_weights: std/mean of ‖μ_c − μ_G‖ and of ‖w_c‖; population std (divisor C).
    nc2_equiangle_means, nc2_equiangle_weights: mean over c ≠ c′ of |cos + 1/(C−1)|, of the same vectors.
    nc2_etf_means, nc2_etf_weights: ‖AAᵀ/‖AAᵀ‖_F − (I − 11ᵀ/C)/√(C−1)‖_F of A = Ṁᵀ and of A = W: the distance to
        an equiangular tight frame, norms and angles in one (Zhu et al. 2021, A geometric analysis of neural
        collapse with unconstrained features).
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
    means = _class_means(h, y, len(w))
    within = h - means[y]
    spread = one_hot(y, len(w)).to(h.dtype).T @ within.square().sum(1)
    moments = _Moments(torch.bincount(y, minlength=len(w)), means, spread, lambda v: (within @ v).square().sum(0))
    return _measures(moments, [h], w, bias, torch.finfo(features.dtype).eps * h.abs().max())


class CollapseAccumulator:
    """NC1–NC4 of features that come batch by batch, in one pass and in bounded memory.

        accumulator = CollapseAccumulator()
        for x, y in batches:
            accumulator.update(features(x), y)
        accumulator.compute(last.weight, last.bias)    # the same mapping as `neural_collapse`

    Kept are counts, class means and the second moment within classes, (D, D) in float64, about a first estimate of
    the means, so that nothing cancels near collapse. NC4 asks of each example which of 2C directions, known only at
    the end, it lies nearest to, which no sums can answer: the features wait for it, beyond `PARKED` bytes in a
    temporary file and not in memory. decisions = False leaves NC4 out, and nothing waits.
    """

    def __init__(self, *, decisions: bool = True) -> None:
        self._waiting = _Parked() if decisions else None
        self._counts = torch.zeros(0, dtype=torch.int64)
        self._first = torch.zeros(0, 0, dtype=torch.float64)
        self._sums, self._spread = self._first.clone(), torch.zeros(0, dtype=torch.float64)
        self._moment = torch.zeros(0, 0, dtype=torch.float64)
        self._largest = 0.0
        self._epsilon = 0.0

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Takes in features (B, D) of B examples and their labels (B,), integers from 0.

        Raises ValueError on a shape or type that doesn't fit, and on a value that isn't finite.
        """
        features, labels = torch.as_tensor(features).detach(), torch.as_tensor(labels)
        _check_features(features, labels)
        if len(labels) == 0:
            return
        if int(labels.min()) < 0:
            raise ValueError(f"labels hold {int(labels.min())}: classes are 0, 1, …")
        self._make_room(features, int(labels.max()) + 1)
        y = labels.to(self._moment.device).long()
        for h_part, y_part in zip(features.split(ROWS), y.split(ROWS), strict=True):
            self._add(h_part.to(self._moment, copy=True), y_part)
        self._largest = max(self._largest, *(x.abs().item() for x in features.aminmax()))
        self._epsilon = max(self._epsilon, torch.finfo(features.dtype).eps)
        if self._waiting is not None:
            self._waiting.add(features)

    def compute(self, weight: Tensor, bias: Tensor | None) -> dict[str, float]:
        """`neural_collapse` of all features so far, and its errors; weight (C, D), bias (C,) or None."""
        weight = torch.as_tensor(weight).detach()
        bias = None if bias is None else torch.as_tensor(bias).detach()
        if len(self._counts) == 0:
            raise ValueError("no features have come yet: call update first")
        if weight.dim() != 2 or weight.shape[1] != self._moment.shape[1]:
            raise ValueError(f"weight has the shape {tuple(weight.shape)}: it must be (C, {self._moment.shape[1]})")
        _check_classifier(weight, bias)
        _check_classes(self._counts.nonzero()[:, 0].tolist(), len(weight))
        shift = self._sums / self._counts[:, None]
        moment = self._moment - (self._counts[:, None] * shift).T @ shift
        moments = _Moments(
            self._counts,
            self._first + shift,
            self._spread - self._counts * shift.square().sum(1),
            lambda v: ((moment @ v) * v).sum(0).clamp(min=0),
        )
        parts = [] if self._waiting is None else map(as_float64, self._waiting)
        return _measures(
            moments, parts, as_float64(weight), bias, self._moment.new_tensor(self._epsilon * self._largest)
        )

    def _add(self, h: Tensor, y: Tensor) -> None:
        """h, which is written into: a few rows, so that they stay in the cache from one operation to the next."""
        members = one_hot(y, len(self._counts)).to(h.dtype)
        counts = members.sum(0)
        new = (self._counts == 0) & (counts > 0)
        if new.any():
            self._first[new] = (members.T @ h)[new] / counts[new, None]
        h -= self._first[y]
        self._counts += counts.long()
        self._sums += members.T @ h
        self._spread += members.T @ torch.linalg.vector_norm(h, dim=1).square()
        self._moment.addmm_(h.T, h)

    def _make_room(self, features: Tensor, num_classes: int) -> None:
        h = as_float64(features[:0])
        if len(self._counts) == 0:
            self._moment = h.new_zeros(h.shape[1], h.shape[1])
        elif h.shape[1] != self._moment.shape[1]:
            raise ValueError(f"features have {h.shape[1]} dimensions, and had {self._moment.shape[1]} before")
        more = num_classes - len(self._counts)
        if more > 0:
            self._counts = torch.cat([self._counts.to(h.device), self._counts.new_zeros(more, device=h.device)])
            self._spread = torch.cat([self._spread.to(h.device), h.new_zeros(more)])
            empty = h.new_zeros(more, h.shape[1])
            self._first = torch.cat([self._first.to(h.device).view(-1, h.shape[1]), empty])
            self._sums = torch.cat([self._sums.to(h.device).view(-1, h.shape[1]), empty])


class _Parked:
    """Features in the order in which they came, of which a bounded part is in memory."""

    def __init__(self) -> None:
        self._in_memory: list[Tensor] = []
        self._file: IO[bytes] | None = None
        self._on_disk: list[tuple[tuple[int, ...], torch.dtype, torch.device]] = []

    def add(self, features: Tensor) -> None:
        held = sum(t.numel() * t.element_size() for t in self._in_memory)
        if self._file is None and held + features.numel() * features.element_size() <= PARKED:
            self._in_memory.append(features.clone())
            return
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 (closed, and so deleted, with this object)
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        self._file.write(features.cpu().contiguous().view(torch.uint8).numpy().data)
        self._on_disk.append((tuple(features.shape), features.dtype, features.device))

    def __iter__(self) -> Iterator[Tensor]:
        yield from self._in_memory
        if self._file is None:
            return
        self._file.seek(0)
        for shape, dtype, device in self._on_disk:
            size = int(np.prod(shape)) * dtype.itemsize
            yield torch.frombuffer(bytearray(self._file.read(size)), dtype=dtype).view(shape).to(device)


class _Moments(NamedTuple):
    """counts (C,), means (C, D), spread (C,): Σ ‖h − μ_c‖² over a class, along: directions (D, k) → (k,), the
    sums of ((h − μ_y)·v)² over all examples.
    """

    counts: Tensor
    means: Tensor
    spread: Tensor
    along: Callable[[Tensor], Tensor]


def _measures(
    moments: _Moments, features: Iterable[Tensor], w: Tensor, bias: Tensor | None, epsilon: Tensor
) -> dict[str, float]:
    """All of them. epsilon: the rounding of the largest feature. Without features nc4 is left out."""
    centre = moments.means.mean(0)
    m = moments.means - centre
    rounding = epsilon * m.shape[1] ** 0.5  # of one class mean
    if not (m.norm(dim=1) > rounding).all():
        raise ValueError("a class mean coincides with the mean of the class means: its direction is undefined")
    found = {
        "nc1": _nc1(moments, m, rounding * len(m) ** 0.5),
        "cdnv": _cdnv(moments),
        "nc2_equinorm_means": _equinorm(m),
        "nc2_equinorm_weights": _equinorm(w),
        "nc2_equiangle_means": _equiangle(m),
        "nc2_equiangle_weights": _equiangle(w),
        "nc2_etf_means": _etf_distance(m),
        "nc2_etf_weights": _etf_distance(w),
        "nc3": (w / w.norm() - m / m.norm()).norm().item(),
    }
    b = as_float64(bias) if bias is not None else w.new_zeros(len(w))
    differing = [int(((h @ w.T + b).argmax(1) != _nearest(h - centre, m)).sum()) for h in features]
    return found | ({"nc4": sum(differing) / int(moments.counts.sum())} if differing else {})


def _check(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if features.dim() != 2 or weight.dim() != 2 or features.shape[1] != weight.shape[1]:
        shapes = f"{tuple(features.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"features and weight have the shapes {shapes}: they must be (N, D) and (C, D)")
    _check_features(features, labels)
    _check_classifier(weight, bias)
    _check_classes(labels.unique().tolist(), len(weight))


def _check_features(features: Tensor, labels: Tensor) -> None:
    if features.dim() != 2:
        raise ValueError(f"features have the shape {tuple(features.shape)}: they must be (N, D)")
    if labels.shape != features.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}: they must be integers, "
            f"one for each of the {len(features)} features"
        )
    _check_finite("features", features)


def _check_classifier(weight: Tensor, bias: Tensor | None) -> None:
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias has the shape {tuple(bias.shape)}: it must be ({len(weight)},), as weight has")
    _check_finite("weight", weight)
    if bias is not None:
        _check_finite("bias", bias)
    if not (weight.norm(dim=1) > 0).all():
        raise ValueError("weight holds a row of zeros: its direction is undefined")


def _check_finite(name: str, tensor: Tensor) -> None:
    if not tensor.isfinite().all():
        raise ValueError(f"{name} holds a value that isn't finite (NaN or infinity)")


def _check_classes(present: list[int], num_classes: int) -> None:
    """present: the classes that have examples, in order."""
    if len(present) < 2:
        raise ValueError(f"labels hold {len(present)} class: neural collapse compares at least 2")
    if present[0] < 0 or present[-1] >= num_classes:
        raise ValueError(f"labels run from {present[0]} to {present[-1]}: weight has classes 0 … {num_classes - 1}")
    if missing := sorted(set(range(num_classes)) - set(present)):
        raise ValueError(f"no example is of class {missing[0]}: each of the {num_classes} classes needs one")


def _class_means(h: Tensor, y: Tensor, num_classes: int) -> Tensor:
    members = one_hot(y, num_classes).to(h.dtype)
    return members.T @ h / members.sum(0)[:, None]


def _nc1(moments: _Moments, m: Tensor, rounding: Tensor) -> float:
    """Σ_B† has the eigenpairs (v_i, C/s_i²), Ṁᵀ = Σ u_i s_i v_iᵀ; hence the trace is C Σ_i mean((h·v_i/s_i)²).

    Singular values that the rounding of Ṁ alone would give count as 0.
    """
    _, s, v = torch.linalg.svd(m, full_matrices=False)
    rank = min(int((s > rounding).sum()), len(m) - 1)
    along = moments.along(v[:rank].T)
    return (along / s[:rank].square()).sum().item() / int(moments.counts.sum())


def _cdnv(moments: _Moments) -> float:
    variances = moments.spread / moments.counts
    distances = (moments.means[:, None] - moments.means).square().sum(-1)
    off_diagonal = _off_diagonal(distances)
    return ((variances[:, None] + variances) / (2 * distances))[off_diagonal].mean().item()


def _equinorm(rows: Tensor) -> float:
    norms = rows.norm(dim=1)
    return (norms.std(correction=0) / norms.mean()).item()


def _equiangle(rows: Tensor) -> float:
    cosines = _cosines(rows)
    return (cosines[_off_diagonal(cosines)] + 1 / (len(rows) - 1)).abs().mean().item()


def _cosines(rows: Tensor) -> Tensor:
    unit = rows / rows.norm(dim=1, keepdim=True)
    return unit @ unit.T


def _etf_distance(rows: Tensor) -> float:
    c, gram = len(rows), rows @ rows.T
    simplex = (torch.eye(c).to(gram) - 1 / c) / (c - 1) ** 0.5
    return (gram / gram.norm() - simplex).norm().item()


def _off_diagonal(square: Tensor) -> Tensor:
    return ~torch.eye(len(square), dtype=torch.bool, device=square.device)


def _nearest(h: Tensor, means: Tensor) -> Tensor:
    """Index (N,) of the nearest row of `means`: argmin ‖h − μ‖² = argmax h·μ − ‖μ‖²/2."""
    return (h @ means.T - means.square().sum(1) / 2).argmax(1)
