"""A random part of a pool of examples is trained on, and the whole pool is looked at."""

from dataclasses import replace

import torch

from atml_exp.data import Dataset
from atml_exp.datasets.corruption import select
from atml_exp.datasets.sampling import stream
from atml_exp.errors import ConfigError
from atml_exp.fields import PositiveInt

__all__ = ["random_inclusion"]


def random_inclusion(data: Dataset, seed: int, *, num_train: PositiveInt = 500) -> Dataset:
    """`num_train` random training examples; **the test split is the whole training split**, the pool, in its order.

    group of a pool's example: 0 left out, 1 trained on, and 2 more where its label had been changed before. With
    one run for each seed, each example is in some training sets and not in others, which is what memorisation
    scores are estimated from (Feldman & Zhang 2020, see `atml_exp.memorisation`). The former test split isn't used.
    Under one seed a larger training set contains a smaller one. Raises ConfigError unless 0 < num_train < pool.
    """
    pool = data.train
    if num_train >= len(pool):
        raise ConfigError(
            f"dataset wrapper random_inclusion: num_train={num_train}, and the pool, {data.name}'s training split, "
            f"has {len(pool)} examples: allowed: 1 to {len(pool) - 1}"
        )
    chosen = torch.randperm(len(pool), generator=stream(seed, "random_inclusion"))[:num_train]
    group = torch.zeros(len(pool), dtype=torch.int64)
    group[chosen] = 1
    group = group.to(pool.y.device)
    if data.clean_labels is not None:
        group = group + 2 * (pool.y != data.clean_labels)
    return replace(select(replace(data, train=replace(pool, group=None)), chosen), test=replace(pool, group=group))
