"""Losses and errors of single examples against their definition, and their agreement with the split's own."""

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic
from atml_exp.probes.loss_trajectory import loss_trajectory
from atml_exp.probes.performance import performance


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def net(outputs: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, outputs))


DATA = Split(normal(30, 4), torch.arange(30) % 3)


def test_the_probe_keeps_its_contract_and_its_means_are_those_of_the_split():
    model = net(3)
    values = check_probe(loss_trajectory, model, DATA)
    assert values["losses"].shape == values["errors"].shape == (30,)
    whole = performance(model, DATA)
    assert values["losses"].mean().item() == pytest.approx(whole["loss"], rel=1e-6)
    assert values["errors"].float().mean().item() == pytest.approx(whole["error"])
    assert 0 < whole["error"] < 1


def test_each_loss_is_that_of_the_example_alone():
    model = net(3).eval()
    found = loss_trajectory(model, DATA)["losses"]
    alone = [cross_entropy(model(DATA.x[i : i + 1]), DATA.y[i : i + 1]) for i in range(30)]
    torch.testing.assert_close(found, torch.stack(alone))


def test_a_single_output_is_binary():
    model, data = net(1), Split(DATA.x, DATA.y % 2)
    values = loss_trajectory(model, data, loss=logistic)
    assert values["errors"].float().mean().item() == pytest.approx(performance(model, data, loss=logistic)["error"])


def test_a_subset_is_the_same_at_each_step_and_for_each_model():
    all_of_them = loss_trajectory(net(3), DATA)["losses"]
    some = loss_trajectory(net(3), DATA, num_examples=5, seed=2)["losses"]
    index = [(all_of_them - value).abs().argmin().item() for value in some]
    assert len(set(index)) == 5
    torch.testing.assert_close(
        loss_trajectory(net(3, seed=1), DATA, num_examples=5, seed=2)["losses"],
        loss_trajectory(net(3, seed=1), DATA)["losses"][index],
    )
    assert len(loss_trajectory(net(3), DATA, num_examples=99)["losses"]) == 30


def test_replicas_measured_together_have_their_own_values():
    models, others = [net(3), net(3, seed=1)], Split(normal(30, 4, seed=5), DATA.y)
    state = {n: torch.stack([m.state_dict()[n] for m in models]) for n in models[0].state_dict()}
    for splits in ([DATA, DATA], [DATA, others]):
        found = loss_trajectory.over_replicas(models[0], state, splits, num_examples=7, seed=1)
        for model, split, values in zip(models, splits, found, strict=True):
            alone = loss_trajectory(model, split, num_examples=7, seed=1)
            torch.testing.assert_close(values["losses"], alone["losses"])
            assert torch.equal(values["errors"], alone["errors"])


def test_a_regression_has_no_errors():
    assert set(loss_trajectory(net(1), Split(DATA.x, normal(30, 1)), loss=nn.MSELoss())) == {"losses"}


def test_a_loss_that_is_no_mean_is_refused():
    with pytest.raises(ValueError, match="it must be a mean over examples"):
        loss_trajectory(net(3), DATA, loss=nn.CrossEntropyLoss(reduction="sum"))


def test_no_examples_are_refused():
    with pytest.raises(ValueError, match="at least 1 is needed"):
        loss_trajectory(net(3), DATA[torch.arange(0)])
