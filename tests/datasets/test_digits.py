import torch
from sklearn.datasets import load_digits

from atml_exp.datasets.digits import digits


def test_pixels_and_labels_are_those_of_sklearn():
    """Undoing the standardisation gives back every image with its label."""
    data, raw = digits(), load_digits()
    x = torch.cat([data.train.x, data.test.x]).flatten(1)
    slope = 16 / (x.max() - x.min())  # pixels span 0 … 16
    pixels = ((x - x.min()) * slope).round().long()
    ours = torch.cat([pixels, torch.cat([data.train.y, data.test.y])[:, None]], 1)
    theirs = torch.cat([torch.as_tensor(raw.data).long(), torch.as_tensor(raw.target)[:, None]], 1)
    assert sorted(ours.tolist()) == sorted(theirs.tolist())


def test_standardised_by_the_training_split():
    data = digits()
    x = data.train.x.double()
    assert abs(x.mean()) < 1e-6
    assert abs(x.std(correction=0) - 1) < 1e-6
    assert abs(data.test.x.mean()) > 1e-4  # not standardised by itself


def test_shapes_and_types():
    data = digits()
    assert data.train.x.shape == (1437, 1, 8, 8)
    assert data.test.x.shape == (360, 1, 8, 8)
    assert (data.train.x.dtype, data.train.y.dtype) == (torch.float32, torch.int64)
    assert (data.num_classes, data.input_shape) == (10, (1, 8, 8))


def test_the_split_is_stratified_and_follows_its_seed():
    counts = digits().test.y.bincount()
    assert counts.min() >= 35
    assert counts.max() <= 37  # a fifth of 174 … 183
    assert torch.equal(digits(split_seed=1).test.x, digits(split_seed=1).test.x)
    assert not torch.equal(digits(split_seed=1).test.y, digits(split_seed=2).test.y)


def test_test_fraction():
    assert len(digits(test_fraction=0.5).test) == 899
