"""Against scikit-learn, scipy and theory, and what must be refused."""

import pytest
import torch
from scipy.stats import ks_2samp, norm
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.probes.membership import advantage, advantage_at, auc, membership
from atml_exp.probes.performance import performance

G = torch.Generator().manual_seed(5)


def drawn(ties):
    members, others = torch.randn(300, generator=G).double(), 0.4 + torch.randn(170, generator=G).double()
    return ((members * 3).round(), (others * 3).round()) if ties else (members, others)


@pytest.mark.parametrize("ties", [False, True])
def test_scikit_learn_and_scipy_say_the_same(ties):
    members, others = drawn(ties)
    truth, score = torch.cat([torch.ones(300), torch.zeros(170)]), -torch.cat([members, others])
    assert auc(members, others) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    false, true, _ = roc_curve(truth, score, drop_intermediate=False)
    assert advantage(members, others) == pytest.approx((true - false).max(), abs=1e-12)
    assert advantage(members, others) == pytest.approx(ks_2samp(members, others, "greater").statistic, abs=1e-12)


def test_of_two_gaussians_it_is_the_closed_form():
    members, others = torch.randn(200_000, generator=G).double(), 1 + torch.randn(200_000, generator=G).double()
    assert auc(members, others) == pytest.approx(norm.cdf(2**-0.5), abs=4e-3)
    assert advantage(members, others) == pytest.approx(2 * norm.cdf(0.5) - 1, abs=6e-3)
    assert advantage_at(0.0, members, others) == pytest.approx(0.5 - norm.cdf(-1), abs=6e-3)


def test_losses_that_are_alike_give_nothing_away():
    losses = torch.randn(50, generator=G)
    assert (auc(losses, losses), advantage(losses, losses), advantage_at(0.1, losses, losses)) == (0.5, 0, 0)
    constant = torch.zeros(7), torch.zeros(3)
    assert (auc(*constant), advantage(*constant)) == (0.5, 0)


def test_losses_of_members_below_all_others_give_all_away():
    assert (auc(torch.zeros(3), torch.ones(5)), advantage(torch.zeros(3), torch.ones(5))) == (1, 1)
    assert (auc(torch.ones(5), torch.zeros(3)), advantage(torch.ones(5), torch.zeros(3))) == (0, 0)


def test_a_rising_function_of_the_losses_changes_nothing():
    members, others = drawn(True)
    assert auc(members.exp(), others.exp()) == auc(members, others)
    assert advantage(members.exp(), others.exp()) == advantage(members, others)


def dataset(classes=3):
    def split(n):
        y = torch.randint(3, (n,), generator=G) if classes else torch.randn(n, generator=G)
        return Split(torch.randn(n, 4, generator=G), y)

    return Dataset("made up", split(40), split(30), classes)


def test_the_probe_and_yeoms_theorem():
    model, data = nn.Linear(4, 3), dataset()
    found = check_probe(membership, model, data)
    errors = [performance(model, split)["error"] for split in (data.train, data.test)]
    assert found["error_advantage"] == pytest.approx(errors[1] - errors[0], abs=1e-12)
    losses = [
        torch.stack([cross_entropy(model(x[None]).double(), y[None]) for x, y in zip(s.x, s.y, strict=True)])
        for s in (data.train, data.test)
    ]
    assert found["auc"] == pytest.approx(auc(*losses), abs=1e-12)
    assert found["mean_loss_advantage"] == advantage_at(losses[0].mean().item(), *losses)


def test_the_sampled_attack_on_a_bounded_loss_has_the_advantage_of_the_theorem():
    """'no member' with probability ℓ/B: TPR − FPR is the gap over B."""
    members, others = 2 * torch.rand(200_000, generator=G).square(), 2 * torch.rand(200_000, generator=G)
    said = [torch.rand(len(t), generator=G) >= t / 2 for t in (members, others)]
    found = (said[0].double().mean() - said[1].double().mean()).item()
    assert found == pytest.approx((others.mean() - members.mean()).item() / 2, abs=5e-3)


def test_a_regression_has_no_errors():
    found = check_probe(lambda m, d: membership(m, d, loss=mse), nn.Linear(4, 1), dataset(None))
    assert found.keys() == {"auc", "advantage", "mean_loss_advantage"}


def test_refusals():
    data = dataset()
    empty = Split(data.train.x[:0], data.train.y[:0])
    for one_sided in (Dataset("a", empty, data.test, 3), Dataset("b", data.train, empty, 3)):
        with pytest.raises(ValueError, match="there must be some of both"):
            membership(nn.Linear(4, 3), one_sided)
    none, some, nan = torch.ones(0), torch.ones(3), torch.full((2,), float("nan"))
    for one, other in ((none, some), (some, none), (some, nan), (nan, some)):
        for quantity in (auc, advantage):
            with pytest.raises(ValueError, match="both sides need numbers"):
                quantity(one, other)
