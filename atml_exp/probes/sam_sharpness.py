"""SAM's sharpness: how much the loss rises within a ball around the weights."""

from torch import Tensor, nn

from atml_exp.ascent import Ascent, ascend, random_starts
from atml_exp.data import Split
from atml_exp.fields import NonNegative, NonNegativeInt, Positive, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.mean_loss import LossFn, MeanLoss
from atml_exp.optimisers.sam import ascent
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["rise_in_ball", "sam_sharpness"]


def sam_sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    rho: Positive = 0.05,
    num_iterations: PositiveInt = 50,
    num_restarts: NonNegativeInt = 1,
    tolerance: NonNegative = 1e-6,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """max_{‖ε‖ ≤ ρ} L(w + ε) − L(w), the quantity that SAM minimises, L the mean loss over `data` in eval mode.

    Foret, Kleiner, Mobahi & Neyshabur (2021), Sharpness-aware minimization for efficiently improving
    generalization, §2, with the loss of all of `data`, not of a mini-batch (m-sharpness). `rise` is the largest
    that ascent finds, and so a lower bound of the maximum: see `rise_in_ball`, whose options these are.
    `first_order`: the rise at ε = ρ g/‖g‖, SAM's own approximation; 0 where g = 0, where it is undefined.
    """
    with evaluation_mode(model):
        found = rise_in_ball(
            MeanLoss(model, loss, data.x, data.y, chunk_size=chunk_size),
            rho,
            num_iterations=num_iterations,
            num_restarts=num_restarts,
            tolerance=tolerance,
            seed=seed,
        )
    return {"rise": found.rise, "first_order": found.first}


def rise_in_ball(
    loss: MeanLoss,
    rho: float,
    *,
    num_iterations: int = 50,
    num_restarts: int = 1,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Ascent:
    """max_{‖ε‖ ≤ ρ} L(w + ε) − L(w) by `atml_exp.ascent.ascend`: a lower bound of it, in float64.

    From ε = 0 and from `num_restarts` random points of the sphere, without which a stationary point would read 0.
    At a minimum of a quadratic it is ½ρ²λ_max, where the ascent is power iteration.

    >>> import torch
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> bowl = MeanLoss(model, lambda o, y: o.square().mean(), torch.ones(1, 1), torch.ones(1))
    >>> round(rise_in_ball(bowl, 0.1).rise, 9)
    0.01
    """

    def farthest(g: Tensor) -> Tensor:
        return ascent(g, rho)

    starts = random_starts(farthest, loss.w, num_restarts, seed)
    return ascend(loss, farthest, starts, num_iterations=num_iterations, tolerance=tolerance)
