"""A model's parameters as one vector, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the trainable parameters, in named_parameters' order; a vector has them end to end."""

    names: tuple[str, ...]
    shapes: tuple[torch.Size, ...]

    @classmethod
    def of(cls, model: nn.Module) -> "Layout":
        """The layout of a module; ValueError where it has nothing to train, unless it says so of itself by
        `nonparametric = True`.
        """
        trainable = {n: p.shape for n, p in model.named_parameters() if p.requires_grad}
        if not trainable and not getattr(model, "nonparametric", False):
            raise ValueError(f"{type(model).__name__} has no parameters that require gradients")
        return cls(tuple(trainable), tuple(trainable.values()))

    @property
    def sizes(self) -> list[int]:
        return [s.numel() for s in self.shapes]

    @property
    def size(self) -> int:
        """P, the number of trainable parameters."""
        return sum(self.sizes)

    def pieces(self, w: Tensor) -> list[Tensor]:
        """w (..., P) → a view (..., *shape) for each parameter."""
        lead = w.shape[:-1]
        return [p.view(lead + s) for p, s in zip(w.split(self.sizes, -1), self.shapes, strict=True)]

    def named(self, w: Tensor) -> dict[str, Tensor]:
        """w (..., P) → {name: view (..., *shape)}."""
        return dict(zip(self.names, self.pieces(w), strict=True))

    def flatten(self, pieces: Sequence[Tensor]) -> Tensor:
        """Tensors of the parameters' shapes → one new vector (P,)."""
        return torch.cat([p.reshape(-1) for p in pieces]) if pieces else torch.empty(0)

    def vector(self, named: Mapping[str, Tensor]) -> Tensor:
        """{name: tensor} → one new vector (P,), without gradient history."""
        return self.flatten([named[n].detach() for n in self.names])
