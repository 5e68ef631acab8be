"""Variance reduction by hand, its linear rate where SGD stalls, replicas, and a run that is cut off."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from atml_exp.batches import Batch, Batches
from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.sgd import SGD
from atml_exp.optimisers.svrg import SVRG
from atml_exp.population import BatchGradient, assemble, update
from atml_exp.runner import run
from atml_exp.runs import Run

G = torch.Generator().manual_seed(5)
N, D = 60, 4
X = torch.randn(N, D, generator=G, dtype=torch.float64)
Y = X @ torch.ones(D, dtype=torch.float64) + torch.randn(N, generator=G, dtype=torch.float64)
BEST = torch.linalg.lstsq(X, Y).solution


def trained(rules, seeds, steps, batch_size=1):
    models = [linear((D,), 1, bias=False, initialisation="zeros").double() for _ in seeds]
    population = assemble(models, seeds)
    rule = stack(rules, like=population.w)
    population = type(population)(**{**population.__dict__, "state": rule.init(population.w)})
    batches = Batches([Split(X, Y)] * len(seeds), seeds, batch_size)
    for t in range(steps):
        population = update(population, rule, mse, batches(t), rule.learning_rate, lambda t=t: batches.whole(t))
    return population


def by_hand(rate, every, decay, seed, steps):
    x, y, w = X.numpy(), Y.numpy(), np.zeros(D)
    batches = Batches([Split(X, Y)], (seed,), 1)
    for t in range(steps):
        if t % every == 0:
            snapshot, full = w, x.T @ (x @ w - y) / N
        batch = batches(t)
        xi, yi = batch.x[0].numpy(), batch.y[0].item()
        w = w - rate * (xi * (xi @ w - yi) - xi * (xi @ snapshot - yi) + full + decay * w)
    return w


def test_as_written_by_hand():
    found = trained([SVRG(0.05, 25, 0.1)], (3,), 130)
    np.testing.assert_allclose(found.w, by_hand(0.05, 25, 0.1, 3, 130), rtol=1e-12)


def test_replicas_with_their_own_numbers_equal_each_alone():
    rules, seeds = [SVRG(0.05, 25), SVRG(0.02, 40, 0.1)], (3, 8)
    together = trained(rules, seeds, 130)
    for r, (rule, seed) in enumerate(zip(rules, seeds, strict=True)):
        torch.testing.assert_close(together.w[r], trained([rule], (seed,), 130).w, rtol=1e-11, atol=1e-13)


def test_it_converges_linearly_where_sgd_stays_at_a_floor():
    """Of the same step size and order: by about as much each time, while SGD's error doesn't fall any more."""
    distances = [(trained([SVRG(0.03, 2 * N)], (0,), k * 2 * N).w - BEST).norm().item() for k in (2, 4, 6, 8)]
    shrunk = [b / a for a, b in pairwise(distances)]
    assert max(shrunk) < 0.1
    half, whole = ((trained([SGD(0.03)], (0,), k * N).w - BEST).norm().item() for k in (8, 16))
    assert whole > 0.3 * half > 1000 * distances[-1]


def test_the_direction_has_the_mean_of_the_gradient_and_a_variance_that_goes_with_the_distance():
    """Over all N examples, at w from a snapshot v: mean ∇L(w); variance that of (xxᵀ)(w − v), for SGD that of g."""
    population = assemble([linear((D,), 1, bias=False).double()], (0,))
    whole = Batch(X, Y)
    w, v = BEST + 0.01, BEST

    def direction(i, w):
        gradient = BatchGradient(population, mse, Batch(X[i : i + 1], Y[i : i + 1]), lambda: whole)
        return gradient(w) - gradient(v) + gradient.full(v)

    each = torch.stack([direction(i, w) for i in range(N)])
    torch.testing.assert_close(each.mean(0), X.T @ (X @ w - Y) / N)
    expected = (X * (X @ (w - v))[:, None]).var(0, correction=0).sum()
    torch.testing.assert_close(each.var(0, correction=0).sum(), expected)
    plain = (X * (X @ w - Y)[:, None]).var(0, correction=0).sum()
    assert expected < 1e-2 * plain


def test_the_gradient_of_the_whole_set_leaves_loss_and_count_as_they_are():
    population = assemble([linear((D,), 1, bias=False).double()], (0,))
    gradient = BatchGradient(population, mse, Batch(X[:1], Y[:1]), lambda: Batch(X, Y))
    gradient(BEST)
    loss = gradient.loss
    torch.testing.assert_close(gradient.full(BEST + 1), X.T @ (X @ (BEST + 1) - Y) / N)
    assert gradient.loss is loss
    with pytest.raises(ValueError, match="isn't known here"):
        BatchGradient(population, mse, Batch(X[:1], Y[:1])).full(BEST)


RUN = (
    "dataset=two_moons",
    "dataset.num_train=64",
    "model=mlp",
    "model.width=4",
    "optimiser=svrg",
    "optimiser.every=7",
    "recipe.batch_size=8",
    "recipe.steps=40it",
    "recipe.evaluate_every=end",
    "probe=[]",
    "device=cpu",
    "progress=false",
    "dtype=float64",
)


def test_a_run_cut_off_between_snapshots_ends_with_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (whole,) = run([compose([*RUN, "output_dir=whole"])], reports=False)
    from atml_exp import train

    def stop_at_24(population, *rest):
        if population.step == 24:
            raise KeyboardInterrupt
        return update(population, *rest)

    monkeypatch.setattr(train, "update", stop_at_24)
    with pytest.raises(KeyboardInterrupt):
        run([compose([*RUN, "output_dir=cut"])], reports=False)
    monkeypatch.setattr(train, "update", update)
    (cut,) = run([compose([*RUN, "output_dir=cut"])], reports=False)
    assert Run(cut.directory).final == Run(whole.directory).final


def test_runs_of_one_population_are_those_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = [[*RUN, f"seed={s}", f"optimiser.every={e}"] for s, e in ((0, 7), (1, 10))]
    alone = [run([compose([*c, "output_dir=alone"])], reports=False)[0].final for c in configs]
    together = run([compose([*c, "output_dir=together"]) for c in configs], reports=False)
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(dict(other.final), rel=1e-9)
