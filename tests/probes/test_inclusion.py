import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.k_nearest_neighbours import k_nearest_neighbours
from atml_exp.probes.inclusion import inclusion

X = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
POOL = Split(X, torch.tensor([0, 1, 1, 0]), group=torch.tensor([1, 0, 3, 2]))


def test_by_hand_of_a_model_that_remembers_what_it_was_given():
    included = POOL.group % 2 == 1
    model = k_nearest_neighbours((1,), 2, POOL[included])
    found = check_probe(inclusion, model, POOL)
    assert found["included"].tolist() == [1, 0, 1, 0]
    assert found["changed"].tolist() == [0, 0, 1, 1]
    assert found["correct"].tolist() == [1, 0, 1, 0]  # 1 is as near to 0, the earlier one, as to 2
    assert (found["accuracy_included"], found["accuracy_left_out"]) == (1, 0)


def test_one_output_is_positive_for_class_one():
    model = nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(-1.5)
    assert inclusion(model, POOL)["correct"].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("group", [None, torch.tensor([0, 1, 4, 0])])
def test_data_that_do_not_say_who_was_trained_on_are_refused(group):
    with pytest.raises(ValueError, match=r"allowed is dataset/wrapper=\[random_inclusion\]"):
        inclusion(nn.Linear(1, 2), Split(X, POOL.y, group=group))
