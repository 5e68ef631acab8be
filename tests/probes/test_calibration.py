"""Calibration against torchmetrics, by hand, and of answers drawn with their own probabilities."""

from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.mlp import mlp
from atml_exp.probes.calibration import (
    calibration,
    error_if_calibrated,
    expected_calibration_error,
    probabilities_of,
    reliability,
)
from atml_exp.torchvision_operators import import_torchvision

G = torch.Generator().manual_seed(4)
P = (2 * torch.randn(3000, 5, generator=G, dtype=torch.float64)).softmax(1)
Y = torch.randint(5, (3000,), generator=G)


@pytest.mark.parametrize("bins", [1, 10, 15, 100])
def test_torchmetrics_says_the_same(bins):
    import_torchvision()  # which it imports
    from torchmetrics.functional.classification import multiclass_calibration_error

    theirs = multiclass_calibration_error(P, Y, num_classes=5, n_bins=bins, norm="l1")
    assert expected_calibration_error(P, Y, bins) == pytest.approx(theirs.item(), abs=1e-6)  # theirs in float32


def test_answers_drawn_with_the_models_own_probabilities_are_calibrated():
    p = P.repeat(100, 1)
    drawn = torch.multinomial(p, 1, generator=G)[:, 0]
    assert expected_calibration_error(p, drawn, 15) < 0.5 * (15 / len(p)) ** 0.5
    assert expected_calibration_error(p, (drawn + 1) % 5, 15) > 0.3


def test_a_diagram_by_hand_edges_belong_to_the_bin_below():
    p = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.2, 0.8], [1.0, 0.0]])
    found = reliability(p, torch.tensor([1, 0, 1, 1]), bins=4)
    assert found.counts.tolist() == [0, 1, 1, 2]
    assert found.accuracy[1:].tolist() == [0, 1, 0.5]
    assert found.confidence[1:].tolist() == pytest.approx([0.5, 0.75, 0.9])
    assert found.accuracy[0].isnan()
    assert expected_calibration_error(p, torch.tensor([1, 0, 1, 1]), 4) == pytest.approx((0.5 + 0.25 + 0.8) / 4)


def test_one_bin_is_the_distance_of_the_means():
    confidence, accuracy = P.max(1).values.mean(), (P.argmax(1) == Y).double().mean()
    assert expected_calibration_error(P, Y, 1) == pytest.approx(abs(confidence - accuracy).item(), abs=1e-12)


def test_the_order_of_examples_and_the_names_of_classes_change_nothing():
    order, names = torch.randperm(len(Y), generator=G), torch.randperm(5, generator=G)
    renamed = torch.empty_like(P)
    renamed[:, names] = P
    expected = expected_calibration_error(P, Y, 15)
    assert expected_calibration_error(P[order], Y[order], 15) == pytest.approx(expected, abs=1e-12)
    assert expected_calibration_error(renamed, names[Y], 15) == pytest.approx(expected, abs=1e-12)


def test_the_probe_of_outputs_scaled_up_is_overconfident():
    model = nn.Linear(4, 3).double()
    x = torch.randn(2000, 4, generator=G, dtype=torch.float64)
    y = torch.multinomial(model(x).softmax(1).detach(), 1, generator=G)[:, 0]
    fair = check_probe(calibration, model, Split(x, y))
    assert abs(fair["overconfidence"]) < 0.05
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)
    bold = calibration(model, Split(x, y))
    assert bold["overconfidence"] > 0.2
    assert bold["accuracy"] == fair["accuracy"]
    assert bold["expected_error"] > fair["expected_error"] + 0.2
    assert bold["bin_count"].sum() == 2000


def test_one_output_is_the_probability_of_class_one():
    o = torch.tensor([[0.0], [2.0]])
    assert torch.equal(probabilities_of(o), torch.cat([(-o).sigmoid(), o.sigmoid()], 1))
    model = mlp((4,), 1, width=3)
    found = calibration(model, Split(torch.randn(30, 4), torch.arange(30) % 2))
    assert 0.5 <= found["confidence"] <= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((torch.randn(4, 3), torch.zeros(4, dtype=torch.long), 5), "are these logits"),
        ((P[:4], torch.tensor([0, 1, 2, 5]), 5), "integers from 0 to 4"),
        ((P[:4], torch.zeros(4), 5), "integers from 0 to 4"),
        ((P[:4], Y[:3], 5), r"got \(4, 5\) and \(3,\)"),
        ((P[:0], Y[:0], 5), "N ≥ 1"),
        ((P[:4], Y[:4], 0), "bins is 0"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        expected_calibration_error(*arguments)


def test_what_chance_gives_a_calibrated_model_is_its_own_average():
    """Against labels drawn anew many times, and the normal limit."""
    p, draws = P[:400], 300
    each = [expected_calibration_error(p, torch.multinomial(p, 1, generator=G)[:, 0], 10) for _ in range(draws)]
    found = error_if_calibrated(p.max(1).values, 10, draws=2000)
    assert found == pytest.approx(sum(each) / draws, rel=0.05)
    assert error_if_calibrated(p.max(1).values, 10, draws=2000, seed=1) != found
    wide = P.max(1).values.repeat(20)
    sums = torch.zeros(10).double().index_add_(0, (wide * 10).ceil().long() - 1, wide * (1 - wide))
    normal = (2 / torch.pi * sums).sqrt().sum() / len(wide)
    assert error_if_calibrated(wide, 10, draws=500) == pytest.approx(normal.item(), rel=0.06)


def test_temperature_scaling_calibrates_a_net_that_is_too_sure_and_changes_no_answer():
    model = nn.Linear(4, 3).double()
    x = torch.randn(2000, 4, generator=G, dtype=torch.float64)
    data = Split(x, torch.multinomial(model(x).softmax(1).detach(), 1, generator=G)[:, 0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)
    bold, scaled = (
        calibration(model, data),
        check_probe(partial(calibration, temperature_scaling=True), model, data),
    )
    assert bold["expected_error"] > 0.2
    assert scaled["expected_error"] < 0.05
    assert scaled["accuracy"] == bold["accuracy"]


@pytest.mark.parametrize("confidence", [torch.empty(0), torch.tensor([1.5]), torch.ones(2, 2)])
def test_confidences_that_are_none_are_refused(confidence):
    with pytest.raises(ValueError, match=r"confidence must be \(N,\) in \[0, 1\]"):
        error_if_calibrated(confidence, 5)
