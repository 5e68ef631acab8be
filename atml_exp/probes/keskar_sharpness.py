"""Keskar's ε-sharpness: how much the loss rises, in per cent of itself, within a box around the weights."""

import torch
from torch import Tensor, nn

from atml_exp.ascent import Ascent, ascend, random_starts
from atml_exp.data import Split
from atml_exp.fields import NonNegative, NonNegativeInt, Positive, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.mean_loss import LossFn, MeanLoss
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["keskar_sharpness", "rise_in_box"]


def keskar_sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    epsilon: Positive = 1e-3,
    num_iterations: PositiveInt = 50,
    num_restarts: NonNegativeInt = 1,
    tolerance: NonNegative = 1e-6,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """100 (max_{z ∈ C_ε} f(w + z) − f(w))/(1 + f(w)), C_ε = {|z_i| ≤ ε(|w_i| + 1)}, f the mean loss over `data`.

    Keskar, Mudigere, Nocedal, Smelyanskiy & Tang (2017), On large-batch training for deep learning: generalization
    gap and sharp minima, Metric 2.1 in the full space (their A the identity), eval mode. They take 10 iterations of
    L-BFGS-B; here it is Frank–Wolfe ascent, whose every step ends in the box: `sharpness` is a lower bound all the
    same. See `rise_in_box`, whose options these are. `rise`: the maximum less f(w).
    """
    with evaluation_mode(model):
        found = rise_in_box(
            MeanLoss(model, loss, data.x, data.y, chunk_size=chunk_size),
            epsilon,
            num_iterations=num_iterations,
            num_restarts=num_restarts,
            tolerance=tolerance,
            seed=seed,
        )
    if not 1 + found.base > 0:
        raise ValueError(f"the loss is {found.base:.4g}: the ratio to 1 + loss needs a loss above −1")
    return {"sharpness": 100 * found.rise / (1 + found.base), "rise": found.rise}


def rise_in_box(
    loss: MeanLoss,
    epsilon: float,
    *,
    num_iterations: int = 50,
    num_restarts: int = 1,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Ascent:
    """max L(w + z) − L(w) over |z_i| ≤ ε(|w_i| + 1), by `atml_exp.ascent.ascend`: a lower bound of it, in float64.

    From z = 0 and from `num_restarts` random corners. Of a linear loss with gradient g it is Σ|g_i| ε(|w_i| + 1).
    """
    reach = epsilon * (loss.w.abs() + 1)

    def farthest(g: Tensor) -> Tensor:
        return reach * torch.sign(g)

    starts = random_starts(farthest, loss.w, num_restarts, seed)
    return ascend(loss, farthest, starts, num_iterations=num_iterations, tolerance=tolerance)
