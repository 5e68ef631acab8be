"""Logits: how large they grow, what right and wrong answers cost, and what is left when one number scales them."""

from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt
from atml_exp.linalg import as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.probes.margins import output_margins
from atml_exp.temperature import as_logits, cross_fitted

__all__ = ["logits", "parts_of_cross_entropy"]


@suits("classification")
def logits(model: nn.Module, data: Split, *, seed: NonNegativeInt = 0) -> dict[str, Value]:
    """The logits of `data` and their cross-entropy, whatever loss is trained; eval mode, float64, in nats.

    `norm`: mean over examples of ‖o − mean of o‖, which alone the softmax sees. `margin`: mean of o_y minus the
    largest other. `cross_entropy` = `right` + `wrong`, what the examples that are answered rightly, and those that
    aren't, add to the mean over *all* examples (see `parts_of_cross_entropy`). `temperature`,
    `scaled_cross_entropy`: the best T and the cross-entropy of o/T, each half of the data with the temperature of
    the other (see `atml_exp.temperature.cross_fitted`); on the training set a T fitted there says little.
    One output o counts as the logits (0, o). seed: of the halves.

    Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks.
    """
    o = as_logits(as_float64(predict(model, data.x)))
    right, wrong = parts_of_cross_entropy(o, data.y)
    scaled, temperature = cross_fitted(o, data.y, seed)
    return {
        "norm": float((o - o.mean(1, keepdim=True)).norm(dim=1).mean()),
        "margin": float(output_margins(o, data.y).mean()),
        "cross_entropy": right + wrong,
        "right": right,
        "wrong": wrong,
        "temperature": temperature,
        "scaled_cross_entropy": float(cross_entropy(scaled, data.y)),
    }


def parts_of_cross_entropy(o: Tensor, y: Tensor) -> tuple[float, float]:
    """(1/N) Σ −log softmax(o_i)[y_i] over the rightly answered examples alone, and over the others alone.

    As logits grow, o → s·o, the first falls to 0 and the second grows as s: its margins are negative.

    >>> import torch
    >>> o = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double()
    >>> [round(part, 3) for part in parts_of_cross_entropy(10 * o, torch.tensor([0, 1]))]
    [0.0, 5.0]
    """
    each = -o.log_softmax(1).gather(1, y[:, None])[:, 0]
    right = o.argmax(1) == y
    return float(each[right].sum() / len(y)), float(each[~right].sum() / len(y))
