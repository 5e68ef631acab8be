"""Margins of a binary classifier with one output."""

from torch import Tensor

__all__ = ["margins"]


def margins(outputs: Tensor, y: Tensor) -> Tensor:
    """(2yᵢ − 1)oᵢ (N,): outputs (N, 1), labels y (N,) in {0, 1}. ValueError where the shapes don't match."""
    if y.dim() != 1 or outputs.shape != (*y.shape, 1):
        raise ValueError(
            f"a binary loss needs outputs (N, 1) and labels y (N,), not {tuple(outputs.shape)} and {tuple(y.shape)}"
        )
    return (2 * y.to(outputs.dtype) - 1) * outputs[:, 0]  # cast first: unsigned labels would wrap around
