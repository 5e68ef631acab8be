"""What a training loss is given beside an example's label: its weight, its group, and numbers of the replica's own.

They travel with the labels, as further columns of what mini-batches are made of, so that batches, populations and
recorded steps need not know of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from atml_exp.data import Split
from atml_exp.errors import ConfigError

__all__ = ["Carried", "carried", "stacked_options"]

Loss = Callable[..., Tensor]


def carried(splits: Sequence[Split], losses: Sequence[Loss]) -> tuple[Sequence[Split], Loss]:
    """The splits of R replicas and one loss for them all, where labels carry what the losses need besides.

    losses: of each replica, differing at most in the options that `atml_exp.data.stacks` names. Splits and loss
    come back as they are where nothing is to be carried. ConfigError where there is no group for a loss that needs
    one, where examples have weights that a loss of groups wouldn't heed, and where y has several columns.
    """
    names, options = _columns(splits[0], losses[0]), _differing(losses)
    if not names and not options:
        return splits, losses[0]
    _check(splits, names)
    packed: dict[Any, Split] = {}  # replicas that share a split go on sharing it
    rows = []
    for split, loss in zip(splits, losses, strict=True):
        values = tuple(_option(loss, name) for name in options)
        packed.setdefault((id(split), values), _packed(split, names, values))
        rows.append(packed[id(split), values])
    return rows, Carried(losses[0], tuple(names), tuple(options), not splits[0].y.is_floating_point())


def stacked_options(loss: Loss) -> tuple[str, ...]:
    """The options of a loss in which the replicas of a population may differ."""
    return getattr(_unwrapped(loss), "stacked_options", ())


@dataclass(frozen=True)
class Carried:
    """A loss of outputs and packed targets (N, 1 + columns + options): label, columns, options, all floating.

    With weights v it is (1/N) Σᵢ vᵢ ℓ(oᵢ, yᵢ), for which the loss must be a mean over examples.
    """

    loss: Loss
    columns: tuple[str, ...]
    options: tuple[str, ...]
    is_class: bool

    def __call__(self, outputs: Tensor, packed: Tensor) -> Tensor:
        label, *rest = packed.unbind(1)
        y = label.long() if self.is_class else label
        more = dict(zip(self.columns, rest, strict=False))
        fixed = {name: column[0] for name, column in zip(self.options, rest[len(self.columns) :], strict=True)}
        if "group" in more:
            return self.loss(outputs, y, more["group"].long(), **fixed)
        if "weight" not in more:
            return self.loss(outputs, y, **fixed)
        each = vmap(lambda o, t: self.loss(o[None], t[None], **fixed))(outputs, y)
        return (more["weight"] * each).mean()


def _columns(split: Split, loss: Loss) -> list[str]:
    weight = ["weight"] if split.weight is not None else []
    return weight + (["group"] if getattr(_unwrapped(loss), "of_group", False) else [])


def _differing(losses: Sequence[Loss]) -> list[str]:
    """The stacked options that aren't the same for all."""
    return [name for name in stacked_options(losses[0]) if len({_option(loss, name) for loss in losses}) > 1]


def _option(loss: Loss, name: str) -> Any:
    return loss.keywords.get(name) if isinstance(loss, partial) else None


def _packed(split: Split, names: Sequence[str], options: Sequence[float]) -> Split:
    columns = [split.y, *(getattr(split, name) for name in names)]
    columns += [torch.full((len(split),), value, device=split.x.device) for value in options]
    return replace(split, y=torch.stack([column.to(split.x.dtype) for column in columns], 1), weight=None)


def _unwrapped(loss: Loss) -> Any:
    return loss.func if isinstance(loss, partial) else loss


def _check(splits: Sequence[Split], names: Sequence[str]) -> None:
    if splits[0].y.dim() != 1:
        raise ConfigError("examples with weights or groups need labels (N,); y has several columns")
    if len(names) == 2:
        raise ConfigError("loss: it is one of groups, and the training examples have weights: take one of the two")
    if "group" in names and any(split.group is None for split in splits):
        raise ConfigError("loss: it needs a group for each training example, and the dataset has none")
