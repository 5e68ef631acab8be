"""Configs from overrides, with every way that Hydra knows, and Hydra's state as it was before."""

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from atml_exp.compose import compose, compose_each, sweep_jobs, swept
from atml_exp.errors import ConfigError
from atml_exp.search_path import configs_directory


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        ([], "model.width", 64),
        (["model=cnn"], "model._target_", "atml_exp.models.cnn.cnn"),
        (["model.width=7"], "model.width", 7),
        (["model.width=8", "model.width=9"], "model.width", 9),
        (["seed=3"], "seed", 3),
        (["optimiser=gd"], "recipe.batch_size", None),
        (["optimiser=gd", "recipe=train"], "recipe.batch_size", None),
        (["experiment=edge_of_stability"], "optimiser._target_", "atml_exp.optimisers.gd.GD"),
        (["experiment=edge_of_stability", "model.width=9"], "model.width", 9),
        (
            ["experiment=edge_of_stability", "loss=cross_entropy"],
            "loss._target_",
            "atml_exp.losses.cross_entropy.cross_entropy",
        ),
        (["experiment=[]"], "model.width", 64),
        (["~experiment"], "model.width", 64),
        (["+dataset/wrapper=subset"], "dataset.wrapper.subset._partial_", True),
        (["probe=[sharpness]", "probe.sharpness.every=100it"], "probe.sharpness.every", "100it"),
        (["loss=mse"], "probe.sharpness.fn.loss._target_", "atml_exp.losses.mse.mse"),
        (["++model.new=1"], "model.new", 1),
    ],
)
def test_overrides_have_their_effect(overrides, key, value):
    assert OmegaConf.select(compose(overrides), key) == value


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ([], ["sharpness", "trajectory", "fractal_dimension", "neural_collapse", "pruning"]),
        (["probe=[]"], []),
        (["probe=pruning"], ["pruning"]),
        (["probe=[pruning,sharpness]"], ["pruning", "sharpness"]),
        (["probe=[fractal_dimension,trajectory]"], ["trajectory", "fractal_dimension"]),
        (["experiment=random_labels"], []),
        (["experiment=random_labels", "+probe=sharpness"], ["sharpness"]),
        (["experiment=random_labels", "probe=[pruning]"], ["pruning"]),
    ],
)
def test_probes_are_listed_added_and_replaced(overrides, names):
    assert list(compose(overrides).probe) == names


def test_several_jobs_are_composed_at_once():
    assert [c.seed for c in compose_each([["seed=0"], ["seed=5"]])] == [0, 5]


def test_another_primary_config_and_folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "small.yaml").write_text("width: 2\n")
    (tmp_path / "mine.yaml").write_text("defaults:\n- model: small\n- _self_\nseed: 4\n")
    config = compose(["model.width=3"], config_dir=tmp_path, config_name="mine")
    assert config == {"model": {"width": 3}, "seed": 4}


def test_hydras_state_is_put_back(tmp_path):
    state = GlobalHydra.instance()
    assert state.hydra is None
    compose()
    assert state.hydra is None
    with pytest.raises(ConfigError):
        compose(["model=mpl"])
    assert state.hydra is None
    state.hydra = running = object()
    try:
        compose()
        assert state.hydra is running
    finally:
        state.hydra = None


def test_it_does_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    before = compose()
    monkeypatch.chdir(tmp_path)
    assert compose() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["modle.width=3"], "modle.width=3: the top level has no key 'modle'; allowed: .*; did you mean model[?]"),
        (
            ["probe.sharpness.fn.kk=3"],
            "probe.sharpness.fn has no key 'kk'; allowed: loss, k, .*; did you mean k[?]",
        ),
        (["model=cnn", "model.skip=true"], "model.skip=true: model has no key 'skip'; allowed: depth, width, "),
        (["+seed=3"], "Could not append to config. An item is already at 'seed'"),
        (["hydra.foo=3"], "Could not override 'hydra.foo'"),
        (
            ["hydra/launcher=moon"],
            "Could not find 'hydra/launcher/moon' Available options in 'hydra/launcher': ",
        ),
        (["dataset=wrapper/subst"], "dataset = wrapper/subst: no such choice; allowed: adult, "),
        (["model.width='"], '"model.width=\'": not an override; .* text with special characters goes in quotes'),
    ],
)
def test_what_leads_nowhere_is_named(overrides, message):
    with pytest.raises(ConfigError, match=message):
        compose(overrides)


def test_a_missing_primary_config_or_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="Cannot find primary config 'mine'"):
        compose(config_name="mine")
    with pytest.raises(ConfigError, match="Primary config directory not found"):
        compose(config_dir=tmp_path / "nowhere")


def test_a_sweep_is_the_product_of_its_values():
    assert sweep_jobs(["seed=range(0,3)", "model=choice(mlp,cnn)", "recipe.steps=7"]) == [
        [f"seed={seed}", f"model={model}", "recipe.steps=7"] for seed in range(3) for model in ("mlp", "cnn")
    ]


def test_only_several_values_are_swept_and_not_a_list():
    assert swept(["seed=0,1", "probe=[sharpness,pruning]", "model=mlp", "recipe.steps=glob(*)"]) == [
        "seed=0,1",
        "recipe.steps=glob(*)",
    ]


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3", "model.width=8"],
        ["model=cnn", "optimiser=adam", "optimiser.learning_rate=1e-2", "seed=1"],
        ["+dataset/wrapper=label_noise", "dataset.wrapper.label_noise.fraction=0.5"],
        ["probe=[sharpness]", "~probe.sharpness.picture", "+probe.sharpness.start=5it"],
        ["experiment=edge_of_stability", "optimiser.learning_rate=0.2", "recipe.steps=${seed}"],
        ["++checkpoint.keep=log", "trusted_packages=[a,b]", "dataset.test_fraction=0.5"],
    ],
    ids=" ".join,
)
def test_a_config_made_from_a_shared_one_is_the_one_that_hydra_composes(overrides):
    with initialize_config_dir(str(configs_directory().resolve()), version_base="1.3"):
        expected = hydra_compose("config", overrides)
    shared, first, again = compose_each([["seed=9", *overrides], overrides, overrides])
    assert OmegaConf.to_yaml(first) == OmegaConf.to_yaml(again) == OmegaConf.to_yaml(expected)
    assert shared.seed == (9 if not any(o.startswith("seed=") for o in overrides) else expected.seed)


@pytest.mark.parametrize("text", ["model=glob(*)", "optimiser.learning_rate=glob(*)"])
def test_a_glob_is_refused(text):
    with pytest.raises(ConfigError, match=r"glob can't be used here; allowed: the values by name"):
        sweep_jobs(["seed=0,1", text])
