"""Groups with stated base rates and a signal that is normal in each class, so that every rate is known exactly."""

from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor
from torch.nn.functional import one_hot

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative, NonNegativeInt, OpenFraction, Positive, PositiveInt

__all__ = ["binormal_groups"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def binormal_groups(
    *,
    base_rates: Annotated[list[OpenFraction], Len(2, 26)],
    separations: Annotated[list[NonNegative], Len(2, 26)],
    shares: Annotated[list[Positive], Len(2, 26)] | None = None,
    group_as_input: bool = True,
    num_train: PositiveInt = 2000,
    num_test: PositiveInt = 4000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """Group g has P(Y = 1) = base_rates[g], and its signal is N(±separations[g]/2, 1), + where Y = 1.

    x (N, G) float64: the signal, then for each group but the first 1 where the example is of it, so that a linear
    model has an intercept for each group; without `group_as_input` the signal alone, (N, 1). Labels are drawn.
    shares: sizes of groups to one another, rounded to whole examples in random order; null: groups take turns and
    their sizes differ by at most one. Labels recorded wrongly: the wrapper `label_bias`.

    The best score is the posterior, of which the log odds are d_g·signal + log(p_g/(1 − p_g)): calibrated in each
    group, and linear where all separations are equal. The ROC curve of the signal in group g is
    `atml_exp.roc.binormal_roc` with distance d_g. Groups are named A, B, ….

    Raises ConfigError where there aren't as many separations, or shares, as base rates, and where a group is left
    without an example.
    """
    _check_numbers(len(base_rates), separations=separations, shares=shares)
    p, d = (torch.tensor(values, dtype=torch.float64) for values in (base_rates, separations))

    def sample(purpose: str, n: int) -> Split:
        generator = stream(seed, f"binormal_groups/{purpose}")
        group = _groups(n, len(p), shares, seed, purpose)
        y = (torch.rand(n, generator=generator, dtype=torch.float64) < p[group]).long()
        signal = (torch.randn(n, generator=generator, dtype=torch.float64) + d[group] * (y - 0.5))[:, None]
        inputs = [signal, one_hot(group, len(p))[:, 1:].to(signal)] if group_as_input else [signal]
        return Split(torch.cat(inputs, 1), y, group)

    return Dataset(
        "binormal_groups",
        sample("train", num_train),
        sample("test", num_test),
        num_classes=2,
        group_names=tuple(LETTERS[: len(p)]),
    )


def _groups(n: int, number: int, shares: list[float] | None, seed: int, purpose: str) -> Tensor:
    if shares is None:
        return torch.arange(n) % number
    ends = (n * torch.tensor(shares, dtype=torch.float64).cumsum(0) / sum(shares)).round().long()
    counts = ends.diff(prepend=torch.zeros(1, dtype=torch.int64))
    if bool((counts == 0).any()):
        raise ConfigError(
            f"dataset.shares={shares} of {n} examples ({purpose}) leaves group {int(counts.argmin())} empty: "
            f"larger shares, or a larger dataset.num_{purpose}"
        )
    generator = stream(seed, f"binormal_groups/{purpose}/groups")
    return torch.arange(number).repeat_interleave(counts)[torch.randperm(n, generator=generator)]


def _check_numbers(number: int, **options: list[float] | None) -> None:
    for name, values in options.items():
        if values is not None and len(values) != number:
            raise ConfigError(
                f"dataset.base_rates has {number} entries and dataset.{name} {len(values)}: each group needs one "
                "of both"
            )
