"""The masks are those of the scores of the initial weights; then only what is kept is trained."""

import pytest
import torch

from atml_exp.compose import compose
from atml_exp.job import build_job
from atml_exp.layout import Layout
from atml_exp.masks import keep_largest, prunable
from atml_exp.pruning_scores import grasp_scores, obd_scores, snip_scores, synflow_scores
from atml_exp.runner import run
from atml_exp.runs import Run

SMALL = (
    "dataset=gaussian_mixture", "model.width=8", "probe=[trajectory]", "probe.trajectory.start=0it", "device=cpu",
    "progress=false", "recipe=pruning_at_initialisation", "recipe.density=0.3", "recipe.steps=6it",
    "recipe.batch_size=16", "recipe.evaluate_every=end",
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one(*overrides):
    (result,) = run([compose([*SMALL, *overrides])], reports=False)
    return Run(result.directory)


def named(done, job, step):
    steps, values = done.array("trajectory/weights")
    return Layout.of(job.model).named(torch.from_numpy(values[steps.tolist().index(step)]))


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("criterion", ["snip", "grasp", "obd", "magnitude", "synflow"])
def test_one_round_keeps_the_largest_scores_of_the_initial_weights(criterion, scope):
    options = (f"recipe.criterion={criterion}", f"recipe.scope={scope}", "recipe.rounds=1")
    job, done = build_job(compose([*SMALL, *options])), one(*options)
    model, split = job.model.eval(), job.data.train
    scores = {
        "snip": lambda: snip_scores(model, job.loss_fn, split.x, split.y),
        "grasp": lambda: grasp_scores(model, job.loss_fn, split.x, split.y),
        "obd": lambda: obd_scores(model, job.loss_fn, split.x, split.y),
        "synflow": lambda: synflow_scores(model, tuple(split.x.shape[1:])),
        "magnitude": lambda: {n: p.abs() for n, p in model.named_parameters()},
    }[criterion]()
    mask, initial = keep_largest(prunable(scores), 0.3, scope), dict(model.named_parameters())
    first, last = named(done, job, 0), named(done, job, 6)
    for name, m in mask.items():
        assert torch.equal(first[name] != 0, m)
        assert torch.equal(first[name][m], initial[name][m])
        assert (last[name][~m] == 0).all()
        assert (last[name][m] != initial[name][m]).any()
    assert done.series("mask/density")[1].tolist() == pytest.approx([0.3], abs=0.01)


def test_synflow_takes_a_hundred_rounds_and_empties_no_layer_where_one_round_does():
    options = (
        "recipe.criterion=synflow",
        "recipe.density=0.01",
        "model.width=20",
        "model.depth=6",
        "recipe.steps=1it",
    )
    assert one(*options).final["mask/emptied_layers"] == 0
    assert one(*options, "recipe.rounds=1").final["mask/emptied_layers"] > 0


def test_replicas_are_pruned_each_by_itself():
    together = run(
        [compose([*SMALL, f"seed={s}", "dtype=float64", "output_dir=together"]) for s in (0, 1)], reports=False
    )
    for seed, result in enumerate(together):
        alone = one(f"seed={seed}", "dtype=float64")
        assert Run(result.directory).final == pytest.approx(alone.final, rel=1e-9)
