"""What the wrappers of groups share."""

from torch import Tensor

from atml_exp.data import Dataset
from atml_exp.errors import ConfigError

__all__ = ["groups_of"]


def groups_of(data: Dataset, wrapper: str) -> tuple[Tensor, int]:
    """The training examples' groups (N,), on the CPU, and G, how many there are; ConfigError without groups."""
    if data.train.group is None:
        raise ConfigError(
            f"dataset wrapper {wrapper} needs groups, and {data.name} has none: one that has, or the wrapper "
            "group_column before it"
        )
    group = data.train.group.cpu()
    return group, max(len(data.group_names), int(group.max()) + 1)
