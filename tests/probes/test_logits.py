"""Logits against torch and scikit-learn, nets that are only scaled, and their temperature."""

import math

import pytest
import torch
from sklearn.metrics import log_loss
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.logits import logits, parts_of_cross_entropy

G = torch.Generator().manual_seed(0)
X = torch.randn(2000, 4, generator=G, dtype=torch.float64)
MODEL = linear((4,), 3).double()
with torch.no_grad():
    MODEL.output.weight.copy_(torch.randn(3, 4, generator=G))
    Y = torch.multinomial(MODEL(X).softmax(1), 1, generator=G)[:, 0]
DATA = Split(X, Y)


def scaled(factor: float) -> nn.Module:
    model = linear((4,), 3).double()
    with torch.no_grad():
        for p, q in zip(model.parameters(), MODEL.parameters(), strict=True):
            p.copy_(factor * q)
    return model


def test_the_parts_add_up_to_what_scikit_learn_says():
    found = check_probe(logits, MODEL, DATA)
    assert found["right"] + found["wrong"] == pytest.approx(
        log_loss(Y.numpy(), MODEL(X).detach().softmax(1).numpy())
    )
    o, y = MODEL(X).detach(), Y
    wrong = o.argmax(1) != y
    assert found["wrong"] == pytest.approx(
        nn.functional.cross_entropy(o[wrong], y[wrong]).item() * wrong.double().mean().item()
    )
    assert found["norm"] == pytest.approx((o - o.mean(1, keepdim=True)).norm(dim=1).mean().item())


def test_scaling_up_costs_the_wrong_answers_alone_and_the_temperature_undoes_it():
    fair, bold = logits(MODEL, DATA), logits(scaled(20), DATA)
    assert bold["norm"] == pytest.approx(20 * fair["norm"])
    assert bold["margin"] == pytest.approx(20 * fair["margin"])
    assert bold["right"] < 0.2 * fair["right"]
    assert bold["wrong"] > 5 * fair["wrong"]
    assert bold["temperature"] == pytest.approx(20 * fair["temperature"])
    assert fair["temperature"] == pytest.approx(1, abs=0.1)
    assert bold["scaled_cross_entropy"] == pytest.approx(fair["scaled_cross_entropy"])


def test_zero_logits_cost_log_c():
    found = logits(scaled(0), DATA)
    assert found["cross_entropy"] == pytest.approx(math.log(3), rel=1e-12)
    assert (found["norm"], found["margin"]) == (0, 0)


def test_one_output_is_two_of_which_one_is_0():
    found = logits(mlp((4,), 1, width=3).double(), Split(X, Y % 2))
    assert found["cross_entropy"] == pytest.approx(math.log(2), abs=0.3)


def test_where_all_answers_are_right_nothing_is_wrong():
    assert parts_of_cross_entropy(torch.eye(3), torch.arange(3))[1] == 0


def test_it_is_for_classification():
    assert logits.suited_tasks == {"classification"}
