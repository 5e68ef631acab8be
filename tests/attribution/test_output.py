"""The explained number: of each example its own, by its own input; bad targets and baselines."""

import pytest
import torch
from torch import nn

from atml_exp.attribution.output import baseline_like, input_gradient, output_of


def test_each_example_has_its_own_output(linear, x, y):
    assert torch.equal(output_of(linear, x, y), linear(x).gather(1, y[:, None])[:, 0])
    assert torch.equal(output_of(linear, x, 2), linear(x)[:, 2])
    assert torch.equal(input_gradient(linear, x, y), linear.weight[y])


def test_a_single_output_is_target_zero(x):
    one = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0)).double()
    torch.testing.assert_close(input_gradient(one, x, 0), one[0].weight.expand(6, 5))
    with pytest.raises(ValueError, match="from 0 to 0"):
        output_of(one, x, 1)


def test_the_gradient_is_that_of_differences(net, x, y):
    move = 1e-6 * torch.eye(5, dtype=torch.float64)[:, None]
    slopes = torch.stack([output_of(net, x + m, y) - output_of(net, x - m, y) for m in move], 1) / 2e-6
    torch.testing.assert_close(input_gradient(net, x, y), slopes, atol=1e-8, rtol=0)


def test_an_output_that_no_input_moves_has_gradient_zero(x):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 2)

    assert input_gradient(Constant(), x, 1).abs().max() == 0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (3, "target is 3: it must be an integer from 0 to 2"),
        (-1, "target is -1: it must be an integer from 0 to 2"),
        (torch.tensor([0, 1, 2, 0, 1, 7]), "target is 7.*0 to 2, or 6 of them"),
        (torch.tensor([0, 1]), r"shape \(2,\)"),
        (torch.tensor(1.0), "float32"),
    ],
)
def test_targets_that_are_no_class_are_refused(linear, x, target, words):
    with pytest.raises(ValueError, match=words):
        output_of(linear, x, target)


@pytest.mark.parametrize("bad", [torch.ones(3, 5, dtype=torch.long), torch.ones(0, 5), torch.ones(5)])
def test_inputs_that_are_none_are_refused(linear, bad):
    with pytest.raises(ValueError, match="x must be floating"):
        output_of(linear, bad, 0)


def test_outputs_that_are_no_rows_are_refused():
    with pytest.raises(ValueError, match=r"must be \(N, C\) or \(N,\)"):
        output_of(nn.Identity(), torch.ones(2, 3, 4), 0)


def test_baselines_broadcast_or_are_refused(x):
    assert torch.equal(baseline_like(x, None), torch.zeros_like(x))
    assert torch.equal(baseline_like(x, x[:1].float()), x[:1].float().double().expand(6, 5))
    for shape in ((4,), (2, 5), (1, 6, 5)):
        with pytest.raises(ValueError, match="baseline has shape"):
            baseline_like(x, torch.zeros(shape))
