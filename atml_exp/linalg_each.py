"""Curvature of R replicas at once: Hessian–vector products and Lanczos with a leading axis R."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from atml_exp.linalg import LossFn, TopEigenvalues, as_float64, is_due, ritz_errors

__all__ = ["HessianOfEach", "top_eigenvalues_of_each"]


class HessianOfEach:
    """V (R, P) ↦ ∇²L_r(w_r) v_r in row r: R replicas of a model, each with weights, buffers and data of its own.

    One double backward of Σ_r L_r serves all, since no loss depends on another replica's weights; the forward and
    the first backward graph are built once. What a product means is that of `atml_exp.linalg.Hessian`.

    model: in the mode in which it is to be used; its own tensors are left untouched. state: parameters and buffers,
    each (R, …). x, y: of each replica; one object where they share it. loss_fn: (outputs, y) → mean, scalar.
    Raises ValueError where a loss isn't finite or differs between two evaluations.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFn,
        state: Mapping[str, Tensor],
        x: Sequence[Tensor],
        y: Sequence[Tensor],
    ) -> None:
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        if not trained:
            raise ValueError("the model has no trainable parameter (requires_grad), so it has no Hessian")
        self._model, self._loss_fn, self._state = model, loss_fn, state
        self._x, self._x_axis = _shared_or_stacked(x)
        self._y, self._y_axis = _shared_or_stacked(y)
        self._parameters = {name: state[name].detach().clone().requires_grad_() for name in trained}
        self.num_replicas = len(x)
        self._check()
        with torch.enable_grad():
            total = self._losses().sum()
            inputs = list(self._parameters.values())
            if not total.requires_grad:
                raise ValueError("the loss doesn't depend on the parameters")
            self._gradient = torch.autograd.grad(total, inputs, create_graph=True, materialize_grads=True)

    @property
    def size(self) -> int:
        """P."""
        return sum(p[0].numel() for p in self._parameters.values())

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self._parameters.values())).dtype

    def __call__(self, vectors: Tensor) -> Tensor:
        """(R, P) → (R, P), in the parameters' dtype."""
        inputs = list(self._parameters.values())
        pieces = vectors.to(inputs[0]).split([p[0].numel() for p in inputs], dim=1)
        pairs = [(g, t.view_as(p)) for g, t, p in zip(self._gradient, pieces, inputs, strict=True)]
        curved = [(g, t) for g, t in pairs if g.requires_grad]
        if not curved:
            return torch.zeros(vectors.shape, dtype=self.dtype, device=inputs[0].device)
        g, t = zip(*curved, strict=True)
        product = torch.autograd.grad(g, inputs, t, retain_graph=True, materialize_grads=True)
        return torch.cat([piece.flatten(1) for piece in product], 1)

    def _losses(self) -> Tensor:
        """(R,)"""
        buffers = {n: b.clone() for n, b in self._state.items() if n not in self._parameters}

        def loss(state: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return self._loss_fn(functional_call(self._model, state, (x,)), y)

        axes = (0, self._x_axis, self._y_axis)
        return vmap(loss, in_dims=axes)({**self._parameters, **buffers}, self._x, self._y)

    @torch.no_grad()
    def _check(self) -> None:
        first, second = self._losses(), self._losses()
        if not first.isfinite().all():
            raise ValueError("the loss of a replica isn't finite: its Hessian is undefined")
        if not torch.equal(first, second):
            raise ValueError("two evaluations of the loss differ: call model.eval()")


def _shared_or_stacked(tensors: Sequence[Tensor]) -> tuple[Tensor, int | None]:
    """One tensor and None where all are the same object, else a stack and its axis."""
    if all(t is tensors[0] for t in tensors):
        return tensors[0], None
    return torch.stack(list(tensors)), 0


def top_eigenvalues_of_each(
    operator: Callable[[Tensor], Tensor], start: Tensor, *, tolerance: float = 1e-8, max_products: int = 300
) -> list[TopEigenvalues | None]:
    """For each of R symmetric operators on Rⁿ what `top_eigenvalues` gives, to rounding: with one product for all.

    operator: (R, n) → (R, n). start: (R, k, n). None for an operator whose Krylov space turned out smaller than
    the number of products: such an operator is to be taken by itself. Each result is that of the product at which
    that operator converged, however long the others go on.
    Raises ValueError where n ≤ 64, where spaces are always exhausted, or a product isn't finite.
    """
    if start.shape[2] <= 64:
        raise ValueError(f"n is {start.shape[2]}: spaces this small are exhausted, each by itself")
    space = _KrylovSpaces(operator, as_float64(start))
    k = start.shape[1]
    found: list[TopEigenvalues | None] = [None] * len(start)
    open_ = set(range(len(start)))
    while open_:
        space.step()
        open_ -= space.deflated
        last = space.done == max_products
        if last or (space.done > k and is_due(space.done)):
            for r, top in space.ritz(sorted(open_), k, tolerance):
                if top.converged or last:
                    found[r] = top
                    open_.discard(r)
    return found


class _KrylovSpaces:
    """Orthonormal rows (R, m, n) of the band Krylov spaces of R operators, and the known columns of QAQᵀ."""

    def __init__(self, operator: Callable[[Tensor], Tensor], start: Tensor) -> None:
        self._operator, self._band = operator, start.shape[1]
        self._rows = start.new_empty(start.shape[0], 16 + self._band, start.shape[2])
        self._columns = torch.zeros(start.shape[0], 0, 0, dtype=torch.float64)
        self._noise = torch.zeros(start.shape[0], dtype=torch.float64)
        self.size = self.done = 0
        self.deflated: set[int] = set()
        for row in start.unbind(1):
            rest, _ = self._orthogonalise(row / row.norm(dim=1, keepdim=True), 0)
            self._append(rest / rest.norm(dim=1, keepdim=True))

    def step(self) -> None:
        """Applies the operators to the next row of each; what the images add to the spaces becomes a row."""
        images = self._operator(self._rows[:, self.done])
        vectors = as_float64(images)
        scale = vectors.norm(dim=1).cpu()
        if not bool(scale.isfinite().all()):
            raise ValueError("a product isn't finite: a loss has no finite second derivative here")
        self._noise = torch.maximum(self._noise, 10 * torch.finfo(images.dtype).eps * scale)
        rest, coefficients = self._orthogonalise(vectors, max(0, self.done - self._band))
        length = rest.norm(dim=1)
        self._grow()
        self._columns[:, : self.size, self.done] = coefficients.cpu()
        self._columns[:, self.size, self.done] = length.cpu()
        self.deflated |= set(torch.nonzero(length.cpu() <= self._noise).flatten().tolist())
        self._append(rest / length.clamp_min(torch.finfo(torch.float64).tiny)[:, None])
        self.done += 1

    def ritz(self, replicas: list[int], k: int, tolerance: float) -> list[tuple[int, TopEigenvalues]]:
        """The top k Ritz values of these operators, with residuals and errors."""
        if not replicas:
            return []
        square = self._columns[replicas, : self.done, : self.done]
        values, vectors = torch.linalg.eigh((square + square.mT) / 2)
        values, vectors = values.flip(1), vectors.flip(2)
        residuals = (self._columns[replicas, self.done : self.size, : self.done] @ vectors).norm(dim=1)
        return [
            (r, self._judged(r, v, s, k, tolerance)) for r, v, s in zip(replicas, values, residuals, strict=True)
        ]

    def _judged(self, r: int, values: Tensor, residuals: Tensor, k: int, tolerance: float) -> TopEigenvalues:
        errors = ritz_errors(values, residuals)[:k]
        allowed = (tolerance * values[:k].abs()).clamp(min=float(self._noise[r]))
        return TopEigenvalues(values[:k], residuals[:k], errors, bool((errors <= allowed).all()), self.done)

    def _grow(self) -> None:
        """Room for another column."""
        if self._columns.shape[2] <= self.done:
            bigger = self._columns.new_zeros(len(self._columns), self.size + 33, self.done + 32)
            bigger[:, : self._columns.shape[1], : self._columns.shape[2]] = self._columns
            self._columns = bigger

    def _append(self, rows: Tensor) -> None:
        if self.size == self._rows.shape[1]:
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)], 1)
        self._rows[:, self.size] = rows
        self.size += 1

    def _orthogonalise(self, vectors: Tensor, recent: int) -> tuple[Tensor, Tensor]:
        """What of `vectors` (R, n) is orthogonal to the rows, and the coefficients (R, size) of the rest."""
        coefficients = vectors.new_zeros(len(vectors), self.size)
        for first in (recent, 0, 0):
            before = vectors.norm(dim=1)
            rows = self._rows[:, first : self.size]
            part = (rows @ vectors[:, :, None])[:, :, 0]
            vectors = vectors - (part[:, None] @ rows)[:, 0]
            coefficients[:, first:] += part
            if first == 0 and bool((vectors.norm(dim=1) > before / math.sqrt(2)).all()):
                break
        return vectors, coefficients
