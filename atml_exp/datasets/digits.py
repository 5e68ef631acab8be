"""Handwritten digits, 8×8: real images that need no download."""

import torch
from numpy import ndarray

from atml_exp.data import Dataset, Split
from atml_exp.datasets.remembered import remembered
from atml_exp.datasets.splitting import OpenFraction, hold_out, standardise
from atml_exp.fields import NonNegativeInt

__all__ = ["digits"]


def digits(*, test_fraction: OpenFraction = 0.2, split_seed: NonNegativeInt = 0) -> Dataset:
    """1,797 handwritten digits, x (N, 1, 8, 8) float32, y in 0 … 9 (Alpaydin & Kaynak 1998, UCI test part).

    Standardised by one mean and one std (/N) over all pixels of the training split. The test split is drawn
    at random and stratified, so a writer can stand in both.

    >>> data = digits()
    >>> data.train.x.shape, len(data.test)
    (torch.Size([1437, 1, 8, 8]), 360)
    """
    raw = remembered("digits", _load)
    train, test = hold_out(
        raw["images"][:, None], raw["target"], test_fraction=test_fraction, split_seed=split_seed, stratified=True
    )
    x_train, x_test = standardise(train.x, test.x, (0, 1, 2, 3))
    return Dataset(
        "digits",
        train=Split(x_train.to(torch.float32), train.y.long()),
        test=Split(x_test.to(torch.float32), test.y.long()),
        num_classes=10,
    )


def _load() -> dict[str, ndarray]:
    from sklearn.datasets import load_digits

    raw = load_digits()
    return {"images": raw.images, "target": raw.target}
