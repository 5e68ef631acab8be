"""Every update rule against torch.optim's, against its closed form on a quadratic, and over replicas."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from atml_exp.compose import choices_of
from atml_exp.contract import check_optimiser_of
from atml_exp.errors import ConfigError
from atml_exp.layout import Layout
from atml_exp.optimisers.adam import Adam
from atml_exp.optimisers.adamw import AdamW
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.nesterov import Nesterov
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.sam import SAM, ascent
from atml_exp.optimisers.sgd import SGD
from atml_exp.optimisers.torch_optim import TorchOptim

H = torch.diag(torch.tensor([3.0, 1.0, 0.2, -0.1], dtype=torch.float64))
W0 = torch.tensor([1.0, -2.0, 0.5, 0.3], dtype=torch.float64)


class Quadratic:
    """½wᵀHw, its gradient, and the loss of the last call."""

    layout = Layout(("w",), (torch.Size([4]),))
    loss = torch.zeros(())

    def __call__(self, w: Tensor) -> Tensor:
        self.loss = 0.5 * (w @ H * w).sum(-1)
        return w @ H


def run(optimiser, steps=20, w=W0):
    state = optimiser.init(w)
    for t in range(steps):
        w, state = optimiser.update(w, state, Quadratic(), step=t, learning_rate=optimiser.learning_rate)
    return w


def run_torch(cls, steps=20, **options):
    w = W0.clone().requires_grad_()
    optimiser = cls([w], **options)
    for _ in range(steps):
        optimiser.zero_grad()
        (0.5 * w @ H @ w).backward()
        optimiser.step()
    return w.detach()


SAME = [
    (GD(0.1, 0.02), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.02}),
    (SGD(0.1, 0.02), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.02}),
    (Momentum(0.1, 0.8, 0.02), torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.02}),
    (
        Nesterov(0.1, 0.8, 0.02),
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.02, "nesterov": True},
    ),
    (
        Adam(0.1, 0.8, 0.95, 1e-6, 0.02),
        torch.optim.Adam,
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.02},
    ),
    (
        AdamW(0.1, 0.8, 0.95, 1e-6, 0.3),
        torch.optim.AdamW,
        {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.3},
    ),
    (SAM(0.1, 0.0, 0.8, 0.02), torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.02}),
]


@pytest.mark.parametrize(("ours", "cls", "options"), SAME, ids=lambda v: getattr(v, "__class__", type(v)).__name__)
def test_same_iterates_as_torch_optim(ours, cls, options):
    torch.testing.assert_close(run(ours), run_torch(cls, **options), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("ours", [case[0] for case in SAME], ids=lambda o: type(o).__name__)
def test_two_replicas_with_their_own_hyperparameters_equal_each_alone(ours):
    other = replace(ours, learning_rate=0.03, weight_decay=0.2)
    both = run(stack([ours, other], like=W0), w=torch.stack([W0, 2 * W0]))
    torch.testing.assert_close(both[0], run(ours), rtol=1e-13, atol=0)
    torch.testing.assert_close(both[1], run(other, w=2 * W0), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", choices_of("optimiser"))
def test_every_rule_keeps_the_contract(name):
    check_optimiser_of(["probe=[]", f"optimiser={name}"])


def test_gradient_descent_on_a_quadratic_is_the_product_of_its_factors():
    torch.testing.assert_close(run(GD(0.1), 30), (1 - 0.1 * H.diagonal()) ** 30 * W0, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("make", "threshold"),
    [
        (lambda eta: GD(eta), lambda b: 2.0),
        (lambda eta: Momentum(eta, 0.9), lambda b: 2 + 2 * b),
        (lambda eta: Nesterov(eta, 0.9), lambda b: (2 + 2 * b) / (1 + 2 * b)),
    ],
    ids=["gd", "momentum", "nesterov"],
)
def test_stable_just_below_the_threshold_and_unstable_just_above(make, threshold):
    h = 3.0
    w0 = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    below, above = (run(make(factor * threshold(0.9) / h), 4000, w0).abs().max() for factor in (0.99, 1.01))
    assert below < 1e-3
    assert above > 1e3


def test_sam_steps_from_the_point_of_steepest_ascent():
    g = H @ W0
    worst = W0 + 0.3 * g / g.norm()
    torch.testing.assert_close(run(SAM(0.1, 0.3, 0.0), 1), W0 - 0.1 * H @ worst)


def test_ascent_has_length_rho_and_is_zero_where_the_gradient_is():
    g = torch.stack([W0, torch.zeros_like(W0)])
    assert ascent(g, 0.3).norm(dim=-1).tolist() == pytest.approx([0.3, 0.0])


def test_stacking_refuses_what_is_not_a_number_or_not_the_same_rule():
    with pytest.raises(ValueError, match="different optimisers"):
        stack([SGD(), Momentum()], like=W0)
    with pytest.raises(ValueError, match="differ in name"):
        stack([TorchOptim("SGD"), TorchOptim("Adam")], like=W0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {}),
        ("Adagrad", {}),
        ("NAdam", {}),
        ("Adam", {"amsgrad": True}),
        ("Rprop", {}),
        ("ASGD", {}),
    ],
)
def test_the_adapter_is_the_class_that_it_adapts(name, options):
    ours = run(TorchOptim(name, 0.05, options))
    theirs = run_torch(getattr(torch.optim, name), lr=0.05, **options)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_the_adapter_carries_lbfgs_history_from_step_to_step():
    convex = TorchOptim("LBFGS", 1.0, {"max_iter": 2, "history_size": 5})
    w = W0.clone().requires_grad_()
    theirs = torch.optim.LBFGS([w], lr=1.0, max_iter=2, history_size=5)

    def closure():
        theirs.zero_grad()
        loss = 0.5 * w @ H @ w
        loss.backward()
        return loss

    for _ in range(4):
        theirs.step(closure)
    torch.testing.assert_close(run(convex, 4), w.detach(), rtol=1e-10, atol=1e-12)


def test_the_adapter_says_which_names_and_options_there_are():
    with pytest.raises(ConfigError, match=r"optimiser\.name = Adamm.*Did you mean Adam"):
        TorchOptim("Adamm")
    with pytest.raises(ConfigError, match=r"optimiser\.options.*nope"):
        TorchOptim("SGD", 0.1, {"nope": 1})


RATES = [0.1 / (1 + t) for t in range(20)]
SCHEDULED = [*SAME, (TorchOptim("RMSprop", 0.1), torch.optim.RMSprop, {"lr": 0.1})]


@pytest.mark.parametrize(
    ("ours", "cls", "options"), SCHEDULED, ids=lambda v: getattr(v, "__class__", type(v)).__name__
)
def test_same_iterates_as_torch_optim_where_the_learning_rate_changes(ours, cls, options):
    w, state = W0, ours.init(W0)
    theirs = W0.clone().requires_grad_()
    rule = cls([theirs], **options)
    for t, rate in enumerate(RATES):
        w, state = ours.update(w, state, Quadratic(), step=t, learning_rate=rate)
        rule.param_groups[0]["lr"] = rate
        rule.zero_grad()
        (0.5 * theirs @ H @ theirs).backward()
        rule.step()
    torch.testing.assert_close(w, theirs.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1e3, 1.0, 1e-18, 1e-23, 1e-30, 1e-37])
def test_ascent_has_its_length_however_small_the_gradient(size):
    assert ascent(torch.full((1000,), size), 0.05).norm().item() == pytest.approx(0.05, rel=1e-5)


def test_lbfgs_that_diverges_does_not_raise():
    rule, w, state = TorchOptim("LBFGS", 1e300), 1e200 * W0, {}
    for t in range(4):
        w, state = rule.update(w, state, Quadratic(), step=t, learning_rate=1e300)
    assert not torch.isfinite(w).all()
