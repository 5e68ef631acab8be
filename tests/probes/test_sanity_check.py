"""On digits' shapes: the control stays at 1 and fails, gradients fall, and the probe leaves no trace."""

import pytest
import torch

from atml_exp.attribution.gradients import explainers
from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes.sanity_check import sanity_check

G = torch.Generator().manual_seed(0)
DATA = Split(torch.randn(12, 1, 8, 8, generator=G), torch.arange(12) % 3)
METHODS = ["gradient", "smoothgrad", "gradient_input", "integrated_gradients"]


@pytest.fixture
def net():
    torch.manual_seed(0)
    return cnn((1, 8, 8), 3, width=4)


def test_by_layer_from_one_down_and_the_control_fails(net):
    found = check_probe(lambda model, data: sanity_check(model, data, num_examples=6, steps=3), net, DATA)
    for name in (*METHODS, "grad_cam", "edges"):
        assert found[f"{name}_absolute"].shape == (4,)  # nothing, output, two convolutions
        assert found[f"{name}_signed"][0] == 1
        end = max(abs(found[f"{name}_{which}"][-1].item()) for which in ("signed", "absolute"))
        assert found[f"{name}_end"] == end
    assert found["edges_signed"].tolist() == found["edges_single_absolute"].tolist() == [1] * 4
    assert found["edges_passes"] == 0
    assert found["gradient_passes"] == 1
    assert found["gradient_signed"][1] == found["gradient_single_signed"][1]
    assert found["gradient_signed"][2] != found["gradient_single_signed"][2]


def test_grad_cam_needs_a_convolution_and_the_others_explain_the_target_with_signs(net):
    perceptron = mlp((1, 8, 8), 3, width=4)
    assert list(explainers(perceptron, DATA.x, 0)) == [*METHODS, "edges"]
    ways = explainers(net, DATA.x, DATA.y)
    for name in METHODS:
        assert (ways[name](net, DATA.x) < 0).any()
    total = ways["integrated_gradients"](net, DATA.x).flatten(1).sum(1)
    with torch.no_grad():
        change = (net(DATA.x) - net(0 * DATA.x)).gather(1, DATA.y[:, None])[:, 0]
    torch.testing.assert_close(total, change, rtol=0.1, atol=1e-2)
