"""Curvature without the matrix: Hessian–vector products and the top of a symmetric operator's spectrum."""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = [
    "Hessian",
    "KrylovSpace",
    "TopEigenvalues",
    "as_float64",
    "is_due",
    "ritz_errors",
    "top_eigenvalues",
    "vectors_together",
]

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

    loss_fn: (outputs, y) → mean over examples, scalar. names: of the parameters to differentiate by, for a diagonal
    block of the Hessian; None: all trainable ones.
    Raises ValueError where there is no Hessian to speak of: no data, no trainable parameter, a loss that
    isn't a finite scalar, or one that differs between two evaluations (dropout in training mode).

    >>> model = nn.Linear(2, 1, bias=False)
    >>> hessian = Hessian(model, lambda o, y: o.square().mean() / 2, 2 * torch.eye(2), torch.zeros(2))
    >>> hessian(torch.tensor([1.0, 3.0]))
    tensor([2., 6.])
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        x: Tensor,
        y: Tensor,
        *,
        chunk_size: int | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if len(x) == 0 or len(x) != len(y):
            raise ValueError(f"x holds {len(x)} examples and y {len(y)}: they must be equal and at least 1")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1, or None for all at once")
        chosen = [(n, p) for n, p in model.named_parameters() if p.requires_grad and (names is None or n in names)]
        named = {name: p.detach().requires_grad_() for name, p in chosen}
        if not named:
            raise ValueError("the model has no trainable parameter (requires_grad), so it has no Hessian")
        self._model, self._loss_fn, self._named, self._x, self._y = model, loss_fn, named, x, y
        self._parameters = list(named.values())
        self._sizes = [p.numel() for p in self._parameters]
        self._chunk_size = len(x) if chunk_size is None else min(chunk_size, len(x))
        self._check()
        if self._chunk_size < len(x):
            self.check_mean("with chunk_size")
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
        return self.products(vector[None])[0]

    def products(self, vectors: Tensor) -> Tensor:
        """∇²L v for each of K vectors, (K, P) → (K, P), in the parameters' dtype.

        A chunk's graphs are built once for all of them. Where one product costs little but overhead, several are
        one batched double backward (vmap), as many as `vectors_together` says, so that memory stays bounded.
        """
        result = torch.zeros(len(vectors), self.size, dtype=self.dtype, device=self.device)
        together = vectors_together(self._chunk_size, self.size, self.device.type)
        for share, gradient in self._graphs():
            for out, part in zip(result.split(together), vectors.split(together), strict=True):
                out.add_(self._batch(gradient, part), alpha=share)
        return result

    def gradient(self) -> Tensor:
        """∇L, (P,)."""
        result = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for share, gradient in self._graphs():
            result.add_(torch.cat([g.detach().flatten() for g in gradient]), alpha=share)
        return result

    def _graphs(self) -> Iterator[tuple[float, list[Tensor]]]:
        """(share of the examples, ∇L on them) for each chunk."""
        if self._gradient is not None:
            yield 1.0, self._gradient
            return
        for start in range(0, len(self._x), self._chunk_size):
            yield len(self._y[start : start + self._chunk_size]) / len(self._x), self._graph(start)

    def _batch(self, gradient: list[Tensor], vectors: Tensor) -> Tensor:
        """Products with (K, P), of one chunk."""
        pieces = vectors.to(self.device).to(self.dtype).split(self._sizes, 1)
        tangents = [p.view(-1, *like.shape) for p, like in zip(pieces, self._parameters, strict=True)]
        if len(vectors) == 1:
            return self._product(gradient, [t[0] for t in tangents])[None]
        return self._product(gradient, tangents, len(vectors))

    def _product(self, gradient: list[Tensor], tangent: list[Tensor], batch: int | None = None) -> Tensor:
        """∂⟨gradient, tangent⟩/∂w; a gradient that doesn't depend on any parameter (linear loss) adds 0.

        batch: how many tangents there are, along their first axis; None: one, without such an axis.
        """
        lead = () if batch is None else (batch,)
        curved = [(g, t) for g, t in zip(gradient, tangent, strict=True) if g.requires_grad]
        if not curved:
            return torch.zeros(*lead, self.size, dtype=self.dtype, device=self.device)
        g, t = zip(*curved, strict=True)
        product = torch.autograd.grad(
            g, self._parameters, t, retain_graph=True, materialize_grads=True, is_grads_batched=batch is not None
        )
        return torch.cat([piece.reshape(*lead, -1) for piece in product], -1)

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

    def check_mean(self, when: str = "") -> None:
        """Raises ValueError where the loss isn't a mean over examples: it must not change when each comes twice.

        A chunk's weight is its share of the examples, and a trace or a spectrum is that of the mean loss.
        """
        chunk = slice(0, self._chunk_size)
        with torch.no_grad():
            state = {**self._named, **self._cloned_buffers()}
            outputs, y = functional_call(self._model, state, (self._x[chunk],)), self._y[chunk]
            for moved in (outputs, outputs + 1):  # where the loss is 0, its double is 0 too
                once, twice = self._loss_fn(moved, y), self._loss_fn(torch.cat([moved] * 2), torch.cat([y] * 2))
                if once != 0:
                    break
        if not torch.isclose(once, twice, rtol=1e-4):
            raise ValueError(
                f"loss_fn is {once.item():.6g} on {len(y)} examples and {twice.item():.6g} on the same ones twice: "
                f"{when}{' ' * bool(when)}it must be a mean over examples (divide a sum by their number)"
            )


def vectors_together(examples: int, weights: int, device: str) -> int:
    """How many vectors one batched product takes, within some 100 MB: only where a single one is mostly overhead.

    A million examples × weights, found by timing on a CPU, is where a batch costs as much as its products one by
    one; beyond, and for convolutions, more.
    """
    if device == "cpu" and examples * weights > 1_000_000:
        return 1
    return max(1, min(65_536 // examples, 400_000 // weights))


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
    space = KrylovSpace(lambda rows: operator(rows[0])[None], as_float64(start), max_products)
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


class KrylovSpace:
    """Orthonormal rows Q of the band Krylov space of A, and the columns of QAQᵀ that are known so far.

    products: (b, n) → (b, n), A applied to each row. start: (k, n) float64, of which the space is grown.
    Raises ValueError where the start vectors are linearly dependent, and from `step` where a product isn't finite.
    """

    def __init__(self, products: Callable[[Tensor], Tensor], start: Tensor, max_products: int) -> None:
        self._products, self._band, self._limit = products, len(start), max_products
        self._rows = start.new_empty(16 + len(start), start.shape[1])
        self._columns = torch.zeros(max_products + len(start), max_products, dtype=torch.float64)
        self._start = torch.zeros(len(start), len(start), dtype=torch.float64)
        self.size = self.done = 0
        self.noise = 0.0
        for i, row in enumerate(start):
            rest, coefficients = _orthogonalise(row / row.norm(), self._rows[: self.size], 0)
            if not rest.norm() > 1e-12:
                raise ValueError("the start vectors must be finite and linearly independent")
            self._start[i, : self.size], self._start[i, self.size] = coefficients.cpu(), rest.norm().item()
            self._append(rest / rest.norm())

    @property
    def exhausted(self) -> bool:
        """A was applied to every row and added none: the space is invariant."""
        return self.done == self.size

    def step(self, count: int = 1) -> None:
        """Applies A to the next rows, at most `count` at once; what the images add to the space becomes rows."""
        count = min(count, self.size - self.done, self._limit - self.done)
        images = self._products(self._rows[self.done : self.done + count])
        vectors = as_float64(images)
        scale = vectors.norm(dim=1).max().item()
        if not math.isfinite(scale):
            raise ValueError("a product isn't finite: the loss has no finite second derivative here")
        self.noise = max(self.noise, 10 * torch.finfo(images.dtype).eps * scale)
        before = self.size
        rests, coefficients = _orthogonalise(vectors, self._rows[:before], max(0, self.done - self._band))
        for j, rest in enumerate(rests):
            self._columns[:before, self.done] = coefficients[j].cpu()
            self._extend(rest, before)
            self.done += 1

    def _extend(self, vector: Tensor, before: int) -> None:
        """Appends what is left of an image, which is orthogonal to the rows up to `before`, by the newer ones."""
        rest, coefficients = _orthogonalise(vector, self._rows[before : self.size], 0)
        if before < self.size and rest.norm() < vector.norm() / 2:  # which brings old rows' rounding to light
            rest, _ = _orthogonalise(rest, self._rows[: self.size], 0)
        self._columns[before : self.size, self.done] = coefficients.cpu()
        length = rest.norm().item()
        if length > self.noise:
            self._columns[self.size, self.done] = length
            self._append(rest / length)

    def _append(self, row: Tensor) -> None:
        if self.size == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
        self._rows[self.size] = row
        self.size += 1

    def ritz(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The top k Ritz values, their residuals and errors, (k,) each."""
        values, vectors = self._eigh()
        residuals = (self._columns[self.done : self.size, : self.done] @ vectors).norm(dim=0)
        return values[:k], residuals[:k], ritz_errors(values, residuals)[:k]

    def ritz_vectors(self, k: int) -> Tensor:
        """Unit vectors (k, n) of the top k Ritz values, on the rows' device."""
        vectors = self._eigh()[1][:, :k]
        return vectors.T.to(self._rows.device) @ self._rows[: self.done]

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Nodes θ (m,), descending, and for each start vector v, of length 1, weights (k, m) that add up to 1.

        Σ_j w_ij θ_j^p = v_iᵀ A^p v_i for p < 2s, after A was applied s times to each start vector: Gauss's rule in
        the band Krylov space (Golub & Meurant 2010, Matrices, moments and quadrature, §6.6), the nodes of which are
        shared. Raises ValueError while A wasn't applied to each start vector.
        """
        if self.done < self._band:
            raise ValueError(f"{self.done} products are fewer than the {self._band} start vectors")
        values, vectors = self._eigh()
        return values, (self._start @ vectors[: self._band]).square()

    def _eigh(self) -> tuple[Tensor, Tensor]:
        """Ritz values, descending, and their coordinates as columns."""
        square = self._columns[: self.done, : self.done]
        values, vectors = torch.linalg.eigh((square + square.T) / 2)
        return values.flip(0), vectors.flip(1)


def ritz_errors(values: Tensor, residuals: Tensor) -> Tensor:
    """residual²/gap, the gap to the intervals of both neighbours; the residual where that is no better."""
    apart = values[:-1] - values[1:]
    unknown = values.new_full((1,), -math.inf)
    below = torch.cat([apart - residuals[1:], unknown])
    above = torch.cat([-unknown, apart - residuals[:-1]])
    gap = torch.minimum(below, above)
    return torch.where(gap > residuals, residuals.square() / gap, residuals)


def _orthogonalise(vectors: Tensor, rows: Tensor, recent: int) -> tuple[Tensor, Tensor]:
    """What of `vectors` (…, n) is orthogonal to orthonormal `rows` (m, n), and the coefficients (…, m) of the rest.

    The rows from `recent` on, which hold nearly all of it, go first; full passes follow until one leaves the
    lengths as they are.
    """
    coefficients = rows.new_zeros(*vectors.shape[:-1], len(rows))
    for first in (recent, 0, 0):
        before = vectors.norm(dim=-1)
        part = vectors @ rows[first:].T
        vectors = vectors - part @ rows[first:]
        coefficients[..., first:] += part
        if first == 0 and bool((vectors.norm(dim=-1) > before / math.sqrt(2)).all()):
            break
    return vectors, coefficients
