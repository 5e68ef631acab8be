"""Pruning: which weights can go, by magnitude against at random, without another step of training."""

from collections.abc import Mapping
from statistics import fmean, pstdev
from typing import Annotated, Literal, get_args

import torch
from annotated_types import Interval
from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.probes.performance import misclassified

__all__ = ["magnitude_mask", "pruning", "random_mask"]

Density = Annotated[float, Interval(gt=0, le=1)]
Scope = Literal["global", "layer"]


@suits("classification")
def pruning(
    model: nn.Module,
    data: Split,
    *,
    densities: tuple[Density, ...] = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02),
    scope: Scope = "global",
    num_random: PositiveInt = 3,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Accuracy on `data` with a fraction `density` of the weights kept and the others set to 0.

    One shot, no fine-tuning, eval mode. Weights of two dimensions or more are pruned; biases and the parameters
    of normalisations are kept and don't count. Returns for each density, as in `magnitude/0.1`:
    `magnitude/…`, the largest kept; `random/…` and `random_std/…`, mean and population standard deviation over
    `num_random` random masks. Raises ValueError if the model has no such weight, and as `magnitude_mask` does.
    """
    for density in densities:
        _check(density, scope)
    weights = {name: p.detach() for name, p in model.named_parameters() if p.dim() >= 2}
    if not weights:
        raise ValueError("the model has no weight of two dimensions or more: there is nothing to prune")
    draws = torch.randint(2**62, (num_random,), generator=torch.Generator().manual_seed(seed)).tolist()
    magnitude, random = _magnitude_ranks(weights, scope), [_random_ranks(weights, scope, d) for d in draws]
    result: dict[str, Value] = {}
    for density in densities:
        result[f"magnitude/{density:g}"] = _accuracy(model, data, weights, magnitude, density)
        accuracies = [_accuracy(model, data, weights, ranks, density) for ranks in random]
        result[f"random/{density:g}"] = fmean(accuracies)
        result[f"random_std/{density:g}"] = pstdev(accuracies)
    return result


def magnitude_mask(parameters: Mapping[str, Tensor], density: float, scope: Scope) -> dict[str, Tensor]:
    """Which entries to keep (True): those of largest magnitude, exactly round(density·n) of n.

    scope: `global` ranks the entries of all tensors together, `layer` those of each tensor by themselves.
    Of equal magnitudes the earlier is kept (the mapping's order, then row-major). Masks are nested: what a
    density keeps, every larger one keeps. `round` is Python's: halves go to the even number.

    parameters: name → tensor; returns name → bool tensor of the same shape and device. Raises ValueError if
    density isn't in (0, 1], on any other scope, and if a tensor holds NaN.

    >>> weights = {"a": torch.tensor([[3.0, -1.0]]), "b": torch.tensor([2.0, 0.5])}
    >>> magnitude_mask(weights, 0.5, "global")
    {'a': tensor([[ True, False]]), 'b': tensor([ True, False])}
    """
    _check(density, scope)
    return _keep(_magnitude_ranks(parameters, scope), parameters, density)


def random_mask(parameters: Mapping[str, Tensor], density: float, scope: Scope, seed: int) -> dict[str, Tensor]:
    """Which entries to keep (True), drawn uniformly: the control for `magnitude_mask`.

    Counts, scopes, nesting (for the same seed) and errors are those of `magnitude_mask`; values don't matter.

    >>> mask = random_mask({"a": torch.zeros(4, 5)}, 0.25, "layer", seed=0)
    >>> mask["a"].shape, mask["a"].sum()
    (torch.Size([4, 5]), tensor(5))
    """
    _check(density, scope)
    return _keep(_random_ranks(parameters, scope, seed), parameters, density)


def _check(density: float, scope: str) -> None:
    if not 0 < density <= 1:
        raise ValueError(f"density is {density}: it must be in (0, 1], the fraction of entries that are kept")
    if scope not in get_args(Scope):
        raise ValueError(f"scope is {scope!r}: it must be 'global' or 'layer'")


def _accuracy(
    model: nn.Module, data: Split, weights: Mapping[str, Tensor], ranks: list[Tensor], density: float
) -> float:
    kept = _keep(ranks, weights, density)
    pruned = {name: weight * kept[name] for name, weight in weights.items()}
    return 1 - misclassified(predict(model, data.x, parameters=pruned), data.y)


def _magnitude_ranks(parameters: Mapping[str, Tensor], scope: Scope) -> list[Tensor]:
    """For each group of entries (`_groups`) the place of each in the order of falling magnitude."""
    if bad := [name for name, tensor in parameters.items() if tensor.isnan().any()]:
        raise ValueError(f"{bad[0]} holds NaN, whose magnitude can't be ranked")
    flat = [tensor.detach().abs().flatten() for tensor in parameters.values()]
    return [_places(g.argsort(descending=True, stable=True)) for g in _groups(flat, scope)]


def _random_ranks(parameters: Mapping[str, Tensor], scope: Scope, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    flat = [torch.empty(tensor.numel()) for tensor in parameters.values()]
    return [torch.randperm(len(group), generator=generator) for group in _groups(flat, scope)]


def _groups(flat: list[Tensor], scope: Scope) -> list[Tensor]:
    """The entries that compete with each other."""
    return [torch.cat(flat)] if scope == "global" and flat else flat


def _places(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def _keep(ranks: list[Tensor], parameters: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    kept = (
        torch.cat([place < round(density * len(place)) for place in ranks])
        if ranks
        else torch.zeros(0, dtype=torch.bool)
    )
    pieces = kept.split([tensor.numel() for tensor in parameters.values()])
    return {
        name: piece.view(tensor.shape).to(tensor.device)
        for piece, (name, tensor) in zip(pieces, parameters.items(), strict=True)
    }
