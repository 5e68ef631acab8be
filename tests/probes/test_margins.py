"""Margins against a loop, scikit-learn's quantile convention, and nets that are only scaled."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.probes.margins import margins, output_margins
from atml_exp.probes.performance import misclassified


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


X, Y = normal(40, 4), torch.arange(40) % 3
DATA = Split(X, Y)


def looped(outputs: Tensor, y: Tensor) -> list[float]:
    return [
        (o[c] - max(o[j] for j in range(len(o)) if j != c)).item() for o, c in zip(outputs, y.tolist(), strict=True)
    ]


def test_margins_are_those_of_a_loop_and_negative_where_the_label_is_missed():
    outputs = normal(40, 5)
    found = output_margins(outputs, Y)
    assert found.tolist() == looped(outputs, Y)
    assert (found < 0).double().mean().item() == misclassified(outputs, Y)


def test_adding_a_number_to_all_outputs_changes_nothing_and_permuting_classes_neither():
    outputs, order = normal(40, 3), torch.tensor([2, 0, 1])
    torch.testing.assert_close(output_margins(outputs + normal(40, 1, seed=1), Y), output_margins(outputs, Y))
    assert torch.equal(output_margins(outputs[:, order], order.argsort()[Y]), output_margins(outputs, Y))


def test_one_output_is_two_of_which_one_is_0():
    outputs, y = normal(40, 1), Y % 2
    both = torch.cat([torch.zeros(40, 1), outputs], 1)
    torch.testing.assert_close(output_margins(outputs, y), output_margins(both, y))


def test_probe_against_numpy():
    found = check_probe(margins, net(), DATA)
    model = net().eval()
    truth = looped(model(X).detach(), Y)
    product = np.prod([np.linalg.norm(model[i].weight.detach().numpy(), 2) for i in (0, 2)])
    assert found["min"] == pytest.approx(min(truth))
    assert found["quantile"] == pytest.approx(np.quantile(truth, 0.1))
    assert found["normalised_min"] == pytest.approx(min(truth) / product)
    assert found["normalised_quantile"] == pytest.approx(np.quantile(truth, 0.1) / product)
    assert margins(model, DATA, quantile=0.0)["quantile"] == found["min"]
    assert margins(model, DATA, quantile=0.5)["quantile"] == pytest.approx(np.median(truth))


def test_of_a_linear_classifier_it_is_the_distance_to_the_boundary():
    """wᵀx/‖w‖ for one output without bias."""
    model = nn.Linear(4, 1, bias=False).double()
    y = (X @ model.weight[0] > 0).long()
    distances = (X @ model.weight[0]).abs() / model.weight.norm()
    assert margins(model, Split(X, y))["normalised_min"] == pytest.approx(distances.min().item())


def test_a_net_that_is_scaled_up_gains_no_normalised_margin():
    model, before = net(), margins(net(), DATA)
    with torch.no_grad():
        model[2].weight.mul_(7)
        model[2].bias.mul_(7)
    after = margins(model, DATA)
    assert after["quantile"] == pytest.approx(7 * before["quantile"])
    assert after["normalised_quantile"] == pytest.approx(before["normalised_quantile"])


def test_without_weights_nothing_is_normalised():
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    assert margins(model, Split(X.float(), Y)) == {"min": 0.0, "quantile": 0.0}


@pytest.mark.parametrize(
    ("outputs", "y", "message"),
    [
        (normal(3, 2), normal(3), "labels are torch.float64: margins are those of classes"),
        (normal(3, 2), torch.zeros(4).long(), r"outputs must be \(N, C\) and y \(N,\); got \(3, 2\) and \(4,\)"),
        (normal(3, 2, 2), torch.zeros(3).long(), r"got \(3, 2, 2\)"),
    ],
)
def test_what_has_no_margin_is_refused(outputs, y, message):
    with pytest.raises(ValueError, match=message):
        output_margins(outputs, y)


def test_it_is_for_classification_and_needs_examples():
    assert margins.suited_tasks == {"classification"}
    with pytest.raises(ValueError, match="x holds no example"):
        margins(net(), Split(X[:0], Y[:0]))
