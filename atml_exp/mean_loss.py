"""The mean loss of a model as a function of its weight vector, in float64, and its gradient."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from atml_exp.layout import Layout
from atml_exp.linalg import as_float64

__all__ = ["MeanLoss"]

LossFn = Callable[[Tensor, Tensor], Tensor]


class MeanLoss:
    """w ↦ L(w) = loss_fn(model(x), y), w (P,) the parameters that require gradients, all in float64.

    Everything is computed on float64 copies, since what is asked for are small differences of losses: a rise of
    10⁻⁶ L drowns in float32's rounding. The model is used in the mode that it is in and is left untouched.

    loss_fn: (outputs, y) → mean over examples, scalar. chunk_size: examples at a time; None: all at once.
    Raises ValueError without examples or trainable parameters, for a loss that isn't a finite scalar or differs
    between two evaluations (dropout in training mode), and with chunk_size for one that isn't a mean.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> loss = MeanLoss(model, lambda o, y: o.square().mean() / 2, torch.eye(2), torch.zeros(2))
    >>> loss(torch.tensor([2.0, 4.0]))
    5.0
    >>> loss.with_gradient(torch.tensor([2.0, 4.0]))
    (5.0, tensor([1., 2.], dtype=torch.float64))
    """

    def __init__(
        self, model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor, *, chunk_size: int | None = None
    ) -> None:
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if len(x) == 0 or len(x) != len(y):
            raise ValueError(f"x holds {len(x)} examples and y {len(y)}: they must be equal and at least 1")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1, or None for all at once")
        self._model, self._loss_fn, self._layout = model, loss_fn, Layout.of(model)
        self._x, self._y = _double(x), _double(y)
        self._chunk_size = min(chunk_size or len(x), len(x))
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._fixed = {n: _double(t.detach()) for n, t in state.items() if n not in self._layout.names}
        self.w = as_float64(self._layout.vector(dict(model.named_parameters())))
        self._check()

    def __call__(self, w: Tensor) -> float:
        """L(w)."""
        with torch.no_grad():
            return sum(share * self._loss(w, chunk).item() for share, chunk in self._chunks())

    def with_gradient(self, w: Tensor) -> tuple[float, Tensor]:
        """L(w) and ∇L(w), (P,)."""
        value, gradient = 0.0, torch.zeros_like(self.w)
        for share, chunk in self._chunks():
            w = w.detach().to(self.w).requires_grad_()
            with torch.enable_grad():
                loss = self._loss(w, chunk)
                if loss.requires_grad:
                    gradient.add_(torch.autograd.grad(loss, w)[0], alpha=share)
            value += share * loss.item()
        return value, gradient

    def _chunks(self) -> Iterator[tuple[float, slice]]:
        for start in range(0, len(self._x), self._chunk_size):
            chunk = slice(start, start + self._chunk_size)
            yield len(self._y[chunk]) / len(self._x), chunk

    def _loss(self, w: Tensor, chunk: slice) -> Tensor:
        return self._loss_fn(self._outputs(w, chunk), self._y[chunk])

    def _outputs(self, w: Tensor, chunk: slice) -> Tensor:
        state = {**self._layout.named(w.to(self.w)), **{n: t.clone() for n, t in self._fixed.items()}}
        return functional_call(self._model, state, (self._x[chunk],))

    @torch.no_grad()
    def _check(self) -> None:
        first = slice(0, self._chunk_size)
        with torch.random.fork_rng([self.w.device] if self.w.device.type == "cuda" else []):
            one, two = self._loss(self.w, first), self._loss(self.w, first)
        if one.dim() != 0:
            raise ValueError(f"loss_fn gave the shape {tuple(one.shape)}: it must give a scalar, a mean")
        if not one.isfinite():
            raise ValueError(f"the loss is {one.item()}: how it changes is undefined")
        if not torch.equal(one, two):
            raise ValueError(
                f"two evaluations of the loss differ ({one.item():.9g}, {two.item():.9g}): call model.eval()"
            )
        if self._chunk_size < len(self._x):
            outputs, y = self._outputs(self.w, first), self._y[first]
            twice = self._loss_fn(torch.cat([outputs] * 2), torch.cat([y] * 2))
            if not torch.isclose(one, twice):
                raise ValueError(
                    f"loss_fn is {one.item():.6g} on {len(y)} examples and {twice.item():.6g} on the same ones "
                    "twice: with chunk_size it must be a mean over examples"
                )


def _double(tensor: Tensor) -> Tensor:
    """Floating tensors in float64; others, such as classes, as they are."""
    return as_float64(tensor) if tensor.is_floating_point() else tensor
