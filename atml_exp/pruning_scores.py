"""How much a weight matters, by several papers: of each the weights with the largest scores are kept.

All are functions of a model and of examples; magnitude and random order need neither. The model is copied and used
in eval mode; its parameters, buffers and modes stay as they are. loss_fn: (outputs, y) → mean over examples,
scalar.
"""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vjp, vmap

__all__ = ["grasp_scores", "obd_scores", "snip_scores", "synflow_scores"]

LossFn = Callable[[Tensor, Tensor], Tensor]

ADDED = ("bias", "running_mean")
"""How the names end of what is added to a signal, where weights multiply it."""

ROOM = 2**24
"""Numbers that the per-example gradients of a chunk of examples may be."""


def snip_scores(model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """|g ⊙ θ|, g = ∇L(θ): to first order how much the loss changes without the weight; not normalised.

    Lee, Ajanthan & Torr (2019), SNIP: Single-shot network pruning based on connection sensitivity, eq. 4. x (N, …),
    y (N,); returns name → tensor of the shape of each parameter that is trained. Raises ValueError where there is
    no example, no such parameter, or a gradient isn't finite.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 3.0)
    >>> snip_scores(model, lambda o, y: o.mean(), torch.tensor([[1.0, -2.0]]), torch.zeros(1))
    {'weight': tensor([[3., 6.]])}
    """
    loss, parameters = _loss_of(model, loss_fn, x, y)
    return _finite({name: (g * parameters[name]).abs() for name, g in grad(loss)(parameters).items()})


def grasp_scores(model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """θ ⊙ Hg, H = ∇²L: to first order half of what ‖g‖² loses without the weight; the largest, signed, are kept.

    Wang, Zhang & Grosse (2020), Picking winning tickets before training by preserving gradient flow, eq. 8, write
    S = −θ ⊙ Hg and remove the largest, which is the same. Their temperature is left out. Shapes and errors are
    those of `snip_scores`.
    """
    loss, parameters = _loss_of(model, loss_fn, x, y)
    gradient = grad(loss)
    g = gradient(parameters)

    def along(values: Mapping[str, Tensor]) -> Tensor:
        """⟨∇L(θ), g⟩ with g held fixed, whose gradient is Hg."""
        return sum(((v * g[name]).sum() for name, v in gradient(values).items()), torch.zeros(()).to(x.device))

    hg = grad(along)(parameters)
    return _finite({name: hg[name] * parameters[name] for name in g})


def obd_scores(model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """½ h_kk θ_k²: at a minimum what the loss gains without the weight, to second order and weight by weight.

    LeCun, Denker & Solla (1990), Optimal brain damage, eq. 5, h_kk with their Levenberg–Marquardt approximation:
    the diagonal of the Gauss–Newton matrix (1/N) Σ_n J_nᵀ (∇²_o ℓ_n) J_n, here exact (every output, every
    example). Where the outputs are piecewise linear in each single weight, as in ReLU nets, it is the Hessian's
    own diagonal. The loss must be convex in the outputs. Shapes and errors are those of `snip_scores`.
    """
    _check_examples(x)
    copied, parameters, buffers = _parts(model)

    def diagonal(x1: Tensor, y1: Tensor) -> dict[str, Tensor]:
        outputs, pull = vjp(lambda p: functional_call(copied, (p, buffers), (x1[None],))[0], parameters)[:2]

        def loss(o: Tensor) -> Tensor:
            return loss_fn(o[None], y1[None])

        values, vectors = torch.linalg.eigh(jacrev(grad(loss))(outputs))
        columns = (vectors * values.clamp(min=0).sqrt()).T
        (pulled,) = vmap(pull)(columns)
        return {name: p.square().sum(0) for name, p in pulled.items()}

    num_outputs = copied(x[:1]).shape[-1]
    chunk = max(1, ROOM // (num_outputs * sum(p.numel() for p in parameters.values())))
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for part in range(0, len(x), chunk):
        these = slice(part, part + chunk)
        _finite({"the outputs": copied(x[these]).detach()})
        each = vmap(diagonal)(x[these], y[these])
        total = {name: t + each[name].sum(0) for name, t in total.items()}
    return _finite({name: 0.5 * t / len(x) * parameters[name].square() for name, t in total.items()})


def synflow_scores(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Tensor]:
    """|θ| ⊙ ∂R/∂|θ|, R the sum of the outputs for an input of ones and |θ| in place of θ, float64: no data needed.

    Tanaka, Kunin, Yamins & Ganguli (2020), Pruning neural networks without any data by iteratively conserving
    synaptic flow, eq. 2: R = 1ᵀ ∏ |θ^[l]| 1. Biases and running means take no part, and have the score 0: what
    begins at a bias in the middle would let the layers before it be emptied. Where activations are homogeneous the
    scores of each layer's weights add up to R (their Theorem 2), and a mask made in many rounds empties no layer.

    input_shape: of one example. Returns float64 tensors under the names of the parameters that are trained. Raises
    ValueError where R isn't finite, or there is no such parameter.

    >>> model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False))
    >>> first, second = synflow_scores(model, (2,)).values()
    >>> torch.isclose(first.sum(), second.sum())
    tensor(True)
    """
    copied, trained, rest = _parts(copy.deepcopy(model).double())
    parameters, others = (
        {n: torch.zeros_like(t) if n.endswith(ADDED) else t.abs() for n, t in tensors.items()}
        for tensors in (trained, rest)
    )
    device = next(iter(parameters.values())).device

    def flow(parameters: Mapping[str, Tensor]) -> Tensor:
        ones = torch.ones(1, *input_shape, dtype=torch.float64, device=device)
        total: Tensor = functional_call(copied, {**others, **parameters}, (ones,)).sum()
        return total

    return _finite({name: g * parameters[name] for name, g in grad(flow)(parameters).items()})


def _loss_of(
    model: nn.Module, loss_fn: LossFn, x: Tensor, y: Tensor
) -> tuple[Callable[[Mapping[str, Tensor]], Tensor], dict[str, Tensor]]:
    """The loss as a function of the trained parameters, and these."""
    _check_examples(x)
    copied, parameters, buffers = _parts(model)

    def loss(values: Mapping[str, Tensor]) -> Tensor:
        return loss_fn(functional_call(copied, {**buffers, **values}, (x,)), y)

    return loss, parameters


def _check_examples(x: Tensor) -> None:
    if len(x) == 0:
        raise ValueError("there is no example to score weights by")


def _parts(model: nn.Module) -> tuple[nn.Module, dict[str, Tensor], dict[str, Tensor]]:
    """A copy in eval mode, what is trained of it, and the rest."""
    copied = copy.deepcopy(model).eval()
    parameters = {name: p.detach() for name, p in copied.named_parameters() if p.requires_grad}
    if not parameters:
        raise ValueError(
            f"{type(model).__name__} has no parameters that require gradients: there is nothing to score"
        )
    rest = {n: t.detach() for n, t in {**dict(copied.named_parameters()), **dict(copied.named_buffers())}.items()}
    return copied, parameters, {n: t for n, t in rest.items() if n not in parameters}


def _finite(scores: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, score in scores.items():
        if not bool(torch.isfinite(score).all()):
            raise ValueError(f"no score can be given, since not all of {name} is finite: something overflows")
    return scores
