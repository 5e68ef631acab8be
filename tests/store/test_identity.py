"""A run's id: everything that can change its result, and nothing else."""

import pytest
from omegaconf import OmegaConf

from atml_exp.compose import compose
from atml_exp.store.identity import identity, run_id

DEFAULT = "bde20803de178322"
"""Of the default experiment: where it changes, every run that anybody has is renamed."""


def id_of(*overrides):
    return run_id(compose(overrides))


def test_the_default_experiment_keeps_its_id():
    assert id_of() == DEFAULT


@pytest.mark.parametrize(
    "overrides",
    [
        ["device=cpu"],
        ["output_dir=/elsewhere"],
        ["force=true"],
        ["progress=false"],
        ["checkpoint.interval=1"],
        ["checkpoint.keep=1ep"],
        ["trusted_packages=[mine]"],
        ["logger=[wandb,tensorboard]"],
        ["probe.sharpness.picture=null"],
        ["~seed"],
        ["~model.width"],
        ["~checkpoint"],
        ["+probe.sharpness.start=0it"],
        ["model.initial_scale=1"],
        ["optimiser.weight_decay=0"],
        ["probe.pruning.fn.densities=[1,0.5,0.2,0.1,0.05,0.02]"],
        ["probe=[pruning,neural_collapse,fractal_dimension,sharpness]"],
        ["model.width=${oc.decode:'64'}"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_what_cannot_change_a_result_does_not_change_the_id(overrides):
    assert id_of(*overrides) == DEFAULT


def test_the_folder_of_a_stored_dataset_does_not_enter():
    assert id_of("dataset=mnist", "dataset.root=/a") == id_of("dataset=mnist", "dataset.download=true")


CHANGES = [
    ["seed=1"],
    ["dtype=float64"],
    ["dataset=wine"],
    ["dataset.split_seed=1"],
    ["+dataset/wrapper=label_noise"],
    ["+dataset/wrapper=[label_noise,subset]"],
    ["+dataset/wrapper=[subset,label_noise]"],
    ["model=linear"],
    ["model.width=65"],
    ["loss=mse"],
    ["optimiser=sgd"],
    ["optimiser.learning_rate=0.051"],
    ["+optimiser/schedule=[cosine,warmup]"],
    ["+optimiser/schedule=[warmup,cosine]"],
    ["recipe.steps=61ep"],
    ["recipe.batch_size=null"],
    ["recipe.evaluate_every=2ep"],
    ["probe=[]"],
    ["probe.sharpness.every=1ep"],
    ["probe.sharpness.fn.k=2"],
    ["probe.pruning.fn.densities=[0.5,1]"],
    ["probe.pruning.split=train"],
]


def test_whatever_changes_a_result_gives_an_id_of_its_own():
    ids = {str(overrides): id_of(*overrides) for overrides in CHANGES}
    assert len({*ids.values(), DEFAULT}) == len(CHANGES) + 1


def test_the_order_of_keys_does_not_count_except_among_wrappers_and_schedules():
    config = compose(["+dataset/wrapper=[label_noise,subset]"])
    turned = OmegaConf.create(_reversed(OmegaConf.to_container(config)))
    assert run_id(config) != run_id(turned)
    turned.dataset.wrapper = config.dataset.wrapper
    assert run_id(config) == run_id(turned)


def _reversed(node):
    return {k: _reversed(node[k]) for k in reversed(node)} if isinstance(node, dict) else node


def test_an_option_at_the_default_of_its_signature_is_left_out():
    assert identity(compose(["probe=[]", "recipe.steps=7", "model.width=64"])) == {
        "dataset": {"_target_": "atml_exp.datasets.digits.digits"},
        "model": {"_target_": "atml_exp.models.mlp.mlp"},
        "loss": {"_target_": "atml_exp.losses.cross_entropy.cross_entropy"},
        "recipe": {"_target_": "atml_exp.recipes.train.train", "steps": 7},
        "optimiser": {"_target_": "atml_exp.optimisers.momentum.Momentum"},
        "probe": {},
    }


def test_an_id_is_sixteen_hexadecimal_digits():
    assert len(DEFAULT) == 16
    assert int(id_of(), 16) > 0


@pytest.mark.parametrize(
    "key", ["model.initial_scale={}", "probe.pruning.fn.densities=[{},0.5]", "++dataset.more.deep={}"]
)
def test_numbers_are_compared_as_numbers(key):
    assert id_of(key.format("2")) == id_of(key.format("2.0")) != id_of(key.format("2.5"))
