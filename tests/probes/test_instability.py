"""The instability analysis: no noise no barrier, the same children at every k, both splits."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.connectivity import linear_barrier
from atml_exp.data import Dataset, Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.sgd import SGD
from atml_exp.probes.instability import instability
from atml_exp.seeds import derive
from atml_exp.siblings import trained


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def split(seed: int, number: int) -> Split:
    return Split(normal(number, 5, seed=seed), torch.arange(number) % 3)


DATA = Dataset("random", split(0, 40), split(1, 30), 3)
OPTIONS = {"steps": 30, "batch_size": 8}


def net(**options) -> nn.Module:
    torch.manual_seed(0)
    return mlp((5,), 3, depth=1, width=10, **options).double()


def test_is_the_barrier_between_two_nets_trained_from_the_weights():
    found = instability(net(), DATA, optimiser=SGD(0.5), seed=3, **OPTIONS)
    children = [
        trained(net(), DATA.train, loss=cross_entropy, seed=derive(3, "child", i), optimiser=SGD(0.5), **OPTIONS)
        for i in range(2)
    ]
    for name, part in (("train", DATA.train), ("test", DATA.test)):
        truth = linear_barrier(*children, part)
        assert (found[f"{name}_loss"], found[f"{name}_error"]) == (truth.loss, truth.error)
        assert torch.equal(found[f"{name}_loss_path"], truth.losses)
    w = [nn.utils.parameters_to_vector(c.parameters()) for c in children]
    assert found["distance"] == pytest.approx((w[0] - w[1]).norm().item())
    assert found["distance"] > 0


@pytest.mark.parametrize("change", [{"batch_size": None}, {"steps": 0}])
def test_without_noise_there_is_no_barrier(change):
    found = instability(net(), DATA, **{**OPTIONS, **change})
    assert (found["distance"], found["train_error"], found["test_error"]) == (0, 0, 0)
    assert found["train_loss"] == pytest.approx(0, abs=1e-14)


def test_a_convex_problem_is_stable_from_the_start():
    """On a line between two weights of a convex loss nothing rises above the higher end."""
    data = Dataset("line", Split(normal(40, 5), normal(40)), Split(normal(9, 5, seed=1), normal(9, seed=2)), None)
    found = instability(nn.Linear(5, 1).double(), data, loss=mse, **OPTIONS)
    ends = found["train_loss_path"][[0, -1]]
    assert found["train_loss"] == pytest.approx((ends[0] - ends[1]).abs().item() / 2)
    assert "train_error" not in found


def test_keeps_the_contract_of_probes():
    found = check_probe(
        lambda m, _: instability(m, DATA, steps=3, batch_size=8), net(normalisation="batch"), DATA.train
    )
    assert found["alphas"].shape == found["test_error_path"].shape == (31,)


def test_children_of_a_sparse_net_are_as_sparse():
    """Where all but the biases is pruned, the children differ in the biases alone."""
    sparse = net()
    with torch.no_grad():
        for parameter in sparse.parameters():
            if parameter.dim() > 1:
                parameter.zero_()
    found, dense = (instability(sparse, DATA, pruned=flag, **OPTIONS) for flag in (True, False))
    path = found["train_loss_path"]
    assert path.max() <= max(path[0], path[-1]) + 1e-12  # convex in the last bias, which alone is trained
    assert 0 < found["distance"] < dense["distance"]
