import torch

from atml_exp.layout import Layout
from atml_exp.models.random_features import random_features


def test_is_a_hidden_layer_over_the_root_of_its_width(float64):
    model, x = random_features((1, 2, 3), 4, width=7, bias=True, feature_bias=True), torch.randn(5, 1, 2, 3)
    hidden = torch.relu(x.flatten(1) @ model.features.weight.T + model.features.bias)
    torch.testing.assert_close(model(x), hidden / 7**0.5 @ model.output.weight.T + model.output.bias)


def test_only_the_output_is_trained(float64):
    assert Layout.of(random_features((3,), 2, width=5)).names == ("output.weight",)


def test_its_kernel_is_the_arc_cosine_kernel(float64, seeded):
    """E[relu(w·x) relu(w·z)] with w ~ N(0, 2/D I): (1/D)·‖x‖‖z‖(sin θ + (π − θ)cos θ)/π (Cho & Saul 2009)."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    model = seeded(lambda: random_features((6,), 1, width=400_000))
    h = model.features(x)
    norms = x.norm(dim=1)
    angle = (x @ x.T / norms[:, None] / norms).clamp(-1, 1).arccos()
    truth = norms[:, None] * norms * (angle.sin() + (torch.pi - angle) * angle.cos()) / torch.pi / 6
    torch.testing.assert_close(h @ h.T, truth, rtol=0.02, atol=0.005)
