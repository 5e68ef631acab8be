import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from atml_exp.datasets.splitting import classification_table, hold_out, standardise
from atml_exp.errors import ConfigError


def table(n: int = 50) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(2.0 * n).reshape(n, 2), np.arange(n) % 5


def split(seed: int = 0, fraction: float = 0.2, stratified: bool = True):
    return hold_out(*table(), test_fraction=fraction, split_seed=seed, stratified=stratified)


def test_the_two_parts_share_nothing_and_lack_nothing():
    train, test = split()
    assert sorted(torch.cat([train.x, test.x])[:, 0].tolist()) == table()[0][:, 0].tolist()
    assert torch.equal(train.y, (train.x[:, 0] / 2 % 5).long())


def test_stratified_keeps_class_shares():
    train, test = split(seed=3)
    assert train.y.bincount().tolist() == [8] * 5
    assert test.y.bincount().tolist() == [2] * 5


def test_the_seed_decides():
    assert torch.equal(split(1)[0].x, split(1)[0].x)
    assert not torch.equal(split(1)[1].x, split(2)[1].x)


def test_a_part_without_a_class_is_refused():
    with pytest.raises(ConfigError, match=r"dataset.test_fraction=0.02 .* can't split 50 examples"):
        split(fraction=0.02)


def test_standardise_agrees_with_sklearn():
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 2, (30, 4)), rng.normal(size=(10, 4))
    train[:, 2] = test[:, 2] = 0.1  # constant, and not a binary fraction
    scaler = StandardScaler().fit(train)
    ours = standardise(torch.as_tensor(train), torch.as_tensor(test), (0,))
    for got, raw in zip(ours, (train, test), strict=True):
        np.testing.assert_allclose(got, scaler.transform(raw), atol=1e-12)


def test_table_types():
    data = classification_table("t", *table(), test_fraction=0.2, split_seed=0)
    assert (data.train.x.dtype, data.train.y.dtype, data.num_classes) == (torch.float32, torch.int64, 5)
