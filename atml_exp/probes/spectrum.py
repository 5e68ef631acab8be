"""Spectrum of the Hessian: its largest eigenvalues with their eigenvectors, its trace, and its spectral density."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.linalg import Hessian, KrylovSpace, as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.memory import available_memory, gigabytes
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["Spectrum", "Trace", "hessian_spectrum", "hessian_trace", "operator_spectrum", "spectrum", "subset"]

LossFn = Callable[[Tensor, Tensor], Tensor]

GROUP = 32
"""Probe vectors that are drawn at a time."""


def spectrum(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    k: PositiveInt = 10,
    num_vectors: PositiveInt = 8,
    num_iterations: PositiveInt = 20,
    max_iterations: PositiveInt = 60,
    tolerance: Positive = 1e-4,
    num_examples: PositiveInt | None = None,
    keep_vectors: bool = False,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """Top k eigenvalues, trace and spectral density of ∇²L, L the mean loss over `data`, the model in eval mode.

        ∇²L v_i = λ_i v_i
        p(λ) = (1/P) Σ_i δ(λ − λ_i)
        tr ∇²L = E[zᵀ∇²L z]

    All from one block Lanczos run (see `hessian_spectrum`, whose options these are), in the parameters' dtype, the
    vectors in float64. num_examples: how many examples, drawn by `seed`; None: all of them.

    eigenvalues (k,), descending; residuals (k,): ‖Hv − λv‖ for the unit eigenvectors; errors (k,): what is left of
        the eigenvalues' errors; converged: whether all are within `tolerance` of the magnitude.
    eigenvectors (k, P): with `keep_vectors` only, float32, in the order of named_parameters.
    lowest: the smallest Ritz value, not below the smallest eigenvalue.
    trace, and trace_standard_error, over the start vectors (left out where there is one only): tr ∇²L.
    nodes, weights (num_vectors · num_iterations,): the density (1/P) Σ_i δ(λ − λ_i) as weights at nodes, which add
        up to 1; NaN and 0 fill the arrays up where the Krylov space was exhausted before.
    products: how many Hessian–vector products it took.

    Raises ValueError as `hessian_spectrum` does.
    """
    with evaluation_mode(model):
        chosen = subset(data, num_examples, seed)
        hessian = Hessian(model, loss, chosen.x, chosen.y, chunk_size=chunk_size)
        hessian.check_mean()
        found = _of_hessian(hessian, k, num_vectors, num_iterations, max_iterations, tolerance, seed)
    return _values(found, num_vectors * num_iterations, keep_vectors)


def subset(data: Split, num_examples: int | None, seed: int) -> Split:
    """So many examples, drawn without replacement by `seed`; all of them, in order, for None or too many."""
    if num_examples is None or num_examples >= len(data):
        return data
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data[order[:num_examples].to(data.x.device)]


def _values(found: "Spectrum", length: int, keep_vectors: bool) -> dict[str, Value]:
    values: dict[str, Value] = {
        "eigenvalues": found.eigenvalues,
        "residuals": found.residuals,
        "errors": found.errors,
        "converged": found.converged,
        "lowest": found.lowest,
        "trace": found.trace.estimate,
        "nodes": _filled(found.nodes, length, math.nan),
        "weights": _filled(found.weights, length, 0.0),
        "products": float(found.products),
    }
    if math.isfinite(found.trace.standard_error):
        values["trace_standard_error"] = found.trace.standard_error
    return values | ({"eigenvectors": found.eigenvectors.float()} if keep_vectors else {})


def _filled(values: Tensor, length: int, by: float) -> Tensor:
    return torch.cat([values, values.new_full((length - len(values),), by)])


@dataclass(frozen=True)
class Trace:
    """estimate: of the trace. standard_error: of the estimate; NaN where one sample doesn't tell, 0 where exact."""

    estimate: float
    standard_error: float


def hessian_trace(
    model: nn.Module,
    loss_fn: LossFn,
    x: Tensor,
    y: Tensor,
    num_samples: int = 100,
    seed: int = 0,
    *,
    chunk_size: int | None = None,
) -> Trace:
    """tr ∇²L of the mean loss, by Hutchinson's estimator: the mean of zᵀ∇²L z over random signs z (Rademacher).

    Unbiased; its variance for one sample is 2 Σ_{i≠j} H_ij², so it is exact for a diagonal Hessian from one sample
    on. `standard_error` is the sample standard deviation (divisor n − 1) over √n of independent samples; with one
    sample it is NaN. Not Hutch++ (Meyer et al. 2021): its samples share a subspace, so that their spread says less
    of its error.

    With respect to all parameters that require gradients. The model is used in the mode that it is in (call
    `model.eval()` for the usual convention) and is left untouched. loss_fn: (outputs, y) → mean over examples.
    chunk_size: examples at a time; vectors go in groups of at most 32, so that memory is bounded.
    Raises ValueError for num_samples < 1, for a loss that isn't a mean over examples, where products aren't finite,
    and where there is no Hessian (see `atml_exp.linalg.Hessian`).

    Hutchinson (1990), A stochastic estimator of the trace of the influence matrix.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> x, y = torch.diag(torch.tensor([2.0, 4.0])), torch.zeros(2, 1)
    >>> hessian_trace(model, lambda o, y: (o - y).square().sum() / (2 * len(y)), x, y, num_samples=3, seed=0)
    Trace(estimate=10.0, standard_error=0.0)
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}: it must be at least 1")
    hessian = Hessian(model, loss_fn, x, y, chunk_size=chunk_size)
    hessian.check_mean()
    forms = torch.cat(list(_quadratic_forms(hessian, num_samples, torch.Generator().manual_seed(seed))))
    if not forms.isfinite().all():
        raise ValueError("a product isn't finite: the loss has no finite second derivative here")
    return _mean(forms)


def _quadratic_forms(hessian: Hessian, num_samples: int, generator: torch.Generator) -> Iterator[Tensor]:
    """zᵀHz of random signs z, float64, a group at a time."""
    for first in range(0, num_samples, GROUP):
        shape = (min(GROUP, num_samples - first), hessian.size)
        z = 2 * torch.randint(2, shape, generator=generator, dtype=torch.int8).to(hessian.dtype) - 1
        z = z.to(hessian.device)
        yield (as_float64(z) * as_float64(hessian.products(z))).sum(1).cpu()


def _mean(samples: Tensor) -> Trace:
    error = samples.std().item() / math.sqrt(len(samples)) if len(samples) > 1 else math.nan
    return Trace(samples.mean().item(), error)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """What a block Lanczos run says of a symmetric operator on Rⁿ; float64, on the CPU but for the eigenvectors.

    eigenvalues: (k,), descending, Ritz values, which never exceed the true ones. eigenvectors: (k, n), unit Ritz
    vectors. residuals: (k,), ‖Av − λv‖. errors: (k,), what is left of λ's error, residual²/gap where the gap is
    resolved, else the residual. converged: each error is within the tolerance, or the operator's rounding.
    nodes, weights: (m,), descending nodes of the spectral density (1/n) Σ δ(λ − λ_i); the weights add up to 1.
    lowest: the smallest Ritz value. trace: from the same start vectors. exact: the Krylov space is all of Rⁿ; then
    nodes, weights and trace hold no chance. products: how often A was applied to a vector.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor
    residuals: Tensor
    errors: Tensor
    converged: bool
    nodes: Tensor
    weights: Tensor
    lowest: float
    trace: Trace
    exact: bool
    products: int


def hessian_spectrum(
    model: nn.Module,
    loss_fn: LossFn,
    x: Tensor,
    y: Tensor,
    k: int = 10,
    *,
    num_vectors: int = 8,
    num_iterations: int = 20,
    max_iterations: int = 60,
    tolerance: float = 1e-4,
    seed: int = 0,
    chunk_size: int | None = None,
) -> Spectrum:
    """`operator_spectrum` of ∇²L, L(w) = loss_fn(model(x), y), from `num_vectors` Gaussian vectors drawn by `seed`.

    With respect to all parameters that require gradients, end to end in the order of named_parameters; products in
    their dtype. The model is used in the mode that it is in and is left untouched. num_vectors is cut to the number
    of parameters.

    Raises ValueError as `operator_spectrum` does, for a loss that isn't a mean, where there is no Hessian (see
    `atml_exp.linalg.Hessian`), and where the Krylov vectors exceed the memory.
    """
    hessian = Hessian(model, loss_fn, x, y, chunk_size=chunk_size)
    hessian.check_mean()
    return _of_hessian(hessian, k, num_vectors, num_iterations, max_iterations, tolerance, seed)


def _of_hessian(
    hessian: Hessian,
    k: int,
    num_vectors: int,
    num_iterations: int,
    max_iterations: int,
    tolerance: float,
    seed: int,
) -> Spectrum:
    vectors = min(num_vectors, hessian.size)
    _check_memory(min(hessian.size, vectors * num_iterations), hessian)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(vectors, hessian.size, generator=generator, dtype=torch.float64).to(hessian.home)
    return operator_spectrum(
        hessian.products,
        start,
        k,
        num_iterations=num_iterations,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )


def _check_memory(rows: int, hessian: Hessian) -> None:
    needed, available = 12 * rows * hessian.size, available_memory(hessian.home)
    if available is not None and needed > available:
        raise ValueError(
            f"{rows} Lanczos vectors of {hessian.size:,} float64 numbers need {gigabytes(needed)}, and "
            f"{gigabytes(available)} are free: take fewer num_vectors or num_iterations"
        )


def operator_spectrum(
    products: Callable[[Tensor], Tensor],
    start: Tensor,
    k: int,
    *,
    num_iterations: int = 20,
    max_iterations: int = 60,
    tolerance: float = 1e-4,
) -> Spectrum:
    """Top k eigenvalues with eigenvectors, spectral density and trace of a symmetric operator, by block Lanczos.

    products: (b, n) → (b, n), the operator applied to each row. start: (b, n), random, each direction as likely
    as any other (Gaussian), so that the density at its quadrature's nodes is unbiased.

    The density is stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017; of Hessians Ghorbani, Krishnan & Xiao
    2019) by block: the Krylov space of s = `num_iterations` applications to all b start vectors holds that of each
    one. So its moments are those of b separate runs of s steps, vᵀAᵖv averaged over start vectors for p < 2s, and
    the space finds the top eigenvalues better than any of those, up to b copies of each. After that it goes on till
    the error of each of the k is below `tolerance` times its magnitude, or to `max_iterations`; no further than the
    space goes. Full reorthogonalisation in float64; memory: n float64 numbers for each product, half as many again.

    Raises ValueError where k isn't between 1 and n, or num_iterations · b is below k, or max_iterations below
    num_iterations, or a product isn't finite.
    """
    b, n = start.shape
    _check_options(k, b, n, num_iterations, max_iterations)
    space = KrylovSpace(products, as_float64(start), b * max_iterations)
    while not space.exhausted and space.done < b * num_iterations:
        space.step(min(b, b * num_iterations - space.done))
    exact = space.done == n
    nodes, weights = _all(space) if exact else space.quadrature()
    while True:
        values, residuals, errors = space.ritz(space.done)
        allowed = (tolerance * values[:k].abs()).clamp(min=space.noise)
        converged = len(values) >= k and bool((errors[:k] <= allowed).all())
        if converged or space.exhausted or space.done == b * max_iterations:
            break
        space.step(b)
    if len(values) < k:
        raise ValueError(
            f"the Krylov space of {b} start vectors holds {len(values)} dimensions only, fewer than k = {k}: "
            "take more num_vectors, one for each copy of a multiple eigenvalue"
        )
    return Spectrum(
        eigenvalues=values[:k],
        eigenvectors=space.ritz_vectors(k),
        residuals=residuals[:k],
        errors=errors[:k],
        converged=converged,
        nodes=nodes,
        weights=weights.mean(0),
        lowest=values[-1].item(),
        trace=Trace(nodes.sum().item(), 0.0) if exact else _mean(n * (weights @ nodes)),
        exact=exact,
        products=space.done,
    )


def _all(space: KrylovSpace) -> tuple[Tensor, Tensor]:
    """The n eigenvalues of an operator on all of the space, each with the weight 1/n."""
    values = space.ritz(space.done)[0]
    return values, torch.full((1, len(values)), 1 / len(values), dtype=torch.float64)


def _check_options(k: int, b: int, n: int, num_iterations: int, max_iterations: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}: it must be between 1 and the number of parameters, {n}")
    if max_iterations < num_iterations:
        raise ValueError(
            f"max_iterations is {max_iterations}: it must be at least num_iterations, {num_iterations}"
        )
    if min(n, b * num_iterations) < k:
        raise ValueError(
            f"num_iterations is {num_iterations}, with {b} start vectors: their product must be at least k, {k}"
        )
