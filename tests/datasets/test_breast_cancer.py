import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from atml_exp.datasets.breast_cancer import breast_cancer


def test_examples_are_those_of_sklearn():
    """Standardised features determine the raw ones up to an affine map per feature, and each has its label."""
    data, (x, y) = breast_cancer(), load_breast_cancer(return_X_y=True)
    both = np.concatenate([data.train.x, data.test.x]).astype(np.float64)
    labels = np.concatenate([data.train.y, data.test.y])
    ours, theirs = StandardScaler().fit_transform(both), StandardScaler().fit_transform(x)
    distance = np.linalg.norm(theirs[:, None] - ours, axis=2)
    match = distance.argmin(1)
    assert distance.min(1).max() < 1e-4
    assert len(set(match)) == len(x)
    assert (labels[match] == y).all()


def test_standardised_by_the_training_split():
    x = breast_cancer().train.x.double()
    assert torch.allclose(x.mean(0), torch.zeros(x.shape[1], dtype=x.dtype), atol=1e-6)
    assert torch.allclose(x.std(0, correction=0), torch.ones(x.shape[1], dtype=x.dtype), atol=1e-6)


def test_shapes_and_types():
    data = breast_cancer()
    assert (len(data.train), len(data.test), data.input_shape[0], data.num_classes) == (455, 114, 30, 2)
    assert (data.train.x.dtype, data.train.y.dtype) == (torch.float32, torch.int64)


def test_class_shares_are_kept():
    data = breast_cancer(split_seed=5)
    shares = [split.y.bincount() / len(split) for split in (data.train, data.test)]
    assert torch.allclose(*shares, atol=0.02)
