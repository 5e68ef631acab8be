"""On a linear classifier, where gradient × input is the best order of the logit, and against a random order."""

import pytest
import torch

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.linear import linear
from atml_exp.probes.faithfulness import faithfulness

G = torch.Generator().manual_seed(0)
DATA = Split(torch.randn(30, 1, 4, 4, generator=G), torch.arange(30) % 2)


def test_of_two_classes_the_probability_is_ordered_by_contributions():
    torch.manual_seed(0)
    model = linear((1, 4, 4), 2)
    with torch.no_grad():
        model.output.weight[1] = -model.output.weight[0]  # so that one logit decides the probability
    found = check_probe(lambda model, data: faithfulness(model, data, num_examples=10, steps=16), model, DATA)
    for other in ("gradient", "edges", "random"):
        assert found["gradient_input_deletion"] < found[f"{other}_deletion"]
        assert found["gradient_input_insertion"] > found[f"{other}_insertion"]
    assert found["integrated_gradients_deletion"] == pytest.approx(found["gradient_input_deletion"], abs=1e-12)
    assert found["shares"].tolist() == [i / 16 for i in range(17)]
    curve = found["gradient_input_deletion_curve"]
    assert curve[0].item() == pytest.approx(found["random_deletion_curve"][0].item(), abs=1e-12)
    assert curve[0].item() == pytest.approx(found["random_insertion_curve"][-1].item(), abs=1e-12)
    assert torch.trapezoid(curve, found["shares"]).item() == pytest.approx(
        found["gradient_input_deletion"], abs=1e-12
    )


def test_more_steps_than_entries_and_one_output():
    found = faithfulness(linear((1, 4, 4), 1), DATA, num_examples=3, steps=100)
    assert len(found["shares"]) == 17
