"""Masks: which entries of a model's tensors are kept, as the largest of some score."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

import torch
from annotated_types import Interval
from torch import Tensor

__all__ = [
    "Density",
    "Scope",
    "check_density",
    "density_of",
    "emptied",
    "keep_largest",
    "keep_units",
    "kept",
    "order_of",
    "prunable",
    "random_order",
    "shuffled",
]

Density = Annotated[float, Interval(gt=0, le=1)]
Scope = Literal["global", "layer"]


def prunable(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of two dimensions or more: biases and the parameters of normalisations are kept and don't count.

    Raises ValueError where there is none.
    """
    weights = {name: p.detach() for name, p in parameters.items() if p.dim() >= 2}
    if not weights:
        raise ValueError("the model has no weight of two dimensions or more: there is nothing to prune")
    return weights


def keep_largest(scores: Mapping[str, Tensor], density: float, scope: Scope) -> dict[str, Tensor]:
    """Which entries to keep (True): those with the largest scores, exactly round(density·n) of n.

    scope: `global` ranks the entries of all tensors together, `layer` those of each tensor by themselves.
    Of equal scores the earlier is kept (the mapping's order, then row-major). Masks are nested: what a density
    keeps, every larger one keeps. `round` is Python's: halves go to the even number.

    scores: name → tensor; returns name → bool tensor of the same shape and device. Raises ValueError if density
    isn't in (0, 1], on any other scope, and if a tensor holds NaN.
    """
    check_density(density, scope)
    return kept(order_of(scores, scope), scores, density)


def keep_units(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Which entries to keep where units go as a whole: a neuron or a filter is a row (first axis) of a tensor.

    A unit's score is the sum over its row: with magnitudes the ℓ₁ norm of Li et al. (2017), Pruning filters for
    efficient convnets. In each tensor but the last, whose rows are the model's outputs, the round(density·rows)
    rows with the largest scores are kept, at least one of them.

    >>> scores = {"hidden": torch.tensor([[1.0, 1.0], [3.0, 0.0]]), "output": torch.ones(2, 2)}
    >>> keep_units(scores, 0.5)["hidden"]
    tensor([[False, False],
            [ True,  True]])
    """
    check_density(density, "layer")
    last, found = list(scores)[-1:], {}
    for name, score in scores.items():
        rows = score.flatten(1).sum(1)
        count = len(rows) if name in last else max(1, round(density * len(rows)))
        chosen = _places(_falling({name: rows})) < count
        found[name] = chosen.view(-1, *[1] * (score.dim() - 1)).expand(score.shape).clone()
    return found


def order_of(scores: Mapping[str, Tensor], scope: Scope) -> list[Tensor]:
    """For each set of entries that compete with each other the place of each in the order of falling scores."""
    groups = [scores] if scope == "global" and scores else [{name: tensor} for name, tensor in scores.items()]
    return [_places(_falling(group)) for group in groups]


def random_order(like: Mapping[str, Tensor], scope: Scope, seed: int) -> list[Tensor]:
    """Places drawn uniformly: the control for `order_of`."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [tensor.numel() for tensor in like.values()]
    return [
        torch.randperm(n, generator=generator) for n in ([sum(sizes)] if scope == "global" and sizes else sizes)
    ]


def kept(order: Sequence[Tensor], like: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """The masks of a density from `order_of` or `random_order`."""
    chosen = [place < round(density * len(place)) for place in order]
    whole = torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.bool)
    pieces = whole.split([tensor.numel() for tensor in like.values()])
    return {
        name: piece.view(tensor.shape).to(tensor.device)
        for piece, (name, tensor) in zip(pieces, like.items(), strict=True)
    }


def shuffled(mask: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Each tensor's mask with its entries in a random order: the same number is kept in each layer, elsewhere."""
    found = {}
    for name, m in mask.items():
        order = torch.randperm(m.numel(), generator=generator).to(m.device)
        found[name] = m.flatten()[order].view(m.shape)
    return found


def density_of(mask: Mapping[str, Tensor]) -> float:
    """The fraction of entries that is kept.

    >>> density_of({"a": torch.tensor([True, False]), "b": torch.tensor([[False, False]])})
    0.25
    """
    return sum(float(m.sum()) for m in mask.values()) / sum(m.numel() for m in mask.values())


def emptied(mask: Mapping[str, Tensor]) -> list[str]:
    """The tensors of which nothing is kept: no signal passes (layer collapse).

    >>> emptied({"a": torch.tensor([True, False]), "b": torch.tensor([False])})
    ['b']
    """
    return [name for name, m in mask.items() if not bool(m.any())]


def check_density(density: float, scope: str) -> None:
    """Raises ValueError where either isn't allowed."""
    if not 0 < density <= 1:
        raise ValueError(f"density is {density}: it must be in (0, 1], the fraction of entries that are kept")
    if scope not in get_args(Scope):
        raise ValueError(f"scope is {scope!r}: it must be 'global' or 'layer'")


def _falling(scores: Mapping[str, Tensor]) -> Tensor:
    if bad := [name for name, tensor in scores.items() if tensor.isnan().any()]:
        raise ValueError(f"{bad[0]} holds NaN, which can't be ranked")
    return torch.cat([tensor.detach().flatten() for tensor in scores.values()]).argsort(
        descending=True, stable=True
    )


def _places(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
