"""Adam's own sharpness: the largest eigenvalue of the Hessian after Adam's preconditioner."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt, ProperFraction
from atml_exp.linalg import Hessian, LossFn, as_float64, top_eigenvalues
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, of_model_and_points
from atml_exp.probes.features import evaluation_mode

__all__ = ["adam_preconditioner", "adam_sharpness"]


@of_model_and_points
def adam_sharpness(
    model: nn.Module,
    data: Split,
    state: Mapping[str, Tensor],
    *,
    loss: LossFn = cross_entropy,
    beta1: ProperFraction = 0.9,
    beta2: ProperFraction = 0.999,
    epsilon: Positive = 1e-8,
    tolerance: Positive = 1e-6,
    max_iterations: PositiveInt = 300,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """λ_max of P^{−1/2} ∇²L P^{−1/2}, which is λ_max of P⁻¹∇²L, P the preconditioner of Adam's latest step.

    Adam with P held fixed is gradient descent with an averaged gradient in the coordinates P^{1/2}w, which on a
    quadratic is stable below (2 + 2β₁)/((1 − β₁)η): 38/η for β₁ = 0.9 (Cohen, Ghorbani, Krishnan et al. 2022,
    Adaptive gradient methods at the edge of stability). L: the mean loss over `data`, the model in eval mode.

    state: {"square": v (P,), "step": t}, Adam's second moment after t updates, as the probe `reads: optimiser`. P:
    see `adam_preconditioner`; beta1, beta2, epsilon: those of the optimiser. Returns `top` and its `residual`,
    ‖Av − λv‖ for its unit vector; nothing before the first step, when there is no second moment.
    Raises ValueError where the optimiser keeps no such moment, or it isn't that of this model.
    """
    if "square" not in state:
        raise ValueError(
            f"the optimiser's state holds {', '.join(sorted(state)) or 'nothing'}, and no second moment `square`: "
            "use optimiser=adam or adamw, and on checkpoints only those of a run that had this probe"
        )
    if int(state["step"]) == 0:
        return {}
    p = adam_preconditioner(state["square"], int(state["step"]), beta1=beta1, beta2=beta2, epsilon=epsilon)
    with evaluation_mode(model):
        hessian = Hessian(model, loss, data.x, data.y, chunk_size=chunk_size)
        if p.shape != (hessian.size,):
            raise ValueError(f"the second moment has the shape {tuple(p.shape)}: it must be ({hessian.size},)")
        scale = p.rsqrt()
        start = torch.randn(1, hessian.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        found = top_eigenvalues(
            lambda v: scale * as_float64(hessian(scale * v)),
            start.to(hessian.home),
            tolerance=tolerance,
            max_products=max_iterations,
        )
    return {"top": found.values.item(), "residual": found.residuals.item()}


def adam_preconditioner(square: Tensor, step: int, *, beta1: float, beta2: float, epsilon: float) -> Tensor:
    """The diagonal (1 − β₁ᵗ)(√(v/(1 − β₂ᵗ)) + ε) of P after t = `step` updates: w ← w − η P⁻¹ m in Adam's terms.

    square: v (P,), exponential average of squared gradients without bias correction. Float64. ValueError for t < 1.

    >>> v = torch.tensor([0.001 * 9.0], dtype=torch.float64)
    >>> round(adam_preconditioner(v, 1, beta1=0.0, beta2=0.999, epsilon=1e-8).item(), 6)
    3.0
    """
    if step < 1:
        raise ValueError(f"step is {step}: Adam has a preconditioner after its first step only")
    v = as_float64(square) / (1 - beta2**step)
    return (1 - beta1**step) * (v.sqrt() + epsilon)
