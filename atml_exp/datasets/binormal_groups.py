"""Groups with stated base rates and a signal that is normal in each class, so that every rate is known exactly."""

from typing import Annotated

import torch
from annotated_types import Len
from torch.nn.functional import one_hot

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import NonNegative, NonNegativeInt, OpenFraction, PositiveInt

__all__ = ["binormal_groups"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def binormal_groups(
    *,
    base_rates: Annotated[list[OpenFraction], Len(2, 26)],
    separations: Annotated[list[NonNegative], Len(2, 26)],
    num_train: PositiveInt = 2000,
    num_test: PositiveInt = 4000,
    seed: NonNegativeInt = 0,
) -> Dataset:
    """Group g has P(Y = 1) = base_rates[g], and its signal is N(±separations[g]/2, 1), + where Y = 1.

    x (N, G) float64: the signal, then for each group but the first 1 where the example is of it, so that a linear
    model has an intercept for each group. Groups take turns: their sizes differ by at most one; labels are drawn.
    The best score is the posterior, of which the log odds are d_g·signal + log(p_g/(1 − p_g)): calibrated in each
    group, and linear where all separations are equal. The ROC curve of the signal in group g is
    `atml_exp.roc.binormal_roc` with distance d_g. Groups are named A, B, ….

    Raises ConfigError where there aren't as many separations as base rates.
    """
    if len(base_rates) != len(separations):
        raise ConfigError(
            f"dataset.base_rates has {len(base_rates)} entries and dataset.separations {len(separations)}: each "
            "group needs one of both"
        )
    p, d = (torch.tensor(values, dtype=torch.float64) for values in (base_rates, separations))

    def sample(purpose: str, n: int) -> Split:
        generator = stream(seed, f"binormal_groups/{purpose}")
        group = torch.arange(n) % len(p)
        y = (torch.rand(n, generator=generator, dtype=torch.float64) < p[group]).long()
        signal = torch.randn(n, generator=generator, dtype=torch.float64) + d[group] * (y - 0.5)
        return Split(torch.cat([signal[:, None], one_hot(group, len(p))[:, 1:].to(signal)], 1), y, group)

    return Dataset(
        "binormal_groups",
        sample("train", num_train),
        sample("test", num_test),
        num_classes=2,
        group_names=tuple(LETTERS[: len(p)]),
    )
