"""Gradient × input: the first-order share of each entry of the input in the output."""

from torch import Tensor, nn

from atml_exp.attribution.output import Target, baseline_like, input_gradient

__all__ = ["gradient_input"]


def gradient_input(model: nn.Module, x: Tensor, target: Target, *, baseline: Tensor | None = None) -> Tensor:
    """(x − x′) ⊙ ∂F/∂x, of x's shape; x′ is 0 unless a baseline is given, which must broadcast to x.

    Shrikumar, Greenside & Kundaje (2017), Learning important features through propagating activation differences.
    Of a net of piecewise linear activations without biases, F(αx) = αF(x) for α > 0, so the sum over entries is
    F(x) (Euler); of others it isn't F(x) − F(x′): the method isn't complete.

    >>> _ = (model := nn.Linear(2, 1)).weight.data.copy_(Tensor([[3.0, -2.0]]))
    >>> gradient_input(model, Tensor([[1.0, 5.0]]), 0)
    tensor([[  3., -10.]])
    """
    return (x.detach() - baseline_like(x, baseline)) * input_gradient(model, x, target)
