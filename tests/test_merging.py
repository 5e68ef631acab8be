"""What joins a population although batches or widths differ, and that it trains the same there."""

import pytest
import torch

from atml_exp.compose import compose
from atml_exp.job import build_job
from atml_exp.merging import merged, same_when_padded

BASE = ["device=cpu", "probe=[]", "dataset=gaussian_mixture", "model.width=4"]
IN_STEPS = ("recipe.steps=100it", "recipe.evaluate_every=50it")


def groups(batches, *overrides, seeds=(0,), most=100):
    """Batch sizes in each population, of a sweep over batch sizes and seeds, `most` jobs at once."""
    found = [
        [build_job(compose([*BASE, *overrides, f"recipe.batch_size={b}", f"seed={s}"])) for s in seeds]
        for b in batches
    ]
    together = merged(found, lambda j: (j, None), lambda _: most)
    return [sorted({j.resolved["recipe"]["batch_size"] for j in g}) for g in together]


def test_batches_of_different_sizes_train_together_where_nothing_goes_by_epochs():
    assert groups([8, 16, 32], *IN_STEPS) == [[8, 16, 32]]
    assert groups([8, 16], *IN_STEPS, "probe=[sharpness]", "probe.sharpness.every=log") == [[8, 16]]


@pytest.mark.parametrize(
    "overrides",
    [
        ["recipe.steps=3ep", "recipe.evaluate_every=50it"],
        ["recipe.steps=100it", "recipe.evaluate_every=1ep"],
        [*IN_STEPS, "probe=[sharpness]", "probe.sharpness.every=2ep"],
        [*IN_STEPS, "probe=[trajectory]", "probe.trajectory.start=-1ep"],
        [*IN_STEPS, "checkpoint.keep=1ep"],
        [*IN_STEPS, "model.normalisation=batch"],
        [*IN_STEPS, "recipe.label_noise=0.1"],
        [*IN_STEPS, "dataset=digits", "model=cnn", "~model.width"],
    ],
    ids=str,
)
def test_batches_of_different_sizes_are_apart_where_steps_or_examples_hang_on_them(overrides):
    assert groups([8, 16], *[o for o in overrides if not o.startswith("~")]) == [[8], [16]]


def test_batches_of_different_sizes_are_apart_where_filling_them_up_costs_more_than_a_step():
    wide = (*IN_STEPS, "model.width=256", "model.depth=2")
    assert groups([16, 256], *wide) == [[256], [16]]
    assert groups([240, 16, 256], *wide) == [[240, 256], [16]]
    assert groups([16, 64], *IN_STEPS, "model.width=32", seeds=(0, 1, 2)) == [[16, 64]]


def test_batches_of_different_sizes_are_apart_where_they_fill_a_population_each():
    assert groups([8, 16, 32], *IN_STEPS, seeds=(0, 1), most=4) == [[16, 32], [8]]
    assert groups([8, 16], *IN_STEPS, most=1) == [[16], [8]]


def job(*overrides):
    return build_job(compose([*BASE, *overrides]))


def widths(sizes, *overrides, seeds=(0,), most=100):
    """Widths in each population, of a sweep over widths and seeds."""
    found = [[job(*overrides, f"model.width={w}", f"seed={s}") for s in seeds] for w in sizes]
    together = merged(found, lambda j: (j, None), lambda _: most)
    return [[j.resolved["model"]["width"] for j in g] for g in together]


def test_models_of_different_width_train_together_the_widest_first():
    assert widths([4, 32, 8], seeds=(0, 1)) == [[32, 32, 8, 8, 4, 4]]
    assert widths([4, 8], "optimiser=gd", "recipe.batch_size=null") == [[8, 4]]


def test_models_of_different_width_are_apart_where_filling_them_up_costs_more_than_a_step():
    assert widths([4, 1024], "recipe.batch_size=64") == [[1024], [4]]


def test_models_of_different_width_are_apart_where_they_fill_a_population_each():
    assert widths([4, 8, 16], seeds=(0, 1), most=4) == [[16, 16, 8, 8], [4, 4]]


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.normalisation=batch"],
        ["model.normalisation=layer"],
        ["optimiser=noisy_gd", "recipe.batch_size=null"],
        ["optimiser=torch_optim"],
        ["recipe=iterative_pruning"],
        ["dataset=digits", "model=cnn"],
    ],
    ids=str,
)
def test_models_of_different_width_are_apart_where_they_would_not_train_the_same(overrides):
    assert widths([4, 8], *overrides) == [[8], [4]] or widths([4, 8], *overrides) == [[4], [8]]


def test_models_of_different_depth_or_activation_are_apart():
    for one, other in (("model.depth=1", "model.depth=2"), ("model.activation=relu", "model.activation=tanh")):
        assert len(merged([[job(one)], [job(other)]], lambda j: (j, None), lambda _: 100)) == 2


@pytest.mark.parametrize(("key", "same"), [("none", True), ("batch", False), ("layer", False)])
def test_a_trial_finds_out_which_models_train_the_same_when_padded(key, same):
    narrow, wide = (job(f"model.normalisation={key}", f"model.width={w}") for w in (3, 5))
    assert same_when_padded(narrow, wide) is same
    assert not same_when_padded(wide, narrow)


def test_the_trial_changes_neither_model_nor_its_type():
    narrow, wide = (job(f"model.width={w}") for w in (3, 5))
    before = {n: p.clone() for n, p in wide.model.named_parameters()}
    same_when_padded(narrow, wide)
    assert all(torch.equal(p, before[n]) and p.dtype == torch.float32 for n, p in wide.model.named_parameters())


def test_one_example_is_enough_to_group_by():
    one = ("+dataset/wrapper=subset", "dataset.wrapper.subset.num_train=1", "recipe.batch_size=1")
    assert widths([4, 8], *one, *IN_STEPS) == [[8, 4]]
    normalised = ("model.normalisation=batch", "model.width=4")
    assert len(merged([[job(*one, *IN_STEPS, *normalised)]], lambda j: (j, None), lambda _: 100)) == 1
