"""Random command lines, valid and broken: each ends in a valid run or in one clear message."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from atml_exp import compose as composing
from atml_exp import runner
from atml_exp.errors import SAID
from atml_exp.job import build_job
from atml_exp.launchers.objective import check_objective
from atml_exp.search_path import configs_directory
from atml_exp.settings import GROUPS, LISTS
from atml_exp.validate import validate
from tests.conftest import Ended

STORED = {"mnist", "fashion_mnist", "cifar10", "cifar100", "adult", "compas", "german_credit", "mnist1d"}
"""Datasets of files that are downloaded: these configs are validated, and not built."""
TINY = ["dataset=two_moons", "dataset.num_train=12", "dataset.num_test=8", "model.width=4", "recipe.steps=2"]
VALUES = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "0.1",
        "1.5",
        "-0.5",
        "1e-3",
        "1e308",
        "1e309",
        "-1e-320",
        "nan",
        "inf",
        "-inf",
        "-0",
    ),
    *(
        "true",
        "false",
        "null",
        "",
        "''",
        '""',
        "abc",
        "relu",
        "tanh",
        "mlp",
        "2ep",
        "3it",
        "-3it",
        "log",
        "end",
        "0ep",
    ),
    *(
        "[]",
        "[1]",
        "[1,2]",
        "[0.5,0.1]",
        "[[1],[2]]",
        "[null]",
        "{}",
        "{a:1}",
        "{a:{b:1}}",
        "{_target_:torch.nn.ReLU}",
    ),
    *(
        "[a,b]",
        "1,2",
        "a,b,a",
        "range(3)",
        "choice(1,2)",
        "interval(0,1)",
        "shuffle(1,2)",
        "glob(*)",
        "range(1,3",
        "9" * 30,
    ),
    *(
        "${seed}",
        "${model}",
        "${nowhere}",
        "${oc.env:HOME}",
        "${oc.env:NOWHERE}",
        "${now:%Y}",
        "${",
        "${}",
        "${a.b.c}",
    ),
    *(
        "${model.width}",
        "${..seed}",
        "${oc.select:seed}",
        "${oc.eval:1+1}",
        "${hydra:job.name}",
        "${.x}",
        "$5",
        "\\${seed}",
    ),
    *(
        "größe",
        "模型",
        "🙂",
        "\u202e",
        "a b",
        "a\tb",
        "a\nb",
        "'a",
        '"a',
        "[1",
        "1]",
        "{a:",
        "a}",
        "(",
        ")",
        "a=b",
        "a:b",
    ),
    *(
        "???",
        "~",
        "~null",
        "*",
        "..",
        "../..",
        "/",
        "/etc/passwd",
        "C:\\x",
        "\\",
        "%",
        "x" * 3000,
        "[" * 60,
        "1" + "0" * 400,
    ),
    *(
        "0x10",
        "1_000",
        "1e3",
        "+3",
        "--3",
        "01",
        "1.",
        ".5",
        "yes",
        "no",
        "on",
        "True",
        "None",
        "<b>",
        "&amp;",
        "@",
        "!x",
    ),
)
TARGETS = (
    *(
        "os.system",
        "builtins.eval",
        "torch.nn.Linear",
        "torch.nn.ReLU",
        "atml_exp",
        "atml_exp.models",
        "torch.nn.Linaer",
    ),
    *(
        "atml_exp.models.mlp.mlp",
        "atml_exp.losses.mse.mse",
        "atml_exp.build.hydra.utils.call",
        "",
        ".",
        "..",
        "a..b",
    ),
    *(
        "torch.load",
        "atml_exp.models.mlp.",
        ".atml_exp",
        "atml_exp.seeds.derive",
        "1",
        "[]",
        "null",
        "torch.optim.SGD",
        "ä.ö",
    ),
)


@cache
def choices() -> dict[str, list[str]]:
    """The choices of each config group."""
    root = configs_directory()
    folders = [p for p in sorted(root.rglob("*")) if p.is_dir()]
    return {
        f.relative_to(root).as_posix(): sorted(p.stem for p in f.glob("*.yaml"))
        for f in folders
        if list(f.glob("*.yaml")) and not f.is_relative_to(root / "figure")
    }


@cache
def keys() -> list[str]:
    """Every key of every choice, and of the top level."""
    found = dict.fromkeys(_paths(OmegaConf.load(configs_directory() / "config.yaml")))
    for group, names in choices().items():
        for name in names:
            node = OmegaConf.load(configs_directory() / group / f"{name}.yaml")
            place = group.replace("/", ".") + (f".{name}" if group.split("/")[-1] not in GROUPS else "")
            found |= dict.fromkeys(f"{place}.{key}" for key in _paths(node))
    return [key for key in found if not key.startswith(("hydra.", "experiment.", "defaults"))]


def _paths(node: Any) -> Iterator[str]:
    for key in node:
        yield str(key)
        if OmegaConf.is_dict(node) and OmegaConf.is_dict(child := node._get_node(key)) and not child._is_none():
            yield from (f"{key}.{rest}" for rest in _paths(child))


@st.composite
def misspelt(draw: Any, word: str) -> str:
    """A letter lost, doubled or replaced; cut short; in capitals."""
    at = draw(st.integers(0, max(len(word) - 1, 0)))
    letter = draw(st.sampled_from("xe_-./ ä0=:"))
    ways = (word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :])
    return draw(st.sampled_from((*ways, word[:at], word.upper(), word + "s")))


def _sometimes_misspelt(word: str) -> st.SearchStrategy[str]:
    return st.one_of(st.just(word), st.just(word), st.just(word), misspelt(word))


def prefixes() -> st.SearchStrategy[str]:
    return st.sampled_from(("",) * 8 + ("+", "++", "~", "+ ", "~+", "+++"))


def group_overrides() -> st.SearchStrategy[str]:
    """`probe=[a,b]`, `+dataset/wrapper=x`, `model=cnn`."""

    def one(group: str) -> st.SearchStrategy[str]:
        name = st.sampled_from(choices()[group]).flatmap(_sometimes_misspelt)
        listed = st.lists(name, max_size=3).map(lambda names: f"[{','.join(names)}]")
        several = st.lists(name, min_size=2, max_size=3).map(",".join)
        value = st.one_of(name, name, listed, listed if group in LISTS or "/" in group else name, several)
        return st.tuples(prefixes(), _sometimes_misspelt(group), value).map(lambda t: f"{t[0]}{t[1]}={t[2]}")

    return st.sampled_from(sorted(choices())).flatmap(one)


def value_overrides() -> st.SearchStrategy[str]:
    """`model.width=4`, `+probe.sharpness.every=1ep`, `dataset.noise=abc`."""
    key = st.sampled_from(keys()).flatmap(_sometimes_misspelt)
    value = st.one_of(st.sampled_from(VALUES), st.sampled_from(VALUES), st.text(max_size=12))
    return st.tuples(prefixes(), key, value).map(lambda t: f"{t[0]}{t[1]}={t[2]}")


def target_overrides() -> st.SearchStrategy[str]:
    key = st.sampled_from(
        [k for k in keys() if k.endswith("_target_")] + ["model.picture", "probe.sharpness.picture"]
    )
    return st.tuples(prefixes(), key, st.sampled_from(TARGETS)).map(lambda t: f"{t[0]}{t[1]}={t[2]}")


def removals() -> st.SearchStrategy[str]:
    return st.sampled_from([*keys(), *choices()]).map(lambda key: f"~{key}")


def hydras() -> st.SearchStrategy[str]:
    """Hydra's own keys, without those that a directory would be written for."""
    groups = ("hydra/launcher", "hydra/sweeper", "hydra/job_logging", "hydra/callbacks", "hydra/help")
    plain = (
        "hydra.job.name",
        "hydra.verbose",
        "hydra.searchpath",
        "hydra.mode",
        "hydra.callbacks",
        "hydra.x",
        "hydra",
    )
    key = st.sampled_from((*groups, *plain, "hydra.launcher._target_"))
    value = st.one_of(
        st.sampled_from(("fused", "basic", "joblib", "default", "RUN", "[]", "{}")), st.sampled_from(VALUES)
    )
    return st.tuples(prefixes(), key, value).map(lambda t: f"{t[0]}{t[1]}={t[2]}")


def garbage() -> st.SearchStrategy[str]:
    return st.one_of(
        st.text(max_size=30), st.text("=+~[]{}(),.:/\\'\"${}@#! ab1é", max_size=30), st.sampled_from(VALUES)
    )


SMALL = (
    ["dataset=two_moons", "dataset.num_train=12", "dataset.num_test=8"],
    ["dataset=gaussian_mixture", "dataset.examples_per_class=6"],
    ["dataset=concentric_circles", "dataset.num_train=12", "dataset.num_test=8"],
    ["dataset=noisy_function", "dataset.num_train=12", "dataset.num_test=8", "loss=mse"],
    ["dataset=linear_regression", "dataset.num_train=12", "dataset.num_test=8", "loss=mse"],
    ["dataset=wine"],
)
"""Datasets that are made at once."""


BODY = ["recipe.steps=2", "recipe.batch_size=4"]
POOL = (
    *([*data, *BODY, "model.width=4", "probe=[]"] for data in SMALL[:5]),
    [*SMALL[0], *BODY, "model=linear", "probe=[sharpness]", "dataset/wrapper=[label_noise]"],
    [*SMALL[1], *BODY, "model.width=4", "optimiser=adam", "probe=[margins,norms]"],
    [*SMALL[2], *BODY, "model=random_features", "probe=[]", "optimiser=sgd", "optimiser/schedule=[cosine]"],
    [*SMALL[0], *BODY, "model.width=4", "loss=logistic", "optimiser=sam", "probe=[]"],
    [*SMALL[4], *BODY, "model=linear", "optimiser=svrg", "probe=[gradient_noise]"],
    [*SMALL[1], "recipe=memorise", "model.width=4", "probe=[]"],
)
"""Runs whose choices fit each other."""


def _some(group: str, most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices()[group]), max_size=most, unique=True)


@st.composite
def runs(draw: Any) -> list[str]:
    """A tiny run of random choices, which fit each other or don't."""
    line = [*draw(st.sampled_from(SMALL)), "recipe.steps=2", "recipe.batch_size=4"]
    for group in ("loss", "optimiser", "model"):
        if draw(st.integers(0, 3)) == 0:
            line = [
                *(o for o in line if not o.startswith(f"{group}=")),
                f"{group}={draw(st.sampled_from(choices()[group]))}",
            ]
    line += ["model.width=4"] if not any(o.startswith("model=") for o in line) else []
    for group, most in (("probe", 2), ("dataset/wrapper", 2), ("optimiser/schedule", 1)):
        names = draw(st.one_of(st.just([]), _some(group, most)))
        line += [f"{group}=[{','.join(names)}]"] if names or group == "probe" else []
        line += [
            f"probe.{name}.every={draw(st.sampled_from(('end', '1it', 'log')))}"
            for name in names
            if group == "probe"
        ]
    return line


@cache
def numbers() -> dict[str, Any]:
    """Each key with its value, of choices that a run may make, where it is a number or a word."""
    found = {}
    for group, names in choices().items():
        for name in names:
            node = OmegaConf.to_container(OmegaConf.load(configs_directory() / group / f"{name}.yaml"))
            place = group.replace("/", ".") + (f".{name}" if group.split("/")[-1] not in GROUPS else "")
            found |= {
                f"{place}.{k}": v for k, v in node.items() if isinstance(v, int | float | str) and k[0] != "_"
            }
    return found


@st.composite
def plausible(draw: Any) -> str:
    """An override of a key by a value of its kind."""
    key = draw(
        st.sampled_from([*numbers(), "seed", "dtype", "model.width", "model.depth", "optimiser.learning_rate"])
    )
    value = numbers().get(key, 1)
    if isinstance(value, bool):
        return f"{key}={draw(st.sampled_from(('true', 'false')))}"
    if isinstance(value, str):
        return f"{key}={draw(st.sampled_from((value, *WORDS)))}"
    return f"{key}={draw(st.sampled_from(NUMBERS))}"


NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "5",
    "-1",
    "0.1",
    "0.5",
    "0.999",
    "1e-9",
    "1e9",
    "1e308",
    "nan",
    "inf",
    "null",
    "2.0",
    "1.5",
)
WORDS = (
    "float64",
    "relu",
    "tanh",
    "none",
    "batch",
    "layer",
    "he",
    "zeros",
    "train",
    "test",
    "1it",
    "2ep",
    "log",
    "end",
    "-1it",
)


def lines(pooled: bool = True) -> st.SearchStrategy[list[str]]:
    """A command line: that of a tiny run, or none, with a few overrides that are plausible or broken.

    pooled: most runs make one of a few choices, of which each is then composed once.
    """
    broken = st.one_of(
        group_overrides(),
        group_overrides(),
        value_overrides(),
        value_overrides(),
        target_overrides(),
        removals(),
        hydras(),
        garbage(),
    )
    several = st.lists(broken, max_size=3)
    few = st.one_of(st.just([]), st.just([]), st.lists(broken, min_size=1, max_size=1))
    made = (
        st.one_of(st.sampled_from(POOL), st.sampled_from(POOL), st.sampled_from(POOL), runs()) if pooled else runs()
    )
    of_run = st.tuples(made, st.lists(plausible(), max_size=2), few).map(lambda t: [*t[0], *t[1], *t[2]])
    fitting = made.flatmap(_with_own_values)
    return st.one_of(
        of_run, fitting, fitting, st.tuples(st.sampled_from(([], TINY)), several).map(lambda t: [*t[0], *t[1]])
    )


def _with_own_values(line: list[str]) -> st.SearchStrategy[list[str]]:
    """Values for keys that the run's own choices have."""
    own = [key for key in numbers() if any(_is_of(key, override) for override in line)]
    if not own:
        return st.just(line)
    one = st.sampled_from(own).flatmap(
        lambda key: st.sampled_from((*NUMBERS, *WORDS, *VALUES[:60])).map(lambda v: f"{key}={v}")
    )
    return st.lists(one, max_size=2).map(lambda more: [*line, *more])


def _is_of(key: str, override: str) -> bool:
    group, _, value = override.partition("=")
    if "." in group:
        return False
    names = value.strip("[]").split(",")
    place = group.replace("/", ".")
    if group in GROUPS:
        return (
            key.startswith(f"{place}.")
            and key.count(".") == 1
            and (group, key.partition(".")[2]) in _options(group, value)
        )
    return any(key.startswith(f"{place}.{name}.") for name in names)


@cache
def _options(group: str, choice: str) -> set[tuple[str, str]]:
    return {(group, str(k)) for k in OmegaConf.load(configs_directory() / group / f"{choice}.yaml")}


class Composer:
    """What `atml-exp` does before a job trains, with one search for configs for all command lines."""

    def __init__(self) -> None:
        self.find = cache(lambda *search: composing._choices("config", search))
        self.chosen = cache(lambda *overrides: composing._compose(list(overrides), "config", self.find))
        self.datasets: dict[str, Any] = {}

    def __call__(self, line: list[str]) -> DictConfig | str:
        """The config of a job that can run, or the message that refuses it."""
        try:
            if composing.swept(line):
                return "names several values"
            config = composing._with_values(line, "config", self.find, self.chosen)
            validate(config)
            check_objective(config)
            config.device = "cpu"
            if config.dataset._target_.rpartition(".")[2] not in STORED:
                build_job(config, self.datasets)
        except SAID as error:
            return str(error)
        return config


@pytest.fixture
def composer() -> Iterator["Composer"]:
    """For one test: a command sets Hydra's global state up for itself."""
    with composing._hydra(None, ()):
        yield Composer()


RANDOM = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


@settings(RANDOM, max_examples=1100)
@given(line=lines())
def test_a_command_line_is_a_valid_run_or_refused_with_a_message(composer: "Composer", line: list[str]) -> None:
    found = composer(line)
    if isinstance(found, str):
        assert found.strip()
        assert "Traceback" not in found
    else:
        assert OmegaConf.to_container(found, resolve=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trained")


@settings(RANDOM, max_examples=150)
@given(line=st.sampled_from(POOL).flatmap(_with_own_values))
def test_a_valid_run_ends_complete_or_diverged_or_failed_with_a_reason(
    composer: "Composer", folder: Path, line: list[str]
) -> None:
    found = composer(line)
    if isinstance(found, str):
        return
    found.output_dir, found.progress = str(folder), False
    (result,) = runner.run([found], keep_going=True, reports=False)
    assert result.status in ("complete", "diverged") or (result.status == "failed" and result.error)
    assert "Traceback" not in result.error


EXTRA = (["--multirun"], ["--multirun", "hydra/launcher=fused"], ["--describe"], ["--cfg", "job"], [], [], [], [])


@settings(RANDOM, max_examples=40)
@given(line=lines(), extra=st.sampled_from(EXTRA))
def test_a_command_ends_with_its_code_and_without_a_traceback(
    command: Callable[..., Ended], tmp_path: Path, line: list[str], extra: list[str]
) -> None:
    for made in tmp_path.iterdir():
        shutil.rmtree(made)
    ended = command(*extra, "progress=false", "device=cpu", "recipe.steps=2", *line)
    assert ended.code in (0, 1, 2)
    assert "Traceback" not in ended.err
    if ended.code == 2:
        assert ended.err.startswith(("atml-exp: ", "usage: "))
        assert not (tmp_path / "outputs").exists()
    if ended.code == 1:
        assert ended.err.strip() or "failed" in ended.out
