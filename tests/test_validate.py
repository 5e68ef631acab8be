"""Every problem of a config, before anything is trained: key, value, what is allowed."""

import re
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from atml_exp.compose import compose
from atml_exp.data import Dataset, Split, compares_groups, suits
from atml_exp.errors import ConfigError
from atml_exp.job import build_job
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.probe import Probe
from atml_exp.validate import check_fit, validate

THEIRS = '''
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from atml_exp.fields import Fraction, PositiveInt, Schedule

@dataclass(frozen=True)
class Inner:
    depth: PositiveInt = 1

def net(
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    size: PositiveInt,
    share: Fraction | None = None,
    widths: tuple[PositiveInt, ...] = (),
    kind: Literal["a", "b", 3] = "a",
    when: Schedule = "end",
    name: str = "",
    flag: bool = False,
    inner: Inner = Inner(),
    part: Any = None,
):
    """A model's signature."""

def free(input_shape, num_outputs, **options):
    """Takes whatever comes."""

CONSTANT = 3
'''


@pytest.fixture(autouse=True)
def theirs(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(THEIRS)
    (tmp_path / "broken_theirs.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("theirs", None)


def problems(*overrides):
    """What validate says, without the heading; nothing where all is well."""
    try:
        validate(compose(overrides))
    except ConfigError as error:
        lines = str(error).splitlines()
        return lines if len(lines) == 1 else lines[1:]
    return []


def model(text, target="net"):
    """What validate says of a model with these options, written as YAML."""
    config = compose(["probe=[]", "trusted_packages=[theirs,broken_theirs]"])
    module = target if "." in target else f"theirs.{target}"
    config.model = OmegaConf.create(f"{{_target_: {module}, _partial_: true, {text}}}")
    try:
        validate(config)
    except ConfigError as error:
        return str(error)
    return ""


def test_the_default_config_is_valid():
    assert problems() == []


@pytest.mark.parametrize(
    "text",
    [
        "size: 1",
        "size: 8, share: 0",
        "size: 8, share: 1.0, widths: [1, 2]",
        "size: 8, share: null, kind: b, when: 2.5ep",
        "size: 8, kind: 3, name: 'x', flag: true, inner: {depth: 2}",
        "size: 8, part: {_target_: theirs.net, _partial_: true, size: 2}",
    ],
)
def test_values_of_the_annotated_types_are_accepted(text):
    assert model(text) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: 0", "model.size = 0: allowed: a whole number greater than 0"),
        ("size: 1.5", "model.size = 1.5: allowed: a whole number greater than 0"),
        ("size: '1'", "model.size = 1: allowed: a whole number greater than 0"),
        ("size: true", "model.size = true: allowed: a whole number greater than 0"),
        ("size: null", "model.size = null: allowed: a whole number greater than 0"),
        ("", "model.size: missing; allowed: a whole number greater than 0"),
        ("size: 1, share: 1.1", "model.share = 1.1: allowed: a number from 0 to 1, or null"),
        ("size: 1, share: half", "model.share = half: allowed: a number from 0 to 1, or null"),
        (
            "size: 1, widths: 3",
            "model.widths = 3: allowed: a list in which each item is a whole number greater than 0",
        ),
        (
            "size: 1, widths: [3, 0]",
            "model.widths = [3, 0]: allowed: a list in which each item is a whole number greater than 0",
        ),
        ("size: 1, kind: c", "model.kind = c: allowed: a, b or 3"),
        (
            "size: 1, when: 3epochs",
            "model.when = 3epochs: allowed: 100it (every 100 steps), 2ep (every 2 epochs), ",
        ),
        ("size: 1, name: 3", "model.name = 3: allowed: text"),
        ("size: 1, flag: 1", "model.flag = 1: allowed: true or false"),
        ("size: 1, inner: 3", "model.inner = 3: allowed: the keys depth"),
        ("size: 1, inner: {depth: 0}", "model.inner.depth = 0: allowed: a whole number greater than 0"),
        (
            "size: 1, inner: {dept: 1, depth: 1}",
            "model.inner has no key 'dept'; allowed: depth; did you mean depth?",
        ),
        ("size: 1, inner: {}", "model.inner.depth: missing; allowed: a whole number greater than 0"),
        ("size: 1, num_outputs: 3", "model.num_outputs = 3: net has no key 'num_outputs'; allowed: size, share"),
        ("size: 1, part: {_target_: theirs.nett}", "model.part._target_ = theirs.nett: theirs has no 'nett'"),
    ],
)
def test_other_values_are_refused_in_words(text, message):
    assert message in model(text)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("CONSTANT", "model._target_ = theirs.CONSTANT: is a int, not something that can be called"),
        ("not_there.net", "model._target_ = not_there.net: not in a trusted package"),
        (
            "broken_theirs.net",
            "model._target_ = broken_theirs.net: importing broken_theirs",
        ),
    ],
)
def test_a_target_that_is_none_is_refused(target, message):
    assert message in model("", target)


def test_a_target_that_takes_any_keyword_is_given_any():
    assert model("whatever: 3, other: [a]", "free") == ""


def test_a_node_called_too_early_is_told_how_to_wait():
    (first, _) = problems(
        "+probe.x={_target_: atml_exp.probe.Probe, fn: {_target_: atml_exp.probes.sharpness.sharpness}}"
    )
    assert first.startswith("probe.x.fn.model: missing")
    assert first.endswith("or _partial_: true where training gives it")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["checkpoint=3"], "checkpoint = 3: allowed: the keys keep, interval"),
        (["~checkpoint.keep"], "checkpoint.keep: missing; allowed: 100it"),
        (["checkpoint.interval=-1"], "checkpoint.interval = -1: allowed: a number at least 0"),
        (["trusted_packages=os"], "trusted_packages = os: allowed: a list in which each item is non-empty text"),
        (["output_dir="], "output_dir = : allowed: non-empty text"),
        (["~model"], "~model: there must be one; allowed: model=NAME, of cnn, "),
        (["probe.sharpness=3"], "probe.sharpness = 3: needs a _target_, the dotted path of a function or class"),
        (["probe.sharpness.fn=3"], "probe.sharpness.fn = 3: allowed: a node with _target_"),
        (["++probe.train=${probe.sharpness}"], "probe.train: the name is taken; allowed: any but train, test"),
        (
            ["probe.sharpness.picture=atml_exp.pictures.sharpnes.draw"],
            "probe.sharpness.picture = atml_exp.pictures.sharpnes.draw: atml_exp.pictures has no 'sharpnes'; "
            "did you mean sharpness?",
        ),
        (
            ["probe.sharpness.picture=os.path.join"],
            "probe.sharpness.picture = os.path.join: not in a trusted package",
        ),
        (
            ["~probe.trajectory"],
            "probe.fractal_dimension.reads = trajectory/weights: no probe 'trajectory' records it",
        ),
        (
            ["logger=[wandb]", "logger.wandb.mode=onlin"],
            "logger.wandb.mode = onlin: allowed: auto, online or offline",
        ),
        (["+optimiser/schedule=step", "optimiser.schedule.step.factr=1"], "did you mean factor?"),
        (["seed=???"], "seed: Missing mandatory value"),
    ],
)
def test_settings_probes_loggers_and_subgroups_are_checked(overrides, message):
    with pytest.raises(ConfigError) as error:
        validate(compose(overrides))
    assert message in str(error.value)


def test_all_problems_are_listed():
    assert [line.split(" ")[0] for line in problems("seed=-1", "model.width=0", "loss._target_=nope.x")] == [
        "seed",
        "model.width",
        "loss._target_",
        "probe.sharpness.fn.loss._target_",
    ]


def data(num_classes, count=10):
    y = torch.arange(count) % num_classes if num_classes else torch.zeros(count)
    split = Split(torch.zeros(count, 2), y)
    return Dataset("some", split, split, num_classes)


@suits("classification")
def for_classes(model, split):
    return {}


def probes(fn):
    return {"p": Probe(partial(fn, seed=0)), "q": Probe(lambda model, split: {})}


@pytest.mark.parametrize(
    ("num_classes", "loss"), [(3, cross_entropy), (2, partial(cross_entropy)), (2, logistic), (3, mse), (None, mse)]
)
def test_what_is_defined_for_the_task_fits(num_classes, loss):
    check_fit(data(num_classes), loss, {"q": Probe(lambda model, split: {})}, batch_size=10)


@pytest.mark.parametrize(
    ("num_classes", "loss", "message"),
    [
        (
            None,
            cross_entropy,
            "loss = cross_entropy: is for classification, but dataset = some is a regression task;",
        ),
        (None, partial(logistic), "loss = logistic: is for binary, but dataset = some is a regression task; "),
        (3, logistic, "with 3 classes; allowed: loss=cross_entropy, loss=mse"),
        (
            None,
            mse,
            "probe = p: is for classification, but dataset = some is a regression task; allowed: probe=[q]",
        ),
        (3, mse, "recipe.batch_size = 11: the training set has 10 examples; allowed: 1 to 10, or null for all"),
    ],
)
def test_what_is_not_defined_for_the_task_is_named_with_what_is(num_classes, loss, message):
    with pytest.raises(ConfigError) as error:
        check_fit(data(num_classes), loss, probes(for_classes), batch_size=11)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["recipe=lottery_ticket", "recipe.rewind_to=31it"],
            "recipe.rewind_to = 31it: allowed: at most recipe.steps",
        ),
        (["recipe=adversarial_initialisation", "recipe.pretrain=9ep"], "recipe.pretrain = 9ep: allowed: at most"),
        (
            ["recipe=iterative_pruning", "recipe.retrain=31it", "recipe.retraining=weight_rewinding"],
            "recipe.retrain = 31it: allowed: at most recipe.steps = 30it",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_stretch_longer_than_the_training_is_said_before_it(overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_job(compose(["device=cpu", "recipe.steps=30it", *overrides]))


def test_fine_tuning_may_be_longer_than_the_training():
    build_job(compose(["device=cpu", "recipe=iterative_pruning", "recipe.steps=30it", "recipe.retrain=31it"]))


@pytest.mark.parametrize(
    ("groups", "said"), [(None, "has no groups"), (torch.zeros(4, dtype=torch.int64), "has one group only")]
)
def test_a_probe_that_compares_groups_needs_two(groups, said):
    split = Split(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]), groups)
    probes = {"gaps": Probe(compares_groups(lambda model, data: {}))}
    with pytest.raises(ConfigError, match=f"probe = gaps: compares groups, and dataset = people {said}"):
        check_fit(Dataset("people", split, split, 2), cross_entropy, probes, None)
    two = replace(split, group=torch.tensor([0, 1, 0, 1]))
    check_fit(Dataset("people", two, two, 2), cross_entropy, probes, None)


GROUPS = ("dataset=binormal_groups", "model=linear", "probe=[]")
NUMBERS = ("dataset=diabetes", "model=linear", "loss=mse", "probe=[]")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["recipe.label_noise=2"],
            "recipe.label_noise = 2: is a probability where labels are classes; allowed: 0 to 1",
        ),
        (
            ["recipe.batch_size=null", "recipe.replacement=true"],
            "recipe.replacement = true: needs mini-batches; allowed: false, or a number as recipe.batch_size",
        ),
        (
            [*GROUPS, "recipe.label_noise=0.1", "+dataset/wrapper=reweighing"],
            "recipe.label_noise = 0.1: labels can't be changed where examples have weights, or the loss groups; "
            "allowed: 0",
        ),
        (
            [*GROUPS, "loss=group_penalty", "recipe=adversarial_initialisation", "recipe.pretrain=1"],
            "recipe.pretrain = 1: labels can't be changed where examples have weights, or the loss groups; "
            "allowed: 0",
        ),
        (
            ["dataset=two_moons", "model=k_nearest_neighbours", "probe=[]"],
            "recipe.steps = 60ep: the model has nothing to train; allowed: 0, or recipe=memorise",
        ),
    ],
)
def test_what_only_a_mini_batch_would_refuse_is_refused_before_training(overrides, message):
    with pytest.raises(ConfigError) as error:
        build_job(compose(["device=cpu", *overrides]))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "overrides",
    [
        ["recipe.label_noise=1"],
        [*NUMBERS, "recipe.label_noise=2"],
        ["recipe.replacement=true"],
        [*GROUPS, "loss=group_penalty", "recipe=adversarial_initialisation", "recipe.pretrain=0ep"],
        ["dataset=two_moons", "model=k_nearest_neighbours", "recipe=memorise", "probe=[]"],
        ["dataset=two_moons", "model=k_nearest_neighbours", "recipe.steps=0", "probe=[]"],
    ],
)
def test_what_a_mini_batch_takes_is_not_refused(overrides):
    build_job(compose(["device=cpu", *overrides]))


def test_noise_needs_two_classes_among_the_training_labels():
    split = Split(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    recipe = {"_target_": "atml_exp.recipes.train.train", "label_noise": 0.1, "batch_size": 2, "steps": 1}
    with pytest.raises(ConfigError, match=r"label_noise = 0\.1: all training labels are of one class; allowed: 0"):
        check_fit(Dataset("one", split, split, 2), cross_entropy, {}, 2, recipe)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", ".hidden", "-x", "a\\b", "a:b"])
@pytest.mark.parametrize("group", ["probe", "logger"])
def test_a_name_that_would_be_no_file_is_refused(group, name):
    config = compose(["probe=[sharpness]"])
    OmegaConf.set_struct(config, False)
    config[group] = {name: config.probe.sharpness}
    with pytest.raises(ConfigError) as error:
        validate(config)
    assert f"{group}: the name {name!r}; allowed: letters, digits, _ and -, which doesn't come first" in str(
        error.value
    )


def test_ordinary_names_of_probes_pass():
    config = compose(["probe=[sharpness]"])
    OmegaConf.set_struct(config, False)
    config.probe = dict.fromkeys(("sharpness-2", "schärfe", "_x", "2nd"), config.probe.sharpness)
    validate(config)
