"""Slices of a quadratic, the invariance under rescaled layers, and what filter normalisation leaves still."""

import copy

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.layout import Layout
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes.landscape import filter_normalised, landscape, random_directions, slice_of_loss


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


IMAGES = Split(normal(40, 1, 8, 8), torch.arange(40) % 3)


def net(make=cnn, **options) -> nn.Module:
    torch.manual_seed(0)
    return make((1, 8, 8), 3, width=8, **options).double()


def weights(model: nn.Module) -> Tensor:
    return Layout.of(model).vector(dict(model.named_parameters()))


@pytest.mark.parametrize("dimensions", [1, 2])
def test_a_quadratics_slice_is_exactly_that_quadratic(dimensions):
    """Linear regression: L(w + Σ a_k d_k) = L(w) + Σ a_k d_kᵀg + ½ Σ a_j a_k d_jᵀH d_k."""
    torch.manual_seed(0)
    model = nn.Linear(4, 2, bias=False).double()
    data = Split(normal(30, 4), normal(30, 2, seed=1))
    directions = normal(dimensions, 8, seed=2)
    found = slice_of_loss(model, directions, data, loss=mse, reach=3.0, points_per_side=4)
    error = (model(data.x) - data.y).detach()
    gradient = (error.T @ data.x / 30).flatten()
    hessian = torch.kron(torch.eye(2, dtype=torch.float64), data.x.T @ data.x / 30)
    places = torch.cartesian_prod(*[found.coordinates] * dimensions).view(-1, dimensions)
    moved = places @ directions
    truth = error.square().sum() / 60 + moved @ gradient + (moved @ hessian * moved).sum(1) / 2
    torch.testing.assert_close(found.loss.flatten(), truth)
    assert found.coordinates.tolist() == [-3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0]


@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_centre_is_the_loss_itself(dimensions):
    model = net()
    found = landscape(model, IMAGES, dimensions=dimensions, points_per_side=2, num_slices=3)
    outputs = model.eval()(IMAGES.x)
    loss = cross_entropy(outputs, IMAGES.y).item()
    assert found["loss"].shape == (3, 5, 5)[: dimensions + 1]
    assert found["centre"] == pytest.approx(loss, rel=1e-12)
    for values, truth in ((found["loss"], loss), (found["error"], (outputs.argmax(1) != IMAGES.y).double().mean())):
        assert values.flatten(1)[:, values[0].numel() // 2].tolist() == pytest.approx([float(truth)] * 3, rel=1e-12)
    assert found["rise"] == pytest.approx(found["loss"].mean().item() - loss, rel=1e-9)


def rescaled(model: nn.Module, factor: float) -> nn.Module:
    """The same function: the first weights times a factor, which the batch norm after them takes out again."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(p for p in other.parameters() if p.dim() > 1).mul_(factor)
    return other


@pytest.mark.parametrize("make", [mlp, cnn])
def test_rescaling_a_layer_before_batch_norm_changes_nothing_under_filter_normalisation(make):
    model = net(make, normalisation="batch")
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eps = 1e-15  # which is what breaks the invariance
    options = {"dimensions": 1, "points_per_side": 2}
    for factor in (0.1, 10.0):
        one, other = (landscape(m, IMAGES, **options) for m in (model, rescaled(model, factor)))
        torch.testing.assert_close(one["loss"], other["loss"], rtol=1e-7, atol=1e-7)
        plain = [landscape(m, IMAGES, normalisation="none", **options) for m in (model, rescaled(model, factor))]
        assert not torch.allclose(plain[0]["loss"], plain[1]["loss"], rtol=1e-3)


def test_filters_are_as_long_as_the_weights_and_the_rest_stands_still():
    model = net(normalisation="batch")
    layout = Layout.of(model)
    d = random_directions(model, 2, seed=3)
    assert not torch.equal(d[0], d[1])
    pairs = zip(layout.pieces(d[0]), layout.pieces(weights(model)), strict=True)
    for direction, weight in pairs:
        if weight.dim() > 1:
            torch.testing.assert_close(direction.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
        else:
            assert not direction.any()


def test_filters_that_are_zero_give_no_nan():
    model = nn.Linear(3, 3, bias=False).double()
    with torch.no_grad():
        model.weight[0] = 0
    direction = normal(3, 3)
    direction[1] = 0
    found = filter_normalised(model, direction.flatten()).view(3, 3)
    assert found[:2].count_nonzero() == 0
    torch.testing.assert_close(found[2] / found[2].norm(), direction[2] / direction[2].norm())


def test_plain_directions_have_length_1_and_reach_all_parameters():
    d = random_directions(net(), 2, normalisation="none")
    torch.testing.assert_close(d.norm(dim=1), torch.ones(2, dtype=torch.float64))
    assert d.count_nonzero() == d.numel()


def test_float32_gives_the_picture_of_float64():
    one = landscape(net(), IMAGES, dimensions=1)["loss"]
    other = landscape(net().float(), Split(IMAGES.x.float(), IMAGES.y), dimensions=1)["loss"]
    torch.testing.assert_close(other.double(), one, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_keeps_the_contract_of_probes(normalisation):
    found = check_probe(
        lambda m, d: landscape(m, d, points_per_side=1, num_slices=2), net(normalisation=normalisation), IMAGES
    )
    assert found["loss"].shape == found["error"].shape == (2, 3, 3)


def test_chunks_and_what_recomputing_means():
    model = net(normalisation="batch")
    one, other = (landscape(model, IMAGES, points_per_side=2, chunk_size=c)["loss"] for c in (None, 4))
    torch.testing.assert_close(one, other)
    kept = landscape(model, IMAGES, points_per_side=2, recompute=False)
    assert kept["centre"] == pytest.approx(cross_entropy(model.eval()(IMAGES.x), IMAGES.y).item())
    assert not torch.allclose(kept["loss"], one)


def test_what_cannot_be_sliced_is_refused():
    with pytest.raises(ValueError, match="the model has no filters"):
        random_directions(nn.BatchNorm1d(3), 1)
    with pytest.raises(ValueError, match=r"direction has shape \(2,\): it must be \(9,\)"):
        filter_normalised(nn.Linear(3, 3, bias=False), torch.zeros(2))
    with pytest.raises(ValueError, match=r"directions has shape \(3, 6\): it must be \(1, P\) or \(2, P\)"):
        slice_of_loss(nn.Linear(2, 2), torch.zeros(3, 6), IMAGES)
