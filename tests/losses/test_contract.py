"""What holds of every loss: a mean over examples, differentiable twice in every way, declared for its tasks."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from atml_exp.loss_checks import LOSS_CHECKS, keeps_dtype
from atml_exp.losses.brier import brier
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.group_penalty import group_penalty
from atml_exp.losses.hinge import hinge
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.losses.perceptron import perceptron

G = torch.Generator().manual_seed(0)
N = 8
CLASSES, BINARY = torch.randint(0, 3, (N,), generator=G), torch.randint(0, 2, (N,), generator=G)
TARGETS = torch.randn(N, generator=G, dtype=torch.float64)
CASES = {
    "cross_entropy": (cross_entropy, 3, CLASSES),
    "mse_on_classes": (mse, 3, CLASSES),
    "mse_on_targets": (mse, 1, TARGETS),
    "group_penalty": (group_penalty, 2, BINARY),  # measured without groups
    "logistic": (logistic, 1, BINARY),
    "brier": (brier, 1, BINARY),
    "hinge": (hinge, 1, BINARY),
    "perceptron": (perceptron, 1, BINARY),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("check", LOSS_CHECKS)
def test_every_loss_keeps_the_contract(check, case):
    LOSS_CHECKS[check](*CASES[case])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_keeps_the_dtype_of_the_outputs(case, dtype):
    keeps_dtype(*CASES[case], dtype)


def test_each_declares_the_tasks_it_suits():
    assert cross_entropy.suited_tasks == {"classification"}
    for loss in (logistic, hinge, perceptron):
        assert loss.suited_tasks == {"binary"}
        assert loss.num_outputs == 1
    assert not hasattr(mse, "suited_tasks")


@pytest.mark.parametrize("loss", [cross_entropy, mse, logistic, hinge, perceptron], ids=lambda f: f.__name__)
def test_its_yaml_gives_it(loss, pytestconfig):
    config = OmegaConf.load(pytestconfig.rootpath / "configs" / "loss" / f"{loss.__name__}.yaml")
    assert instantiate(config).func is loss
