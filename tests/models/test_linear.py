import pytest
import torch

from atml_exp.models.linear import linear


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8), (3, 4, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_is_the_affine_map_of_the_flattened_input(float64, shape, bias):
    model, x = linear(shape, 3, bias=bias), torch.randn(6, *shape)
    offset = model.output.bias if bias else 0
    torch.testing.assert_close(model(x), x.reshape(6, -1) @ model.output.weight.T + offset)
    d = x[0].numel()
    assert sum(p.numel() for p in model.parameters()) == 3 * (d + bias)


def test_parameter_names():
    assert [n for n, _ in linear((2,), 1).named_parameters()] == ["output.weight", "output.bias"]


def test_initial_scale_scales_the_function(float64, seeded):
    one, three = seeded(lambda: linear((5,), 2)), seeded(lambda: linear((5,), 2, initial_scale=3.0))
    x = torch.randn(4, 5)
    torch.testing.assert_close(three(x), 3 * one(x))


def test_zeros_start_at_the_zero_function():
    assert linear((5,), 2, initialisation="zeros")(torch.randn(4, 5)).count_nonzero() == 0
