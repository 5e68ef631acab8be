from dataclasses import replace

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.models.k_nearest_neighbours import k_nearest_neighbours
from atml_exp.probes.label_fit import label_fit

X = torch.arange(6.0)[:, None]
GIVEN, BEFORE = torch.tensor([0, 0, 1, 2, 1, 1]), torch.tensor([0, 0, 1, 1, 2, 2])
DATA = Dataset("made up", Split(X, GIVEN), Split(X, GIVEN), 3, clean_labels=BEFORE)


def test_a_model_that_remembers_fits_all_labels():
    found = check_probe(label_fit, k_nearest_neighbours((1,), 3, DATA.train), DATA)
    assert {k: float(v) for k, v in found.items()} == {"right_fitted": 1, "wrong_fitted": 1, "wrong_restored": 0}


def test_by_hand():
    """A model that always answers 2: of three wrong labels one is 2, of three true ones behind them two are."""
    model = nn.Linear(1, 3)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))
    found = label_fit(model, DATA)
    assert [float(v) for v in found.values()] == pytest.approx([0, 1 / 3, 2 / 3])


def test_one_output_is_positive_for_class_one():
    binary = replace(DATA, train=Split(X, GIVEN % 2), clean_labels=1 - GIVEN % 2)
    binary.clean_labels[0] = binary.train.y[0]
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.fill_(1.0)
    wrong = binary.train.y[1:]
    assert float(label_fit(model, binary)["wrong_fitted"]) == wrong.double().mean()


@pytest.mark.parametrize(
    ("clean", "words"),
    [(None, "no label was changed"), (GIVEN, "0 of 6 labels"), ((GIVEN + 1) % 3, "6 of 6 labels")],
)
def test_refusals(clean, words):
    with pytest.raises(ValueError, match=words):
        label_fit(nn.Linear(1, 3), replace(DATA, clean_labels=clean))
