"""Labels recorded wrongly more often in one group than in another."""

from typing import Annotated

import torch
from annotated_types import Len
from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import num_classes_of, relabel
from atml_exp.datasets.groups import groups_of
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import Fraction

__all__ = ["label_bias"]

Rates = Annotated[list[Fraction], Len(1, 1000)]


def label_bias(data: Dataset, seed: int, *, missed: Rates, invented: Rates | None = None) -> Dataset:
    """A training positive of group g is recorded as negative with probability missed[g], a negative as positive
    with probability invented[g] (null: never), each by itself: P(recorded 1) = p(1 − missed) + (1 − p)·invented.

    Labels that depend on more than what they stand for (Blum & Stangl 2020, Recovering from biased data: can
    fairness constraints improve accuracy?, 'labelling bias'). `clean_labels` keeps the true ones; the test split
    stays as it is, so that a model is judged by what is true. Under one seed larger probabilities change all that
    smaller ones do. ConfigError without groups, for other than two classes, and for other than one number a group.
    """
    group, number = groups_of(data, "label_bias")
    if num_classes_of(data, "label_bias") != 2:
        raise ConfigError(f"dataset wrapper label_bias needs two classes, and {data.name} has {data.num_classes}")
    off = torch.stack([_rates("invented", invented or [0.0] * number, number), _rates("missed", missed, number)])
    y = data.train.y.cpu()
    draw = torch.rand(len(y), generator=stream(seed, "label_bias"), dtype=torch.float64)
    index = (draw < off[y, group]).nonzero().flatten()
    return relabel(data, index, 1 - y[index])


def _rates(name: str, values: list[float], number: int) -> Tensor:
    if len(values) != number:
        raise ConfigError(
            f"dataset wrapper label_bias: {name} has {len(values)} entries and there are {number} groups: one each"
        )
    return torch.tensor(values, dtype=torch.float64)
