"""Margins of a binary classifier with one output."""

from torch import Tensor

__all__ = ["margins"]


def margins(outputs: Tensor, y: Tensor) -> Tensor:
    """(2yᵢ − 1)oᵢ (N,): outputs (N, 1), labels y (N,) in {0, 1}. ValueError where the shapes don't match."""
    if outputs.shape != (*y.shape, 1):
        raise ValueError(
            f"a binary loss needs outputs (N, 1) and labels (N,), not {tuple(outputs.shape)}, {tuple(y.shape)}"
        )
    return (2 * y - 1).to(outputs.dtype) * outputs[:, 0]
