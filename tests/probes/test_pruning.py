"""Masks by their properties: kept fraction, order of magnitudes, nesting; pruning on nets that are known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.probes.pruning import magnitude_mask, pruning, random_mask

DENSITIES = (1.0, 0.77, 0.5, 0.3, 0.1, 0.01)


def parameters() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": (7, 5), "b": (11,), "c": (2, 3, 4), "scalar": ()}
    return {
        name: (i + 1) * torch.randn(shape, generator=generator) for i, (name, shape) in enumerate(shapes.items())
    }


def masks(density: float, scope: str) -> list[dict[str, Tensor]]:
    return [magnitude_mask(parameters(), density, scope), random_mask(parameters(), density, scope, 3)]


def kept(mask: dict[str, Tensor]) -> dict[str, int]:
    return {name: int(m.sum()) for name, m in mask.items()}


@pytest.mark.parametrize("density", DENSITIES)
def test_exactly_the_rounded_fraction_is_kept(density):
    for mask in masks(density, "global"):
        assert sum(kept(mask).values()) == round(density * 71)
    for mask in masks(density, "layer"):
        assert kept(mask) == {name: round(density * p.numel()) for name, p in parameters().items()}


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_shapes_types_and_nesting(scope):
    for larger, smaller in pairwise(DENSITIES):
        for outer, inner in zip(masks(larger, scope), masks(smaller, scope), strict=True):
            for name, p in parameters().items():
                assert outer[name].shape == p.shape
                assert outer[name].dtype == torch.bool
                assert not (inner[name] & ~outer[name]).any()


def test_what_is_kept_is_larger_than_what_is_not():
    weights = parameters()
    mask = magnitude_mask(weights, 0.3, "global")
    survivors = torch.cat([w[mask[name]].abs() for name, w in weights.items()])
    pruned = torch.cat([w[~mask[name]].abs() for name, w in weights.items()])
    assert survivors.min() > pruned.max()
    for name, m in magnitude_mask(weights, 0.3, "layer").items():
        if 0 < m.sum() < m.numel():
            assert weights[name][m].abs().min() > weights[name][~m].abs().max()


def test_signs_and_a_common_scale_change_nothing():
    weights = parameters()
    mask = magnitude_mask(weights, 0.3, "global")
    other = magnitude_mask({name: -7.5 * w.double() for name, w in weights.items()}, 0.3, "global")
    assert all(torch.equal(mask[name], other[name]) for name in weights)


def test_ties_go_to_the_earlier():
    weights = {"a": torch.ones(2, 2), "b": -torch.ones(3)}
    mask = magnitude_mask(weights, 5 / 7, "global")
    assert mask["a"].all()
    assert mask["b"].tolist() == [True, False, False]
    assert magnitude_mask({"a": torch.zeros(1000)}, 0.4, "layer")["a"].tolist() == [True] * 400 + [False] * 600


def test_close_magnitudes_are_told_apart_in_float64():
    weights = {"a": torch.tensor([1.0, 1.0 + 1e-12, 1.0 - 1e-12], dtype=torch.float64)}
    assert magnitude_mask(weights, 1 / 3, "layer")["a"].tolist() == [False, True, False]


def test_random_masks_follow_the_seed_and_not_the_global_state():
    weights = {"a": torch.zeros(40, 50)}
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = random_mask(weights, 0.25, "global", 0)["a"]
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, random_mask(weights, 0.25, "global", 0)["a"])
    second = random_mask(weights, 0.25, "global", 1)["a"]
    assert (first & second).sum().item() == pytest.approx(2000 / 16, abs=50)  # independent: 4.9 standard deviations


def test_random_masks_are_uniform():
    weights = {"a": torch.zeros(4, 5), "b": torch.zeros(20)}
    mean = sum(random_mask(weights, 0.3, "global", seed)["b"].double() for seed in range(2000)) / 2000
    assert (mean - 0.3).abs().max() < 0.05


def test_refusals():
    for density in (0, -0.1, 1.01, math.nan):
        for call in (magnitude_mask, lambda *a: random_mask(*a, seed=0)):
            with pytest.raises(ValueError, match=rf"density is {density}: it must be in \(0, 1\]"):
                call(parameters(), density, "global")
    with pytest.raises(ValueError, match="scope is 'layerwise': it must be 'global' or 'layer'"):
        magnitude_mask(parameters(), 0.5, "layerwise")
    with pytest.raises(ValueError, match="b holds NaN"):
        magnitude_mask({"a": torch.ones(2), "b": torch.tensor([1.0, math.nan])}, 0.5, "global")
    with pytest.raises(ValueError, match="no weight of two dimensions or more"):
        pruning(nn.BatchNorm1d(3), Split(torch.ones(2, 3), torch.tensor([0, 1])))


def clear_cut() -> tuple[nn.Linear, Split]:
    """Four classes, told by the four weights of size 1; the twelve others are small."""
    model = nn.Linear(4, 4)
    with torch.no_grad():
        model.weight.copy_(torch.eye(4) + 0.01)
        model.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.5]))
    return model, Split(torch.eye(4).repeat(5, 1), torch.arange(20) % 4)


def test_magnitude_keeps_what_decides_and_biases_are_kept():
    model, data = clear_cut()
    found = pruning(model, data, densities=(1.0, 0.25, 1 / 16, 0.01))
    assert found["magnitude/1"] == found["magnitude/0.25"] == 1
    assert found["magnitude/0.0625"] == 0.5  # only class 0 is told; else the bias says 3
    assert found["magnitude/0.01"] == 0.25  # nothing is kept: the bias says 3 throughout
    assert found["random/1"] == 1
    assert found["random/0.25"] < 1
    assert found["random_std/1"] == found["random_std/0.01"] == 0


def test_random_is_the_mean_and_deviation_over_draws():
    model, data = clear_cut()
    found = pruning(model, data, densities=(0.5,), num_random=2, seed=5)
    again = pruning(model, data, densities=(0.5, 0.2), num_random=2, seed=5)
    assert {key: again[key] for key in found} == found
    one = pruning(model, data, densities=(0.5,), num_random=1, seed=5)
    assert one["random_std/0.5"] == 0
    other = 2 * found["random/0.5"] - one["random/0.5"]
    assert found["random_std/0.5"] == pytest.approx(abs(one["random/0.5"] - other) / 2, abs=1e-6)


def test_scopes_differ_where_layers_differ_in_size():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(4) + 0.1)
        model[1].weight.copy_(100 * torch.eye(4) + 10)
    data = Split(torch.eye(4), torch.arange(4))
    assert pruning(model, data, densities=(0.25,), scope="layer")["magnitude/0.25"] == 1
    assert pruning(model, data, densities=(0.25,), scope="global")["magnitude/0.25"] == 0.25


def test_model_and_modes_are_left_untouched():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data, state = clear_cut()[1], torch.get_rng_state()
    pruning(model, data)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert pruning.suited_tasks == {"classification"}


def test_each_density_is_checked_before_anything_is_measured():
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"density is 1\.3"):
        pruning(model, Split(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long)), densities=(1.0, 1.3))
