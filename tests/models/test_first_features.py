import pytest
import torch

from atml_exp.errors import ConfigError
from atml_exp.models.first_features import first_features


def test_is_blind_to_later_coordinates(float64):
    model, x = first_features((2, 3), 2, width=4, initialisation="pytorch"), torch.randn(5, 2, 3)
    torch.testing.assert_close(model(x), x.flatten(1)[:, :4] @ model.output.weight.T)


def test_there_must_be_so_many():
    with pytest.raises(ConfigError, match="width = 7: the inputs have 6 coordinates"):
        first_features((2, 3), 1, width=7)
