"""Curvature without the matrix: Hessian–vector products and the top of a symmetric operator's spectrum."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Hessian", "TopEigenvalues", "as_float64", "is_due", "ritz_errors", "top_eigenvalues"]

LossFn = Callable[[Tensor, Tensor], Tensor]


def as_float64(tensor: Tensor) -> Tensor:
    """The tensor in float64, on its own device, or on the CPU where the device has no float64 (MPS)."""
    return tensor.detach().to(_home(tensor.device)).to(torch.float64)


def _home(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device


class Hessian:
    """v ↦ ∇²L(w) v for the loss L(w) = loss_fn(model(x), y), w the P parameters that require gradients.

    The vector is flat (P,), in the order of `model.named_parameters()`. Double backward: the forward and the
    first backward graph are built once and serve every product. With `chunk_size`, products are accumulated
    over chunks of so many examples, each weighted by its share, and the graphs are built anew each time, so
    that memory is bounded by a chunk. The model is used in the mode that it is in and is left untouched:
    parameters, gradients, buffers, random state.

    loss_fn: (outputs, y) → mean over examples, scalar.
    Raises ValueError where there is no Hessian to speak of: no data, no trainable parameter, a loss that
    isn't a finite scalar, or one that differs between two evaluations (dropout in training mode).

    >>> model = nn.Linear(2, 1, bias=False)
    >>> hessian = Hessian(model, lambda o, y: o.square().mean() / 2, 2 * torch.eye(2), torch.zeros(2))
    >>> hessian(torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor, *, chunk_size: int | None = None
    ) -> None:
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if len(x) == 0 or len(x) != len(y):
            raise ValueError(f"x holds {len(x)} examples and y {len(y)}: they must be equal and at least 1")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1, or None for all at once")
        named = {name: p.detach().requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
        if not named:
            raise ValueError("the model has no trainable parameter (requires_grad), so it has no Hessian")
        self._model, self._loss_fn, self._named, self._x, self._y = model, loss_fn, named, x, y
        self._parameters = list(named.values())
        self._sizes = [p.numel() for p in self._parameters]
        self._chunk_size = len(x) if chunk_size is None else min(chunk_size, len(x))
        self._check()
        if self._chunk_size < len(x):
            self._check_mean()
        self._gradient = self._graph(0) if self._chunk_size == len(x) else None

    @property
    def size(self) -> int:
        """P, the number of trainable parameters."""
        return sum(self._sizes)

    @property
    def dtype(self) -> torch.dtype:
        return self._parameters[0].dtype

    @property
    def device(self) -> torch.device:
        return self._parameters[0].device

    @property
    def home(self) -> torch.device:
        """Where float64 vectors are kept: its device, or the CPU where the device has no float64."""
        return _home(self.device)

    def __call__(self, vector: Tensor) -> Tensor:
        """∇²L v, (P,) → (P,), in the parameters' dtype."""
        pieces = vector.to(self.device).to(self.dtype).split(self._sizes)
        tangent = [piece.view_as(p) for piece, p in zip(pieces, self._parameters, strict=True)]
        if self._gradient is not None:
            return self._product(self._gradient, tangent)
        result = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for start in range(0, len(self._x), self._chunk_size):
            share = len(self._y[start : start + self._chunk_size]) / len(self._x)
            result += share * self._product(self._graph(start), tangent)
        return result

    def _product(self, gradient: list[Tensor], tangent: list[Tensor]) -> Tensor:
        """∂⟨gradient, tangent⟩/∂w; a gradient that doesn't depend on any parameter (linear loss) adds 0."""
        curved = [(g, t) for g, t in zip(gradient, tangent, strict=True) if g.requires_grad]
        if not curved:
            return torch.zeros(self.size, dtype=self.dtype, device=self.device)
        g, t = zip(*curved, strict=True)
        product = torch.autograd.grad(g, self._parameters, t, retain_graph=True, materialize_grads=True)
        return torch.cat([piece.flatten() for piece in product])

    def _graph(self, start: int) -> list[Tensor]:
        """∇L on one chunk, differentiable once more."""
        with torch.enable_grad():
            loss = self._loss(start, self._cloned_buffers())
            if not loss.requires_grad:
                return [torch.zeros_like(p) for p in self._parameters]
            return list(torch.autograd.grad(loss, self._parameters, create_graph=True, materialize_grads=True))

    def _loss(self, start: int, buffers: Mapping[str, Tensor]) -> Tensor:
        chunk = slice(start, start + self._chunk_size)
        state = {**self._named, **buffers}
        return self._loss_fn(functional_call(self._model, state, (self._x[chunk],)), self._y[chunk])

    def _cloned_buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self._model.named_buffers()}

    @torch.no_grad()
    def _evaluate(self) -> Tensor:
        """The loss of every chunk, on the CPU."""
        before, buffers = dict(self._model.named_buffers()), self._cloned_buffers()
        losses = [self._loss(start, buffers) for start in range(0, len(self._x), self._chunk_size)]
        if any(loss.dim() != 0 for loss in losses):
            raise ValueError(f"loss_fn gave the shape {tuple(losses[0].shape)}: it must give a scalar, a mean")
        if len(losses) > 1 and any(not torch.equal(before[name], after) for name, after in buffers.items()):
            raise ValueError(
                f"chunk_size={self._chunk_size}, but the model updates its buffers as it goes "
                "(batch-norm in training mode), so chunks don't add up to the whole: call model.eval()"
            )
        return torch.stack(losses).cpu()

    def _check(self) -> None:
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            first, second = self._evaluate(), self._evaluate()
        if not first.isfinite().all():
            raise ValueError(f"the loss is {first[~first.isfinite()][0].item()}: its Hessian is undefined")
        if not torch.equal(first, second):
            raise ValueError(
                f"two evaluations of the loss differ ({first.mean().item():.9g}, {second.mean().item():.9g}): "
                "dropout/batch-norm in training mode: call model.eval()"
            )

    def _check_mean(self) -> None:
        """Chunks are weighted by their lengths, which is right for a mean over examples only."""
        with torch.no_grad():
            outputs, y = self._model(self._x[: self._chunk_size])[:1], self._y[:1]
            once, twice = self._loss_fn(outputs, y), self._loss_fn(torch.cat([outputs] * 2), torch.cat([y] * 2))
        if not torch.isclose(once, twice, rtol=1e-4):
            raise ValueError(
                f"loss_fn is {once.item():.6g} on one example and {twice.item():.6g} on that example twice: with "
                "chunk_size it must be a mean over examples"
            )


@dataclass(frozen=True)
class TopEigenvalues:
    """The k algebraically largest eigenvalues of a symmetric operator A, counted with multiplicity.

    values: (k,) float64 on the CPU, descending: Ritz values, which never exceed the true ones.
    residuals: (k,) ‖Av − λv‖ for the unit Ritz vectors: some eigenvalue lies so close to λ.
    errors: (k,) what is left of λ's error: residual²/gap where the gap is resolved, else the residual.
    converged: every error is within the tolerance.
    products: how often A was applied.
    """

    values: Tensor
    residuals: Tensor
    errors: Tensor
    converged: bool
    products: int


def top_eigenvalues(
    operator: Callable[[Tensor], Tensor], start: Tensor, *, tolerance: float = 1e-8, max_products: int = 300
) -> TopEigenvalues:
    """The k algebraically largest eigenvalues of a symmetric operator on Rⁿ, by band Lanczos.

    The Krylov space is grown from the k rows of `start` (k, n), with full reorthogonalisation in float64. One
    vector sees a single copy of a multiple eigenvalue; k vectors in general position see up to k copies, which
    is all that the top k can hold. With k = 1 this is the Lanczos method. It ends when the error of each value
    is below `tolerance` times its magnitude (or below the operator's rounding), when the space is invariant
    (the values are then exact; for n ≤ 64 it always goes on till then), or after `max_products` products.
    Memory: n float64 numbers for each product.

    Ruhe (1979), Implementation aspects of band Lanczos algorithms; Parlett (1998), The symmetric eigenvalue
    problem, §6.9 ('twice is enough') and §11.7 (residual²/gap).

    >>> diagonal = torch.tensor([3.0, 3.0, 1.0, -9.0], dtype=torch.float64)
    >>> start = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0]])
    >>> [round(value, 9) for value in top_eigenvalues(lambda v: diagonal * v, start).values.tolist()]
    [3.0, 3.0]
    """
    k, n = start.shape
    if not 1 <= k <= min(n, max_products):
        raise ValueError(f"k is {k}: it must be between 1 and min(n, max_products) = {min(n, max_products)}")
    space = _KrylovSpace(operator, as_float64(start), max_products)
    while True:
        space.step()
        last = space.exhausted or space.done == max_products
        if last or (n > 64 and space.done > k and is_due(space.done)):
            values, residuals, errors = space.ritz(k)
            converged = bool((errors <= (tolerance * values.abs()).clamp(min=space.noise)).all())
            if converged or last:
                return TopEigenvalues(values, residuals, errors, converged, space.done)


def is_due(products: int) -> bool:
    """A test for convergence costs products³: ever more rarely, so that it stays a small part of the work."""
    return products % (1 + products // 32) == 0


class _KrylovSpace:
    """Orthonormal rows Q of the band Krylov space of A, and the columns of QAQᵀ that are known so far."""

    def __init__(self, operator: Callable[[Tensor], Tensor], start: Tensor, max_products: int) -> None:
        self._operator, self._band = operator, len(start)
        self._rows = start.new_empty(16 + len(start), start.shape[1])
        self._columns = torch.zeros(max_products + len(start), max_products, dtype=torch.float64)
        self.size = self.done = 0
        self.noise = 0.0
        for row in start:
            rest, _ = _orthogonalise(row / row.norm(), self._rows[: self.size], 0)
            if not rest.norm() > 1e-12:
                raise ValueError("the start vectors must be finite and linearly independent")
            self._append(rest / rest.norm())

    @property
    def exhausted(self) -> bool:
        """A was applied to every row and added none: the space is invariant."""
        return self.done == self.size

    def step(self) -> None:
        """Applies A to the next row; what the image adds to the space becomes a row."""
        image = self._operator(self._rows[self.done])
        vector = as_float64(image)
        scale = vector.norm().item()
        if not math.isfinite(scale):
            raise ValueError("a product isn't finite: the loss has no finite second derivative here")
        self.noise = max(self.noise, 10 * torch.finfo(image.dtype).eps * scale)
        rest, coefficients = _orthogonalise(vector, self._rows[: self.size], max(0, self.done - self._band))
        self._columns[: self.size, self.done] = coefficients.cpu()
        length = rest.norm().item()
        if length > self.noise:
            self._columns[self.size, self.done] = length
            self._append(rest / length)
        self.done += 1

    def _append(self, row: Tensor) -> None:
        if self.size == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
        self._rows[self.size] = row
        self.size += 1

    def ritz(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The top k Ritz values, their residuals and errors, (k,) each."""
        square = self._columns[: self.done, : self.done]
        values, vectors = torch.linalg.eigh((square + square.T) / 2)
        values, vectors = values.flip(0), vectors.flip(1)
        residuals = (self._columns[self.done : self.size, : self.done] @ vectors).norm(dim=0)
        return values[:k], residuals[:k], ritz_errors(values, residuals)[:k]


def ritz_errors(values: Tensor, residuals: Tensor) -> Tensor:
    """residual²/gap, the gap to the intervals of both neighbours; the residual where that is no better."""
    apart = values[:-1] - values[1:]
    unknown = values.new_full((1,), -math.inf)
    below = torch.cat([apart - residuals[1:], unknown])
    above = torch.cat([-unknown, apart - residuals[:-1]])
    gap = torch.minimum(below, above)
    return torch.where(gap > residuals, residuals.square() / gap, residuals)


def _orthogonalise(vector: Tensor, rows: Tensor, recent: int) -> tuple[Tensor, Tensor]:
    """What of `vector` (n,) is orthogonal to orthonormal `rows` (m, n), and the coefficients (m,) of the rest.

    The rows from `recent` on, which hold nearly all of it, go first; full passes follow until one leaves the
    length as it is.
    """
    coefficients = rows.new_zeros(len(rows))
    for first in (recent, 0, 0):
        before = vector.norm()
        part = rows[first:] @ vector
        vector = vector - part @ rows[first:]
        coefficients[first:] += part
        if first == 0 and vector.norm() > before / math.sqrt(2):
            break
    return vector, coefficients
