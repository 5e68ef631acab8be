"""What the stored tables share: a held-out test split, and standardisation by the training split."""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from atml_exp.data import Dataset, Split
from atml_exp.datasets.remembered import remembered
from atml_exp.errors import ConfigError

__all__ = ["OpenFraction", "classification_table", "hold_out", "standardise"]

OpenFraction = Annotated[float, Interval(gt=0, lt=1)]
"""In (0, 1): neither of the two parts is empty."""


def hold_out(
    x: np.ndarray, y: np.ndarray, *, test_fraction: float, split_seed: int, stratified: bool
) -> tuple[Split, Split]:
    """A random (train, test) split; ⌈test_fraction·N⌉ test examples, stratified: class shares kept.

    Raises ConfigError where a part would be left without an example of some class.
    """

    def indices() -> dict[str, np.ndarray]:
        from sklearn.model_selection import train_test_split

        strata = y if stratified else None
        train, test = train_test_split(
            np.arange(len(y)), test_size=test_fraction, random_state=split_seed, stratify=strata
        )
        return {"train": train, "test": test}

    try:
        found = remembered("split", indices, y, test_fraction, split_seed, stratified)
    except ValueError as error:
        raise ConfigError(
            f"dataset.test_fraction={test_fraction} with dataset.split_seed={split_seed} "
            f"can't split {len(y)} examples: {error}"
        ) from error
    whole = Split(torch.as_tensor(x), torch.as_tensor(y))
    return whole[torch.as_tensor(found["train"])], whole[torch.as_tensor(found["test"])]


def standardise(train: Tensor, test: Tensor, dim: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(z − mean)/std for both, with the mean and std of `train` over the axes `dim`.

    std divides by N, not N−1; what is constant over the training split is centred only.

    >>> standardise(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 5.0]), (0,))
    (tensor([-1.,  1.]), tensor([0., 3.]))
    """
    mean, std = train.mean(dim, keepdim=True), train.std(dim, correction=0, keepdim=True)
    constant = train.amax(dim, keepdim=True) == train.amin(dim, keepdim=True)
    std = torch.where(constant, torch.ones_like(std), std)
    return (train - mean) / std, (test - mean) / std


def classification_table(
    name: str, x: np.ndarray, y: np.ndarray, *, test_fraction: float, split_seed: int
) -> Dataset:
    """Features (N, D), float32, each standardised; labels int64; a stratified test split."""
    train, test = hold_out(x, y, test_fraction=test_fraction, split_seed=split_seed, stratified=True)
    x_train, x_test = standardise(train.x, test.x, (0,))
    return Dataset(
        name,
        train=Split(x_train.float(), train.y.long()),
        test=Split(x_test.float(), test.y.long()),
        num_classes=int(y.max()) + 1,
    )
