"""The penalty by hand, its limits, and that a sweep over its strength is one population equal to each run alone."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from torch.func import grad, vmap

from atml_exp.compose import compose
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.group_penalty import group_penalty
from atml_exp.runner import groups_to_train, run
from atml_exp.runs import Run

G = torch.Generator().manual_seed(0)
N = 30
OUT = torch.randn(N, 2, generator=G, dtype=torch.float64)
Y, GROUP = torch.randint(0, 2, (N,), generator=G), torch.randint(0, 3, (N,), generator=G)
KINDS = ["demographic_parity", "equalised_odds"]


def by_hand(out, y, group, kind):
    """Loops over groups, in numpy."""
    p, y, group = out.softmax(1)[:, 1].numpy(), y.numpy(), group.numpy()
    parts = [np.ones(len(y), bool)] if kind == "demographic_parity" else [y == 0, y == 1]
    total = 0.0
    for part in parts:
        means = [p[part & (group == g)].mean() for g in np.unique(group[part])]
        total += sum((a - b) ** 2 for a, b in itertools.combinations(means, 2))
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_is_what_sklearn_and_a_loop_say(kind):
    expected = log_loss(Y.numpy(), OUT.softmax(1).numpy()) + 2.5 * by_hand(OUT, Y, GROUP, kind)
    assert group_penalty(OUT, Y, GROUP, strength=2.5, kind=kind).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_and_no_groups_and_one_group_are_the_cross_entropy(kind):
    plain = cross_entropy(OUT, Y)
    assert group_penalty(OUT, Y, GROUP, strength=0.0, kind=kind) == plain
    assert group_penalty(OUT, Y, strength=9.0, kind=kind) == plain
    assert group_penalty(OUT, Y, torch.full((N,), 2), strength=9.0, kind=kind) == plain


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_exchangeable_and_examples_too(kind):
    value = group_penalty(OUT, Y, GROUP, kind=kind)
    torch.testing.assert_close(group_penalty(OUT, Y, torch.tensor([7, 0, 31])[GROUP], kind=kind), value)
    order = torch.randperm(N, generator=G)
    torch.testing.assert_close(group_penalty(OUT[order], Y[order], GROUP[order], kind=kind), value)


def test_an_empty_group_of_a_mini_batch_contributes_nothing_not_even_a_gradient():
    batch = Y == 1  # equalised odds: no negatives at all
    alone = group_penalty(OUT[batch], Y[batch], GROUP[batch], strength=1.0, kind="equalised_odds")
    parity = group_penalty(OUT[batch], Y[batch], GROUP[batch], strength=1.0)
    torch.testing.assert_close(alone, parity)
    one = OUT[:1].clone().requires_grad_()
    (g,) = torch.autograd.grad(group_penalty(one, Y[:1], GROUP[:1], strength=100.0), one)
    torch.testing.assert_close(g, grad(cross_entropy)(OUT[:1], Y[:1]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences_and_stacks(kind):
    def f(o):
        return group_penalty(o, Y, GROUP, strength=3.0, kind=kind)

    assert torch.autograd.gradcheck(f, OUT.clone().requires_grad_())
    outs = torch.stack([OUT, -OUT])
    torch.testing.assert_close(vmap(grad(f))(outs), torch.stack([grad(f)(o) for o in outs]))


@pytest.mark.parametrize("number", [-1, 32])
def test_a_group_beyond_the_last_is_not_passed_over(number):
    assert group_penalty(OUT, Y, torch.where(GROUP == 1, number, GROUP)).isnan()


def configs(folder, *more):
    common = [
        *("dataset=binormal_groups", "dataset.num_train=120", "dataset.num_test=40", "model=mlp", "model.width=6"),
        *("loss=group_penalty", "recipe.steps=12it", "recipe.batch_size=16", "probe=[fairness]", "device=cpu"),
        *("probe.fairness.fn.draws=20", "dtype=float64", "progress=false", f"output_dir={folder}"),
    ]
    strengths = [0.0, 0.5, 8.0]
    return [compose([*common, *more, f"loss.strength={s}", f"seed={seed}"]) for s in strengths for seed in range(2)]


@pytest.mark.parametrize("kind", ["equalised_odds"])
def test_a_sweep_over_strength_is_one_population_and_equals_each_run_alone(tmp_path, kind):
    sweep = configs(tmp_path / "together", f"loss.kind={kind}")
    assert [len(group) for group in groups_to_train(sweep)] == [6]
    together = run(sweep, reports=False)
    last = []
    for result, config in zip(together, configs(tmp_path / "alone", f"loss.kind={kind}"), strict=True):
        (alone,) = run([config], reports=False)
        a, b = Run(alone.directory).metrics, Run(result.directory).metrics
        assert a["name"].tolist() == b["name"].tolist()
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-9, atol=1e-9)
        last.append(b[b["name"] == "train/loss"]["value"].iloc[-1])
    assert len(set(last)) == 6  # the strength does something
