"""ASAM's adaptive sharpness: how much the loss rises when each weight moves in proportion to its size."""

from torch import Tensor, nn

from atml_exp.ascent import Ascent, ascend, random_starts
from atml_exp.data import Split
from atml_exp.fields import NonNegative, NonNegativeInt, Positive, PositiveInt
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.mean_loss import LossFn, MeanLoss
from atml_exp.optimisers.sam import ascent
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = ["adaptive_rise", "adaptive_sharpness"]


def adaptive_sharpness(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    rho: Positive = 0.5,
    num_iterations: PositiveInt = 50,
    num_restarts: NonNegativeInt = 1,
    tolerance: NonNegative = 1e-6,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """max_{‖T⁻¹ε‖ ≤ ρ} L(w + ε) − L(w), T = diag|w|, L the mean loss over `data`, the model in eval mode.

    Kwon, Kim, Park & Choi (2021), ASAM: adaptive sharpness-aware minimization for scale-invariant learning of deep
    neural networks, Definition 2 with the elementwise operator on all parameters, biases included. It is the same
    after units of a ReLU net are rescaled, (W₁, b₁, W₂) → (αW₁, αb₁, W₂/α), which changes others at will.

    `rise` is the largest found by ascent, and so a lower bound: see `adaptive_rise`. `first_order`: the rise at
    ε = ρ T²g/‖Tg‖, ASAM's own approximation; 0 where Tg = 0, where it is undefined.
    """
    with evaluation_mode(model):
        found = adaptive_rise(
            MeanLoss(model, loss, data.x, data.y, chunk_size=chunk_size),
            rho,
            num_iterations=num_iterations,
            num_restarts=num_restarts,
            tolerance=tolerance,
            seed=seed,
        )
    return {"rise": found.rise, "first_order": found.first}


def adaptive_rise(
    loss: MeanLoss,
    rho: float,
    *,
    num_iterations: int = 50,
    num_restarts: int = 1,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Ascent:
    """max_{‖T⁻¹ε‖ ≤ ρ} L(w + ε) − L(w), T = diag|w|, by `atml_exp.ascent.ascend`: a lower bound of it, in float64.

    A weight that is 0 stays where it is. From ε = 0 and from `num_restarts` random points of the ellipsoid. At a
    minimum of a quadratic with Hessian H it is ½ρ²λ_max(T H T).
    Raises ValueError where all weights are 0, so that nothing can move.
    """
    size = loss.w.abs()
    if not bool(size.any()):
        raise ValueError("all weights are 0: adaptive sharpness lets no weight that is 0 move")

    def farthest(g: Tensor) -> Tensor:
        return size * ascent(size * g, rho)

    def in_proportion(z: Tensor) -> Tensor:
        """The direction z of T⁻¹ε, so that rescaling units changes no start."""
        return size * ascent(z, rho)

    starts = random_starts(in_proportion, loss.w, num_restarts, seed)
    return ascend(loss, farthest, starts, num_iterations=num_iterations, tolerance=tolerance)
