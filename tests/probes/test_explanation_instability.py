"""Agreement over models and under noise where it is known: linear models, no noise, an explanation of the input."""

import pytest
import torch

from atml_exp.attribution.edge_detector import edge_detector
from atml_exp.attribution.saliency import saliency
from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.explanation_instability import explanation_instability, over_models, under_noise

G = torch.Generator().manual_seed(0)
X = torch.randn(10, 1, 8, 8, generator=G)
DATA = Split(X, torch.arange(10) % 3)


def gradient(model, x):
    return saliency(model, x, 0, signed=True)


def test_of_a_linear_model_the_gradient_is_the_same_everywhere():
    assert under_noise(gradient, linear((1, 8, 8), 2), X, noise=5.0) == (1, 1)


def test_no_noise_no_change_and_more_noise_more_change():
    torch.manual_seed(0)
    model = mlp((1, 8, 8), 2, width=32)
    found = [under_noise(gradient, model, X, noise=n, samples=3).signed for n in (0.0, 0.1, 1.0)]
    assert found[0] == 1
    assert found[0] > found[1] > found[2]


def test_copies_agree_and_independent_nets_don_t():
    torch.manual_seed(0)
    one, other = (mlp((1, 8, 8), 2, width=32) for _ in range(2))
    assert over_models(gradient, [one, one], X) == (1, 1)
    assert abs(over_models(gradient, [one, other], X).signed) < 0.3
    assert over_models(lambda model, x: edge_detector(x), [one, other], X) == (1, 1)


def test_the_probe_keeps_maps_and_says_whether_the_net_changed_its_mind():
    torch.manual_seed(0)
    model = cnn((1, 8, 8), 3, width=4)

    def probe(model, data, **options):
        return explanation_instability(model, data, num_examples=6, samples=2, steps=3, **options)

    found = check_probe(probe, model, DATA)
    assert found["gradient"].shape == found["grad_cam"].shape == (6, 1, 8, 8)
    assert 0 <= found["same_answer"] <= 1
    still = probe(model, DATA, noise=0.0)
    assert still["same_answer"] == still["gradient_noise_signed"] == still["edges_noise_absolute"] == 1


def test_refusals():
    with pytest.raises(ValueError, match="noise is -1"):
        under_noise(gradient, linear((1, 8, 8), 2), X, noise=-1)
    with pytest.raises(ValueError, match="at least 2"):
        over_models(gradient, [linear((1, 8, 8), 2)], X)
