"""Saliency: how steeply an output changes with each entry of the input."""

from torch import Tensor, nn

from atml_exp.attribution.output import Target, input_gradient

__all__ = ["saliency"]


def saliency(model: nn.Module, x: Tensor, target: Target, *, signed: bool = False) -> Tensor:
    """|∂F/∂x|, of x's shape (N, *shape); signed: ∂F/∂x itself. F is the output `target`: see `output_of`.

    Simonyan, Vedaldi & Zisserman (2014), Deep inside convolutional networks, section 3, who take the largest over
    an image's colours as well: here each channel keeps its own. Of a linear F it is its weights, whatever x.

    >>> _ = (model := nn.Linear(2, 1)).weight.data.copy_(Tensor([[3.0, -2.0]]))
    >>> saliency(model, Tensor([[1.0, 1.0]]), 0), saliency(model, Tensor([[1.0, 1.0]]), 0, signed=True)
    (tensor([[3., 2.]]), tensor([[ 3., -2.]]))
    """
    gradient = input_gradient(model, x, target)
    return gradient if signed else gradient.abs()
