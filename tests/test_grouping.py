"""What stacks and what starts another population."""

import pytest

from atml_exp.compose import compose
from atml_exp.grouping import batch_sizes, group_key, population_size
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
        ([], ["model.initial_scale=2", "model.initial_bias_std=0.1"]),
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
