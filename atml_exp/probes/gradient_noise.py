"""Gradient noise: how the gradients of single examples scatter about their mean, which is what SGD adds to GD."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.layout import Layout
from atml_exp.linalg import Hessian, as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.memory import available_memory, gigabytes
from atml_exp.probe import Value
from atml_exp.probes.features import evaluation_mode

__all__ = [
    "NoiseScale",
    "NoiseSpectrum",
    "gradient_noise",
    "noise_spectrum",
    "per_example_gradients",
    "signal_to_noise",
    "unbiased_noise_scale",
]

LossFn = Callable[[Tensor, Tensor], Tensor]

CHUNK = 1 << 26
"""Bytes of gradients that are computed at a time."""


def gradient_noise(
    model: nn.Module,
    data: Split,
    *,
    loss: LossFn = cross_entropy,
    num_examples: PositiveInt | None = 512,
    num_directions: NonNegativeInt = 10,
    seed: NonNegativeInt = 0,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """The covariance Σ of the gradients of n single examples about their mean G, the model in eval mode.

    Σ is centred and divided by n − 1. The noise of a mini-batch of B examples drawn with replacement has the
    covariance Σ/B; the examples are `num_examples` of `data`, drawn by `seed` (None, or too many: all of them).

    trace, signal: tr Σ and ‖G‖². noise_scale: B_simple = tr Σ/‖G‖², the batch size at which noise and signal are
        equal (McCandlish, Kaplan & Amodei 2018, An empirical model of large-batch training, eq. 2.9).
    noise_scale_unbiased: the same of the distribution that the examples are a sample of, from batches of 1 and n
        by their appendix A.1: ‖G‖² of a sample is tr Σ/n too large. Left out where Ĝ² isn't positive: the signal
        can't be told from noise.
    signal_to_noise: see the function of that name. effective_rank: (tr Σ)²/tr Σ².
    eigenvalues (min(n, P),): of Σ, descending.
    curvatures (k,): vᵀ∇²L v for the k = `num_directions` top unit eigenvectors v of Σ, L the mean loss on these
        examples; curvature_along_noise: their mean with the weights λ_v; curvature_at_random: the mean over k
        Gaussian directions, an estimate of tr ∇²L/P (control: isotropic noise would give the same; Zhu et al. 2019,
        The anisotropic noise in stochastic gradient descent). NaN where Σ has fewer directions; left out with
        num_directions = 0.

    `noise_scale`, `effective_rank` and the curvatures are left out where the divisor is 0. Raises ValueError as
    `per_example_gradients` does, and for fewer than two examples.
    """
    if len(data) < 2:
        raise ValueError(f"the noise of gradients needs at least 2 examples; got {len(data)}")
    generator = torch.Generator().manual_seed(seed)
    chosen = _chosen(data, num_examples, generator)
    with evaluation_mode(model):
        gradients = per_example_gradients(model, loss, chosen.x, chosen.y, chunk_size=chunk_size)
        found = noise_spectrum(gradients, num_directions)
        values = _values(found, gradients)
        if num_directions and found.trace > 0:
            hessian = Hessian(model, loss, chosen.x, chosen.y, chunk_size=chunk_size)
            values |= _curvatures(hessian, found, num_directions, generator)
    return values


def _chosen(data: Split, num_examples: int | None, generator: torch.Generator) -> Split:
    if num_examples is None or num_examples >= len(data):
        return data
    return data[torch.randperm(len(data), generator=generator)[:num_examples].to(data.x.device)]


def _values(found: "NoiseSpectrum", gradients: Tensor) -> dict[str, Value]:
    values: dict[str, Value] = {"trace": found.trace, "signal": found.signal, "eigenvalues": found.eigenvalues}
    values["signal_to_noise"] = signal_to_noise(gradients)
    if found.trace > 0:
        values["effective_rank"] = found.trace**2 / found.eigenvalues.square().sum().item()
    if found.signal > 0:
        values["noise_scale"] = found.trace / found.signal
    if found.scale.signal > 0:
        values["noise_scale_unbiased"] = found.scale.value
    return values


def _curvatures(
    hessian: Hessian, found: "NoiseSpectrum", num_directions: int, generator: torch.Generator
) -> dict[str, Value]:
    """Of the noise's own directions, and of as many random ones."""
    random = torch.randn(found.directions.shape, generator=generator, dtype=torch.float64)
    along, at_random = (
        torch.stack([_rayleigh(hessian, v) for v in vectors]) for vectors in (found.directions, random)
    )
    weights = found.eigenvalues[: len(along)]
    return {
        "curvatures": torch.cat([along, along.new_full((num_directions - len(along),), math.nan)]),
        "curvature_along_noise": ((weights @ along) / weights.sum()).item(),
        "curvature_at_random": at_random.mean().item(),
    }


def _rayleigh(hessian: Hessian, v: Tensor) -> Tensor:
    """vᵀHv/‖v‖², () float64 on the CPU."""
    return as_float64(hessian(v)).cpu() @ v / (v @ v)


def per_example_gradients(
    model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor, *, chunk_size: int | None = None
) -> Tensor:
    """∇ℓ(w; xᵢ, yᵢ) for each of N examples, (N, P): row i is the gradient of loss_fn on example i alone.

    With respect to the parameters that require gradients, end to end in the order of named_parameters, in their
    dtype; the mean over rows is the gradient of the mean loss. The model is used in the mode that it is in (call
    `model.eval()` for the usual convention) and is left untouched.

    loss_fn: (outputs, y) → mean over examples, scalar. chunk_size: examples at a time; beside the result a few
    times as many gradients are held. None: as many as fill 64 MB, at most 1,024.

    Raises ValueError where rows would not add up to the gradient or can't be held: no trainable parameter, no
    examples, a loss that isn't a mean over examples or isn't finite, a model in which one example's output depends
    on the others (batch norm in training mode) or on chance (dropout), N·P numbers that exceed the memory.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    >>> per_example_gradients(model, lambda o, y: o.sum() / len(o), x, torch.zeros(2))
    tensor([[1., 0.],
            [0., 3.]])
    """
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    _check_input(model, x, y, chunk_size)
    layout = Layout.of(model)
    w = layout.vector(dict(model.named_parameters()))
    _check_memory(len(x), w)
    gradients = w.new_empty(len(x), len(w))
    for chunk in _chunks(len(x), chunk_size or min(1024, max(1, CHUNK // (w.nbytes or 1)))):
        gradients[chunk], losses = _each(model, layout, loss_fn, w, x[chunk], y[chunk])
        _check_mean(model, loss_fn, x[chunk], y[chunk], losses)
    return gradients


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, total, size))


def _each(
    model: nn.Module, layout: Layout, loss_fn: LossFn, w: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients (n, P) and losses (n,)."""
    buffers = _buffers(model)

    def loss(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
        value = loss_fn(functional_call(model, {**layout.named(w), **buffers}, (x[None],)), y[None])
        if value.dim() != 0:
            raise ValueError(
                f"loss_fn gave the shape {tuple(value.shape)}: it must give a scalar, the mean over examples"
            )
        return value

    try:
        gradients, losses = vmap(grad_and_value(loss), in_dims=(None, 0, 0))(w, x, y)
    except RuntimeError as error:
        if "random" in str(error):
            raise ValueError(
                "the model draws random numbers (dropout in training mode): call model.eval()"
            ) from error
        raise
    if not (losses.isfinite().all() and gradients.isfinite().all()):
        raise ValueError("the loss or its gradient isn't finite on some example: the noise is undefined")
    return gradients, losses


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def _check_input(model: nn.Module, x: Tensor, y: Tensor, chunk_size: int | None) -> None:
    if len(x) == 0 or len(x) != len(y):
        raise ValueError(f"x holds {len(x)} examples and y {len(y)}: they must be equal and at least 1")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: it must be at least 1, or None to choose it")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError(
            "the model has no parameter that requires gradients: there is nothing to differentiate by "
            "(model.requires_grad_() makes all of them trainable)"
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            raise ValueError(
                f"{name or 'the model'} is a batch norm that takes the statistics of the batch, so that an "
                "example's loss depends on the others and has no gradient of its own: call model.eval() (with "
                "running statistics)"
            )


def _check_memory(num_examples: int, w: Tensor) -> None:
    needed, available = num_examples * w.nbytes, available_memory(w.device)
    if available is not None and needed > available:
        fitting = available // w.nbytes
        raise ValueError(
            f"{num_examples:,} gradients of {len(w):,} parameters need {gigabytes(needed)}, and "
            f"{gigabytes(available)} are free, enough for {fitting:,} examples: take a random subset of so many "
            "(the probe's num_examples), or reduce the rows as you go, one call for each chunk of examples"
        )


def _check_mean(model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor, losses: Tensor) -> None:
    """The loss on several examples together must be the mean of their own losses (n,)."""
    with torch.no_grad():
        outputs = functional_call(model, _buffers(model), (x,))
        together, twice = loss_fn(outputs, y), loss_fn(torch.cat([outputs] * 2), torch.cat([y] * 2))
    mean, rounding = losses.mean(), 10 * torch.finfo(losses.dtype).eps * outputs.abs().max().clamp(min=1)
    room = 1e-4 * losses.abs().mean() + rounding  # the loss of a well-fitted net is a difference of large numbers
    if (twice - together).abs() > room:
        raise ValueError(
            f"loss_fn is {together.item():.6g} on {len(x)} examples and {twice.item():.6g} on the same ones twice: "
            "it must be a mean over examples (divide a sum by their number)"
        )
    if (together - mean).abs() > room:
        raise ValueError(
            f"the loss of {len(x)} examples together is {together.item():.6g}, and the mean of their own losses is "
            f"{mean.item():.6g}: loss_fn isn't a mean over examples, or the model mixes them"
        )


@dataclass(frozen=True)
class NoiseScale:
    """trace: Ŝ, an unbiased estimate of tr Σ for one example. signal: Ĝ², of ‖G‖²; noise can make it negative."""

    trace: float
    signal: float

    @property
    def value(self) -> float:
        """B_simple = Ŝ/Ĝ²; NaN where the signal isn't positive."""
        return self.trace / self.signal if self.signal > 0 else math.nan


def unbiased_noise_scale(small: Tensor, large: Tensor, small_size: int, large_size: int) -> NoiseScale:
    """The noise scale from the gradients of mini-batches of two sizes b < B, without those of single examples.

    small, large: ‖g_b‖² and ‖g_B‖², any number of each; averaged *before* the division, as a ratio of noisy numbers
    is biased. Ŝ = (‖g_b‖² − ‖g_B‖²)/(1/b − 1/B) and Ĝ² = (B‖g_B‖² − b‖g_b‖²)/(B − b) (McCandlish, Kaplan & Amodei
    2018, appendix A.1). Raises ValueError if not 1 ≤ b < B, or if there are no gradients.

    >>> unbiased_noise_scale(torch.tensor([5.0]), torch.tensor([2.0]), 1, 4).value  # ‖G‖² = 1 and tr Σ = 4
    4.0
    """
    if not 1 <= small_size < large_size:
        raise ValueError(f"small_size must be at least 1 and below large_size; got {small_size} and {large_size}")
    if small.numel() == 0 or large.numel() == 0:
        raise ValueError("small and large must hold the squared norm of at least one gradient each")
    b, big = small_size, large_size
    g_b, g_big = (as_float64(squares).mean().item() for squares in (small, large))
    return NoiseScale((g_b - g_big) / (1 / b - 1 / big), (big * g_big - b * g_b) / (big - b))


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """The covariance Σ of n gradients, centred and divided by n − 1; all float64, on the CPU.

    eigenvalues: (min(n, P),), descending. directions: (k, P), unit eigenvectors of the k largest. trace: tr Σ.
    signal: ‖G‖², G the mean gradient. num_examples: n.
    """

    eigenvalues: Tensor
    directions: Tensor
    trace: float
    signal: float
    num_examples: int

    @property
    def scale(self) -> NoiseScale:
        """Ŝ and Ĝ² from batches of 1 and n. Averaged over all batches of any two sizes up to n they are these same
        numbers: the Gram matrix holds what every partition of the examples could tell.
        """
        return NoiseScale(self.trace, self.signal - self.trace / self.num_examples)


def noise_spectrum(gradients: Tensor, k: int = 0) -> NoiseSpectrum:
    """Eigenvalues and top k eigenvectors of the gradients' covariance, from rows (n, P) of `per_example_gradients`.

    Of the n × n Gram matrix of the centred rows, whose eigenvalues are those of Σ, or of Σ itself where P < n; in
    float64, a block of columns at a time. k is cut to the number of eigenvalues that aren't rounding.
    Raises ValueError for fewer than two rows or values that aren't finite.

    >>> noise_spectrum(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 3.0], [0.0, -3.0]])).eigenvalues.tolist()
    [6.0, 0.6666666666666666]
    """
    _check_rows(gradients)
    n, size = gradients.shape
    few = size < n
    mean = torch.cat([block.mean(0).cpu() for block in _blocks(gradients)])
    products = _covariances(gradients) if few else _gram(gradients)
    values, vectors = torch.linalg.eigh(products.cpu() / (n - 1))
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    k = min(k, int((values > 1e-12 * values[0]).sum()))
    directions = vectors[:, :k].T if few else _combined(gradients, vectors[:, :k])
    return NoiseSpectrum(values, directions, values.sum().item(), mean.square().sum().item(), n)


def signal_to_noise(gradients: Tensor) -> float:
    """The mean over parameters of G_j²/Σ_jj, from rows (n, P) (Liu et al. 2020, Understanding why neural networks
    generalize well through GSNR of parameters); parameters whose gradient never differs are left out.

    Without any signal it is 1/n, since the mean of n gradients isn't 0; NaN where no gradient differs.
    Raises ValueError as `noise_spectrum` does.
    """
    _check_rows(gradients)
    ratios = []
    for block in _blocks(gradients):
        variance = block.var(0)
        ratios.append((block.mean(0).square() / variance)[variance > 0])
    return torch.cat(ratios).mean().item()


def _check_rows(gradients: Tensor) -> None:
    if gradients.dim() != 2 or len(gradients) < 2:
        raise ValueError(f"gradients must be (n, P) with n at least 2; got the shape {tuple(gradients.shape)}")
    if not gradients.isfinite().all():
        raise ValueError("gradients hold NaN or infinity")


def _blocks(gradients: Tensor) -> Iterator[Tensor]:
    """Blocks of columns, float64, of some 64 MB."""
    return map(as_float64, gradients.split(max(1, CHUNK // (8 * len(gradients))), 1))


def _covariances(gradients: Tensor) -> Tensor:
    """(P, P): inner products of the centred columns."""
    rows = as_float64(gradients)
    rows = rows - rows.mean(0)
    return rows.T @ rows


def _gram(gradients: Tensor) -> Tensor:
    """(n, n): inner products of the centred rows."""
    total = as_float64(gradients.new_zeros(len(gradients), len(gradients)))
    for block in _blocks(gradients):
        block = block - block.mean(0)
        total.addmm_(block, block.T)
    return total


def _combined(gradients: Tensor, vectors: Tensor) -> Tensor:
    """Eigenvectors (n, k) of the Gram matrix → unit eigenvectors (k, P) of Σ."""
    parts = [(vectors.T.to(b.device) @ (b - b.mean(0))).cpu() for b in _blocks(gradients)]
    return nn.functional.normalize(torch.cat(parts, 1), dim=1)
