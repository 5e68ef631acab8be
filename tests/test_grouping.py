"""What stacks and what starts another population."""

import pytest

from atml_exp.compose import compose
from atml_exp.grouping import batch_sizes, group_key, merged, population_size
from atml_exp.job import build_job

BASE = ["device=cpu", "probe=[]", "dataset=gaussian_mixture", "model.width=4"]
NOISE = "+dataset/wrapper=label_noise"


def key(*overrides):
    return group_key(build_job(compose([*BASE, *overrides])))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([], ["seed=1"]),
        ([], ["optimiser.learning_rate=0.3", "optimiser.momentum=0.5", "optimiser.weight_decay=0.1"]),
        ([], ["model.initial_scale=2"]),
        ([NOISE], [NOISE, "dataset.wrapper.label_noise.fraction=0.7"]),
        (["optimiser=sam"], ["optimiser=sam", "optimiser.rho=0.3"]),
        ([], ["logger=[tensorboard]", "progress=false"]),
    ],
)
def test_jobs_that_stack(one, other):
    assert key(*one) == key(*other)


@pytest.mark.parametrize(
    "other",
    [
        ["model.width=5"],
        ["model.activation=tanh"],
        ["optimiser=adam"],
        ["recipe.batch_size=32"],
        ["recipe.steps=5"],
        ["loss=mse"],
        ["dtype=float64"],
        ["dataset.separation=3"],
        ["+dataset/wrapper=subset", "dataset.wrapper.subset.num_train=80"],
        ["probe=[sharpness]"],
        ["output_dir=elsewhere"],
        [NOISE],
    ],
    ids=str,
)
def test_jobs_that_start_another_population(other):
    assert key() != key(*other)


def test_optimisers_of_torch_train_alone():
    assert key("optimiser=torch_optim") != key("optimiser=torch_optim", "seed=1")


def test_training_sets_of_different_size_start_another_population():
    small, large = (
        build_job(
            compose(
                [*BASE, "recipe.batch_size=8", "+dataset/wrapper=subset", f"dataset.wrapper.subset.num_train={n}"]
            )
        )
        for n in (50, 60)
    )
    assert group_key(small) != group_key(large)


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


def test_batch_sizes_are_said_where_they_differ():
    jobs = [build_job(compose([*BASE, f"recipe.batch_size={b}"])) for b in (8, 8, 16)]
    assert batch_sizes(jobs) == [8, 8, 16]
    assert batch_sizes(jobs[:2]) is None


def test_populations_are_as_large_as_the_cache_holds():
    def size(*overrides):
        return population_size(build_job(compose([*BASE, *overrides])))

    assert size("model.width=4") == 512
    assert size("model.width=32") > size("model.width=128") > size("model.width=2000") == 8
    assert population_size(build_job(compose(["device=cpu", "probe=[]", "dataset=digits", "model=cnn"]))) == 4
