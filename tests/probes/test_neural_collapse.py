"""NC1–NC4 at exact collapse, in closed form off it, and under what must change nothing."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.probes.neural_collapse import CollapseAccumulator, collapse_of, neural_collapse

NC2 = {f"nc2_{what}_{whose}" for what in ("equinorm", "equiangle", "etf") for whose in ("means", "weights")}
KEYS = {"nc1", "cdnv", "nc3", "nc4"} | NC2


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(d: int) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=9))[0]


def simplex(c: int, d: int) -> Tensor:
    """The rows are a simplex equiangular tight frame of c vectors in R^d."""
    return torch.cat([torch.eye(c) - 1 / c, torch.zeros(c, d - c)], 1).double() @ rotation(d)


def generic(c: int = 4, d: int = 6, n: int = 40) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    labels = torch.cat([torch.arange(c), torch.arange(n - c) % 3 % c])  # unbalanced
    return (
        normal(n, d, seed=1) + 2 * normal(c, d, seed=2)[labels] + 5,
        labels,
        normal(c, d, seed=3),
        normal(c, seed=4),
    )


def by_definition(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> dict[str, float]:
    """Straight from the formulas, with loops and dense matrices."""
    h, y, w, b = (t.numpy() for t in (features, labels, weight, bias))
    c, n = len(w), len(h)
    mu = np.stack([h[y == k].mean(0) for k in range(c)])
    m = mu - mu.mean(0)
    within = sum(np.outer(h[i] - mu[y[i]], h[i] - mu[y[i]]) for i in range(n)) / n
    between = sum(np.outer(row, row) for row in m) / c
    angle = {}
    for name, rows in (("means", m), ("weights", w)):
        cosines = [
            rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
            for i in range(c) for j in range(c) if i != j
        ]  # fmt: skip
        angle[name] = np.mean([abs(cosine + 1 / (c - 1)) for cosine in cosines])
    pairs = [(i, j) for i in range(c) for j in range(c) if i != j]
    variance = [((h[y == k] - mu[k]) ** 2).sum(1).mean() for k in range(c)]
    simplex = (np.eye(c) - np.ones((c, c)) / c) / math.sqrt(c - 1)
    gram = {"means": m @ m.T, "weights": w @ w.T}
    frame = {name: np.linalg.norm(g / np.linalg.norm(g) - simplex) for name, g in gram.items()}
    norm_m, norm_w = np.linalg.norm(m, axis=1), np.linalg.norm(w, axis=1)
    nearest = [np.argmin([np.linalg.norm(x - row) for row in mu]) for x in h]
    return {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / c,
        "cdnv": np.mean([(variance[i] + variance[j]) / (2 * ((mu[i] - mu[j]) ** 2).sum()) for i, j in pairs]),
        "nc2_etf_means": frame["means"],
        "nc2_etf_weights": frame["weights"],
        "nc2_equinorm_means": norm_m.std() / norm_m.mean(),
        "nc2_equinorm_weights": norm_w.std() / norm_w.mean(),
        "nc2_equiangle_means": angle["means"],
        "nc2_equiangle_weights": angle["weights"],
        "nc3": np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)),
        "nc4": np.mean((h @ w.T + b).argmax(1) != nearest),
    }


@pytest.mark.parametrize(("c", "d"), [(2, 2), (3, 7), (10, 10)])
def test_all_are_zero_at_collapse(c, d):
    etf, labels = simplex(c, d), torch.arange(3 * c) % c
    found = neural_collapse(7 * etf[labels] + normal(d), labels, 0.3 * etf, None)
    assert set(found) == KEYS
    assert all(type(value) is float for value in found.values())
    assert found == pytest.approx(dict.fromkeys(KEYS, 0.0), abs=1e-7)


@pytest.mark.parametrize(("c", "d"), [(2, 6), (4, 6), (4, 3), (5, 2)])
def test_equals_the_definitions(c, d):
    arguments = generic(c, d)
    truth = by_definition(*arguments)
    assert neural_collapse(*arguments) == pytest.approx(truth, rel=1e-9)
    assert 0 < truth["nc4"] < 1


@pytest.mark.parametrize(("c", "scale", "sigma"), [(2, 1.0, 0.1), (5, 3.0, 0.5)])
def test_nc1_of_isotropic_scatter_around_a_simplex(c, scale, sigma):
    """Σ_W = σ² I_D and Σ_B = (s²/C) P on a (C−1)-dimensional space: NC1 = (C−1) σ²/s²."""
    d = c + 3
    offsets = sigma * math.sqrt(d) * torch.cat([torch.eye(d), -torch.eye(d)]).double()
    features = (scale * simplex(c, d)[:, None] + offsets).flatten(0, 1)
    labels = torch.arange(c).repeat_interleave(2 * d)
    found = neural_collapse(features, labels, simplex(c, d), None)
    assert found["nc1"] == pytest.approx((c - 1) * sigma**2 / scale**2)
    assert found["nc2_equinorm_means"] == pytest.approx(0, abs=1e-12)


def test_two_classes_are_opposite():
    features = torch.tensor([[0.0, 0.0], [4.0, 2.0]])
    found = neural_collapse(features, torch.tensor([0, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), None)
    assert found["nc2_equiangle_means"] == pytest.approx(0, abs=1e-12)
    assert found["nc2_equiangle_weights"] == pytest.approx(1)  # orthogonal, where −1 is meant


def test_equinorm_has_the_population_standard_deviation():
    weight = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    found = neural_collapse(torch.eye(2), torch.tensor([0, 1]), weight, None)
    assert found["nc2_equinorm_weights"] == pytest.approx(0.5)  # norms 1 and 3: std 1, mean 2


def test_orthogonal_transforms_and_shifts_of_the_features_change_nothing():
    features, labels, weight, bias = generic()
    q, shift = rotation(6), normal(6, seed=8)
    moved = neural_collapse((features + shift) @ q, labels, weight @ q, bias - weight @ shift)
    assert moved == pytest.approx(neural_collapse(features, labels, weight, bias), rel=1e-9)


def test_scale_and_for_nc1_any_invertible_map_that_keeps_the_means_space_change_nothing():
    features, labels, weight, bias = generic(4, 3)  # the means span R³, so that Σ_B is invertible
    before = neural_collapse(features, labels, weight, bias)
    scaled = neural_collapse(3 * features, labels, weight / 3, bias)
    assert scaled == pytest.approx(before, rel=1e-9)
    mapped = neural_collapse(features @ normal(3, 3, seed=8), labels, weight, bias)
    assert mapped["nc1"] == pytest.approx(before["nc1"], rel=1e-9)


def test_names_of_the_classes_and_order_of_the_examples_change_nothing():
    features, labels, weight, bias = generic()
    classes, order = torch.tensor([2, 0, 3, 1]), torch.randperm(40, generator=torch.Generator().manual_seed(0))
    back = classes.argsort()
    renamed = neural_collapse(features[order], classes[labels][order], weight[back], bias[back])
    assert renamed == pytest.approx(neural_collapse(features, labels, weight, bias), rel=1e-9)


def test_classes_count_the_same_whatever_their_size():
    etf = simplex(3, 3)
    labels = torch.tensor([0] * 50 + [1] * 3 + [2])
    assert neural_collapse(etf[labels], labels, etf, None)["nc2_equinorm_means"] == pytest.approx(0, abs=1e-12)


def test_means_in_fewer_dimensions_than_classes_also_in_float32():
    """Means on a plane in R⁸: rounding must not pass for a third direction, whose inverse would be huge."""
    angles = torch.arange(5) * 1.3
    plane = torch.stack([angles.cos(), angles.sin()], 1).double() @ normal(2, 8, seed=5)
    labels = torch.arange(200) % 5
    features = plane[labels] + 0.1 * (normal(40, 8, seed=6) - normal(40, 8, seed=6).mean(0)).repeat_interleave(5, 0)
    double = neural_collapse(features, labels, normal(5, 8), None)
    single = neural_collapse(features.float(), labels, normal(5, 8).float(), None)
    assert double["nc1"] < 10
    assert single == pytest.approx(double, rel=1e-4)


def test_float32_features_give_the_answer_of_float64():
    single = [t.float() if t.is_floating_point() else t for t in generic()]
    double = [t.double() if t.is_floating_point() else t for t in single]
    assert neural_collapse(*single) == pytest.approx(neural_collapse(*double), rel=1e-12)


def test_refusals():
    h, y, w, b = generic()
    for arguments, message in (
        ((h[:, :5], y, w, b), r"shapes \(40, 5\) and \(4, 6\): they must be \(N, D\) and \(C, D\)"),
        (
            (h, y[:39], w, b),
            r"labels are torch.int64 of shape \(39,\): they must be integers, one for each of the 40",
        ),
        ((h, y.double(), w, b), "labels are torch.float64"),
        ((h, y, w, b[:3]), r"bias has the shape \(3,\): it must be \(4,\)"),
        ((h * math.inf, y, w, b), "features holds a value that isn't finite"),
        ((h, y, w, b * math.nan), "bias holds a value that isn't finite"),
        ((h, 0 * y, w, b), "labels hold 1 class: neural collapse compares at least 2"),
        ((h, y + 1, w, b), "labels run from 1 to 4: weight has classes 0 … 3"),
        ((h, y.where(y != 2, 1), w, b), "no example is of class 2: each of the 4 classes needs one"),
        ((0 * h + 3, y, w, b), "a class mean coincides with the mean of the class means"),
        ((h, y, w * torch.tensor([[1], [0], [1], [1]]), b), "weight holds a row of zeros"),
    ):
        with pytest.raises(ValueError, match=message):
            neural_collapse(*arguments)


def test_probe_reads_the_last_layer_of_a_model_in_eval_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 4)).double()
    x, y, *_ = generic()
    truth = neural_collapse(model[0](x).relu(), y, model[3].weight, model[3].bias)
    found = collapse_of(model, Split(x, y))
    assert {key: found[key] for key in truth} == pytest.approx(truth, rel=1e-12)
    cosines = {"cosines_means": "nc2_equiangle_means", "cosines_weights": "nc2_equiangle_weights"}
    for array, scalar in cosines.items():
        off_diagonal = found[array][~torch.eye(4, dtype=torch.bool)]
        assert (off_diagonal + 1 / 3).abs().mean().item() == pytest.approx(found[scalar], rel=1e-12)
    assert model.training
    assert collapse_of.suited_tasks == {"classification"}


def test_all_fall_when_a_net_is_trained_past_zero_error():
    x, y = normal(60, 5), torch.arange(60) % 3
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)).double()
    before = collapse_of(model, Split(x, y))
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=3e-3)
    for _ in range(1500):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    after = collapse_of(model, Split(x, y))
    assert (model(x).argmax(1) == y).all()
    assert all(after[key] < 0.75 * before[key] for key in KEYS)


def test_arrays_are_taken_as_tensors_are():
    generator = torch.Generator().manual_seed(0)
    h, w = torch.randn(30, 4, generator=generator), torch.randn(3, 4, generator=generator)
    y, b = torch.arange(30) % 3, torch.zeros(3)
    assert neural_collapse(h.numpy(), y.numpy(), w.numpy(), b.numpy()) == neural_collapse(h, y, w, b)


def test_the_bias_takes_part_in_the_decision_of_nc4():
    features, labels = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.tensor([0, 0, 1, 1])
    weight = torch.tensor([[1.0], [-1.0]])
    assert neural_collapse(features, labels, weight, torch.zeros(2))["nc4"] == 0
    assert neural_collapse(features, labels, weight, torch.tensor([0.0, 9.0]))["nc4"] == 0.5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_batch_by_batch_it_is_the_same(batch, dtype):
    h, y, w, b = generic()
    h, w, b = (t.to(dtype) for t in (h, w, b))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    accumulator = CollapseAccumulator()
    for part in order.split(batch):
        accumulator.update(h[part], y[part])
    truth = neural_collapse(h, y, w, b)
    assert accumulator.compute(w, b) == pytest.approx(truth, rel=1e-9)
    assert accumulator.compute(w, b) == pytest.approx(truth, rel=1e-9)  # asked again
    accumulator.update(h[:5] + 1, y[:5])
    more = torch.cat([h, h[:5] + 1]), torch.cat([y, y[:5]])
    assert accumulator.compute(w, None) == pytest.approx(neural_collapse(*more, w, None), rel=1e-9)


def test_nothing_cancels_near_collapse_far_from_the_origin():
    means = 1e3 + simplex(4, 6)
    y = torch.arange(400) % 4
    h = means[y] + 1e-6 * normal(400, 6)
    accumulator = CollapseAccumulator()
    for part in torch.arange(400).split(64):
        accumulator.update(h[part], y[part])
    found, truth = accumulator.compute(simplex(4, 6), None), neural_collapse(h, y, simplex(4, 6), None)
    assert found["nc1"] == pytest.approx(truth["nc1"], rel=1e-6)
    assert found["cdnv"] == pytest.approx(truth["cdnv"], rel=1e-6)
    assert found["nc1"] == pytest.approx(3 * 1e-12 * 4 / 4, rel=0.2)  # three directions, each with variance 1e-12


def test_features_beyond_the_limit_wait_on_disk(monkeypatch):
    h, y, w, b = generic()
    monkeypatch.setattr("atml_exp.probes.neural_collapse.PARKED", 700)
    accumulator = CollapseAccumulator()
    for part in torch.arange(40).split(9):
        accumulator.update(h[part], y[part])
    held = sum(t.numel() * t.element_size() for t in accumulator._waiting._in_memory)
    assert held <= 700
    assert accumulator.compute(w, b) == pytest.approx(neural_collapse(h, y, w, b), rel=1e-9)


def test_without_decisions_nothing_waits_and_nc4_is_left_out():
    h, y, w, b = generic()
    accumulator = CollapseAccumulator(decisions=False)
    accumulator.update(h, y)
    truth = {k: v for k, v in neural_collapse(h, y, w, b).items() if k != "nc4"}
    assert accumulator.compute(w, b) == pytest.approx(truth, rel=1e-9)


def test_refusals_of_the_accumulator():
    h, y, w, b = generic()
    accumulator = CollapseAccumulator()
    with pytest.raises(ValueError, match="no features have come yet"):
        accumulator.compute(w, b)
    accumulator.update(h[y < 1], y[y < 1])
    with pytest.raises(ValueError, match="labels hold 1 class"):
        accumulator.compute(w, b)
    accumulator.update(h[y == 3], y[y == 3])
    accumulator.update(h[:0], y[:0])
    with pytest.raises(ValueError, match="no example is of class 1"):
        accumulator.compute(w, b)
    for arguments, message in (
        ((h[:, :5], y), "features have 5 dimensions, and had 6 before"),
        ((h, y - 1), "labels hold -1"),
        ((h * math.nan, y), "features holds a value that isn't finite"),
        ((h[None], y), r"features have the shape \(1, 40, 6\)"),
    ):
        with pytest.raises(ValueError, match=message):
            accumulator.update(*arguments)
    with pytest.raises(ValueError, match=r"weight has the shape \(4, 5\): it must be \(C, 6\)"):
        accumulator.compute(w[:, :5], b)
