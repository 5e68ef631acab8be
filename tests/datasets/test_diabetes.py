import numpy as np
import torch
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from atml_exp.datasets.diabetes import diabetes


def test_least_squares_explains_what_it_explains_of_sklearns_data():
    """R² is unchanged by affine maps of features and target, so on all 442 patients it must be sklearn's."""
    data = diabetes()
    x, y = torch.cat([data.train.x, data.test.x]).numpy(), torch.cat([data.train.y, data.test.y]).numpy()
    raw = load_diabetes(return_X_y=True)
    expected = LinearRegression().fit(*raw).score(*raw)
    assert abs(LinearRegression().fit(x, y).score(x, y) - expected) < 1e-5


def test_features_and_target_are_standardised_by_the_training_split():
    train = diabetes().train
    for values in (train.x.double(), train.y.double()):
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(values.std(0, correction=0), 1, atol=1e-6)


def test_shapes_and_types():
    data = diabetes()
    assert (data.train.x.shape, data.train.y.shape, len(data.test)) == ((353, 10), (353,), 89)
    assert (data.train.x.dtype, data.train.y.dtype) == (torch.float32, torch.float32)
    assert (data.num_classes, data.num_targets, data.tasks) == (None, 1, {"regression"})
