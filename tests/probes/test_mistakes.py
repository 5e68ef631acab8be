import pytest
import torch

from atml_exp.probes.mistakes import mistakes


def test_before_the_first_step_there_are_none():
    assert mistakes({"mistakes": torch.tensor(0.0), "step": torch.tensor(0)}) == {"total": 0, "rate": 0}


def test_another_optimiser_counts_none():
    with pytest.raises(ValueError, match="allowed is optimiser=perceptron"):
        mistakes({"velocity": torch.zeros(3), "step": torch.tensor(3)})
