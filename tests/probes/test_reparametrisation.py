"""Rescaling against what Dinh et al. prove of it, in float64."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.probes.reparametrisation import reparametrisation, rescaled


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y = normal(30, 5), torch.arange(30) % 3


def net(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), activation(), nn.Linear(8, 3)).double()


def test_the_function_stays_the_first_block_scales_and_adaptive_sharpness_does_not_move():
    found = check_probe(reparametrisation, net(), Split(X, Y))
    scales = found["scales"]
    torch.testing.assert_close(scales, torch.logspace(-1, 1, 7, 30.0).double())
    assert found["output_change"].max() < 1e-14
    torch.testing.assert_close(
        found["first_layer"] * scales**2, found["first_layer"][3].expand(7), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(found["adaptive"], found["adaptive"][3].expand(7), rtol=1e-8, atol=0)
    assert found["top"].max() > 100 * found["top"].min()  # a sixth of 30², as much as a block alone gives
    assert found["sam"].max() > 10 * found["sam"].min()


def test_a_convolutional_net_can_be_rescaled_too():
    torch.manual_seed(0)
    model, x = cnn((1, 8, 8), 3, width=2, depth=2, normalisation="none").double(), normal(4, 1, 8, 8)
    torch.testing.assert_close(rescaled(model, 7.0)(x), model(x))
    assert not torch.equal(rescaled(model, 7.0).blocks[0].conv.weight, model.blocks[0].conv.weight)


def test_float32_models_are_measured_in_float64_and_stay_as_they_are():
    model = net().float()
    assert reparametrisation(model, Split(X.float(), Y), num_scales=3)["output_change"].max() < 1e-14
    assert model[0].weight.dtype == torch.float32


def test_refusals():
    with pytest.raises(ValueError, match="must be joined by a positively homogeneous activation"):
        reparametrisation(net(nn.Tanh), Split(X, Y))
    with pytest.raises(ValueError, match="1 linear or convolutional layers: rescaling takes 2"):
        rescaled(nn.Linear(2, 2), 2.0)
    with pytest.raises(ValueError, match=r"alpha is 0\.0: it must be positive"):
        rescaled(net(), 0.0)
