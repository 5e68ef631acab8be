"""PAC-Bayes flatness: how much Gaussian noise the weights bear before the training error rises."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.layout import Layout
from atml_exp.linalg import as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, of_model_and_points
from atml_exp.probes.features import predict_each
from atml_exp.probes.norms import distance
from atml_exp.probes.performance import misclassified

__all__ = ["NoiseTolerance", "noise_tolerance", "pac_bayes"]

LossFn = Callable[[Tensor, Tensor], Tensor]


@of_model_and_points
def pac_bayes(
    model: nn.Module,
    data: Split,
    points: Tensor | None = None,
    *,
    loss: LossFn = cross_entropy,
    criterion: Literal["error", "loss"] = "error",
    rise: Positive = 0.1,
    relative: bool = False,
    num_samples: PositiveInt = 16,
    num_examples: PositiveInt | None = None,
    tolerance: Positive = 0.01,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """σ, the standard deviation (not the variance) of Gaussian weight noise that raises the error by `rise`.

    `sigma` and `standard_error`, of the rise at σ: see `noise_tolerance`, whose options these are. `inverse`, 1/σ²,
    the measure that Jiang et al. 2020 rank (the larger, the sharper). With noise of one size for all weights also
    the divergences KL(N(w, σ²I) ‖ prior) that enter McAllester's bound, up to a logarithm: `kl`, ‖w‖²/(2σ²), of the
    prior N(0, σ²I), and where the initial weights are given as the first of the points (T, P) `kl_initialisation`,
    ‖w − w₀‖²/(2σ²), of N(w₀, σ²I) (Neyshabur, Bhojanapalli, McAllester & Srebro 2017, Exploring generalization in
    deep learning, §2.4; Dziugaite & Roy 2017). num_examples: how many examples, drawn at random; None: all.

    Raises ValueError as `noise_tolerance` does, and for the error where there are no classes.
    """
    if criterion == "error" and data.y.is_floating_point():
        raise ValueError(
            f"criterion is 'error' and labels are {data.y.dtype}, not classes: choose criterion='loss'"
        )
    if num_examples is not None and num_examples < len(data):
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
        data = data[order[:num_examples].to(data.x.device)]
    found = noise_tolerance(
        model,
        loss if criterion == "loss" else misclassified,
        data.x,
        data.y,
        rise=rise,
        relative=relative,
        num_samples=num_samples,
        tolerance=tolerance,
        seed=seed,
    )
    values: dict[str, Value] = {"sigma": found.sigma, "standard_error": found.standard_error}
    values["inverse"] = found.sigma**-2
    if relative:
        return values
    w = as_float64(Layout.of(model).vector(dict(model.named_parameters())))
    values["kl"] = (w.square().sum() / (2 * found.sigma**2)).item()
    if points is not None:
        values["kl_initialisation"] = distance(model, points) ** 2 / (2 * found.sigma**2)
    return values


@dataclass(frozen=True)
class NoiseTolerance:
    """sigma: the standard deviation found. rise: of the criterion there, mean over draws. standard_error: of it."""

    sigma: float
    rise: float
    standard_error: float


def noise_tolerance(
    model: nn.Module,
    criterion: Callable[[Tensor, Tensor], Tensor | float],
    x: Tensor,
    y: Tensor,
    *,
    rise: float = 0.1,
    relative: bool = False,
    num_samples: int = 16,
    tolerance: float = 0.01,
    seed: int = 0,
) -> NoiseTolerance:
    """The largest σ for which E[criterion(w + u)] − criterion(w) ≤ rise, u ~ N(0, σ²I), to a relative tolerance.

    At a minimum of a loss with Hessian H the rise is ½σ² tr H to second order, so σ = √(2 rise/tr H). Every σ is
    tried with the same `num_samples` Gaussian vectors z, u = σz (common random numbers), so the mean rise is a
    plain function of σ; it is doubled till the rise is exceeded, then bisected on a logarithmic scale, which gives
    the first crossing that doubling brackets, where there are several. Model in eval mode; noise on all trainable
    parameters, not on buffers.

    criterion: (outputs (N, …), y) → number, to be averaged over examples already: an error, a loss.
    relative: u_j ~ N(0, σ²w_j²), in proportion to each weight, so that rescaling ReLU units changes nothing.
    Raises ValueError if the criterion isn't finite, or doesn't rise by so much whatever the noise.
    """
    if rise <= 0 or tolerance <= 0 or num_samples < 1:
        raise ValueError(
            f"rise, tolerance and num_samples must be positive; got {rise}, {tolerance} and {num_samples}"
        )
    noisy = _Noisy(model, criterion, x, y, relative, num_samples, seed)
    if not torch.isfinite(noisy.rest):
        raise ValueError(f"the criterion is {noisy.rest.item()} without noise: it must be finite")
    low, high = _bracket(noisy, rise)
    while high / low > 1 + tolerance:
        middle = (low * high) ** 0.5
        if noisy.exceeds(middle, rise):
            high = middle
        else:
            low = middle
    rises = noisy(low)
    error = rises.std().item() / num_samples**0.5 if num_samples > 1 else 0.0
    return NoiseTolerance(low, rises.mean().item(), error)


def _bracket(noisy: "_Noisy", rise: float) -> tuple[float, float]:
    """σ and 2σ, between which the rise is first exceeded."""
    low = noisy.scale / 64
    for _ in range(40):
        if not noisy.exceeds(low, rise):
            break
        low /= 2
    else:
        raise ValueError(
            f"the criterion rises by more than {rise} under the least noise: it isn't continuous there"
        )
    for _ in range(40):
        if noisy.exceeds(2 * low, rise):
            return low, 2 * low
        low *= 2
    raise ValueError(
        f"the criterion is {noisy.rest.item():.4g} without noise and doesn't rise by {rise} with σ up to "
        f"{low:.3g}: choose a smaller rise (the net predicts hardly better than noise does)"
    )


class _Noisy:
    """σ ↦ the criterion's rise (num_samples,) under σ times fixed Gaussian vectors."""

    def __init__(
        self,
        model: nn.Module,
        criterion: Callable[[Tensor, Tensor], Tensor | float],
        x: Tensor,
        y: Tensor,
        relative: bool,
        num_samples: int,
        seed: int,
    ) -> None:
        self._model, self._criterion, self._x, self._y = model, criterion, x, y
        self._layout = Layout.of(model)
        self._w = self._layout.vector(dict(model.named_parameters()))
        trained = set(self._layout.names)
        fixed = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._fixed = {n: t.detach() for n, t in fixed.items() if n not in trained}
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(num_samples, len(self._w), generator=generator, dtype=torch.float64).to(self._w)
        self._z = z * self._w if relative else z
        size = as_float64(self._w).square().mean().sqrt().item()
        self.scale = 1.0 if relative or size == 0 else size
        self.rest = self._values(self._w[None])[0]

    def __call__(self, sigma: float) -> Tensor:
        return self._values(self._w + sigma * self._z) - self.rest

    def exceeds(self, sigma: float, rise: float) -> bool:
        """Also where the criterion isn't finite any more."""
        return not self(sigma).mean().item() <= rise

    def _values(self, weights: Tensor) -> Tensor:
        """The criterion for each row of weights (K, P), (K,) float64 on the CPU."""
        fixed = {n: t.expand(len(weights), *t.shape) for n, t in self._fixed.items()}
        outputs = predict_each(self._model, {**self._layout.named(weights), **fixed}, [self._x] * len(weights))
        return torch.tensor([float(self._criterion(o, self._y)) for o in outputs], dtype=torch.float64)
