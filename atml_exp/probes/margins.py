"""Margins: by how much the right output exceeds the others, for the net's own scale as unit."""

import torch
from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.fields import Fraction
from atml_exp.linalg import as_float64
from atml_exp.losses.margin import margins as binary_margins
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.probes.norms import layer_matrices, spectral_norms

__all__ = ["margins", "output_margins"]


@suits("classification")
def margins(model: nn.Module, data: Split, *, quantile: Fraction = 0.1) -> dict[str, Value]:
    """The margins of `data`, normalised and not; the model in eval mode, quantiles in float64.

        m = (o_y − max_{c ≠ y} o_c)/Π_l ‖W_l‖₂

    `min` and `quantile`, of the margins of `output_margins` over all examples; negative where a label is missed.
    The quantile stands for the minimum where single examples shouldn't decide (Jiang et al. 2020 take 0.1).
    `normalised_min`, `normalised_quantile`: divided by Π‖W_l‖₂ (see `atml_exp.probes.norms`), so that a net that is
    only scaled up gains nothing (Bartlett, Foster & Telgarsky 2017, Spectrally-normalized margin bounds for neural
    networks; of their complexity the product alone is taken, not the sum of (2,1) norms nor the inputs' norm). Left
    out where the product is 0. The larger, the better the bound.

    Raises ValueError where there are no classes or no examples, and as `layer_matrices` does.
    """
    found = output_margins(as_float64(predict(model, data.x)), data.y)
    product = spectral_norms(layer_matrices(model)).prod().item()
    values = {"min": found.min().item(), "quantile": torch.quantile(found.cpu(), quantile).item()}
    normalised = {f"normalised_{name}": value / product for name, value in values.items() if product > 0}
    return {**values, **normalised}


def output_margins(outputs: Tensor, y: Tensor) -> Tensor:
    """o_y − max_{c ≠ y} o_c (N,) for outputs (N, C) and labels y (N,); for one output (2y − 1)·o.

    Raises ValueError for labels that aren't integers and for other shapes.

    >>> output_margins(torch.tensor([[3.0, 1.0, 2.0], [0.0, 4.0, 0.5]]), torch.tensor([0, 2]))
    tensor([ 1.0000, -3.5000])
    """
    if y.is_floating_point():
        raise ValueError(f"labels are {y.dtype}: margins are those of classes, int64")
    if outputs.dim() == 2 and outputs.shape[1] == 1:
        return binary_margins(outputs, y)
    if outputs.dim() != 2 or y.shape != outputs.shape[:1]:
        raise ValueError(f"outputs must be (N, C) and y (N,); got {tuple(outputs.shape)} and {tuple(y.shape)}")
    own = y[:, None]
    others = outputs.scatter(1, own, -torch.inf).amax(1)
    return outputs.gather(1, own)[:, 0] - others
