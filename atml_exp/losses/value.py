"""The model's own output as the loss: for objectives, which have no data to compare with."""

from torch import Tensor

from atml_exp.data import suits

__all__ = ["value"]


@suits("regression", num_outputs=1)
def value(outputs: Tensor, y: Tensor) -> Tensor:
    """(1/N) Σᵢ oᵢ for outputs (N, 1), whatever y (N,) is: with `atml_exp.models.objective` the objective f(w).

    ValueError where the shapes don't match.

    >>> import torch
    >>> value(torch.tensor([[3.0], [5.0]]), torch.zeros(2)).item()
    4.0
    """
    if outputs.dim() != 2 or outputs.shape[1] != 1 or len(y) != len(outputs):
        raise ValueError(f"value needs outputs (N, 1) and y (N,), not {tuple(outputs.shape)} and {tuple(y.shape)}")
    return outputs.mean()
