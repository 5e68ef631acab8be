import pytest
import torch

from atml_exp.checks import check_dataset
from atml_exp.datasets.unconstrained_features import unconstrained_features


@pytest.mark.parametrize(("num_classes", "per_class"), [(2, 1), (3, 5)])
def test_each_example_is_its_own_basis_vector(num_classes, per_class):
    data = unconstrained_features(num_classes=num_classes, per_class=per_class)
    n = num_classes * per_class
    assert torch.equal(data.train.x, torch.eye(n, dtype=torch.float64))
    assert data.train.y.bincount().tolist() == [per_class] * num_classes
    assert (data.num_classes, data.input_shape, data.test is data.train) == (num_classes, (n,), True)
    check_dataset(data)


def test_one_layer_gives_each_example_any_features():
    """Which is what makes them unconstrained: H = the wanted features, transposed."""
    x = unconstrained_features(num_classes=2, per_class=3).train.x
    wanted = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.nn.functional.linear(x, wanted.T), wanted)
