"""Contract tests for packages that add to atml_exp: the same that its own configs, and what they name, pass.

from atml_exp.testing import contract_tests

test_contract = contract_tests("my_project")
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from atml_exp.checks import check_dataset, check_figure, check_probe
from atml_exp.errors import ConfigError
from atml_exp.loss_checks import check_loss
from atml_exp.model_checks import check_model
from atml_exp.optimiser_checks import check_optimiser
from atml_exp.search_path import GROUP, installed_packages

__all__ = [
    "Contract",
    "check_dataset",
    "check_figure",
    "check_loss",
    "check_model",
    "check_optimiser",
    "check_probe",
    "contract_tests",
    "contracts",
]


@dataclass(frozen=True)
class Contract:
    """One thing that must hold of one YAML. id: as `probe/balance-runs`; check(tests): AssertionError where it
    doesn't hold, tests: the folder of the package's tests. Some checks write outputs/ where they are called.
    """

    id: str
    check: Callable[[Path], object]


def contract_tests(package: str, *, overrides: Mapping[str, Sequence[str]] | None = None) -> Callable[..., None]:
    """A parametrised test for pytest, a case for each `Contract` of each YAML below `<package>/configs`.

    Every file: its name is its own, the config composes, is valid and runs in two steps of training. Datasets,
    wrappers, models, losses, optimisers and schedules: the YAML states the signature's options, code and test have
    the file's name. Datasets, models, losses, optimisers, probes: `check_dataset`, `check_model`, …; figures: made
    at the smoke scale, and `check_figure`. Experiments and figures: a header with paper, command, expected number
    and duration. It stands in a file of the package's folder of tests.

    overrides: for YAMLs that need another config than the default one to be tried out, by group and name:
    `{"probe/margins": ["dataset=two_moons", "model=linear"]}`.

    ConfigError where the package isn't installed, has no YAML, or hasn't the one that `overrides` names; where
    pytest is missing.
    """
    pytest: Any = _pytest()
    cases = [pytest.param(contract, id=contract.id) for contract in contracts(package, overrides=overrides)]

    @pytest.mark.parametrize("contract", cases)
    def test_contract(contract: Contract, tmp_path: Path, monkeypatch: Any, request: Any) -> None:
        monkeypatch.chdir(tmp_path)
        try:
            contract.check(request.path.parent)
        except ConfigError as error:  # its message is all there is to know
            pytest.fail(str(error), pytrace=False)

    return test_contract


def contracts(package: str, *, overrides: Mapping[str, Sequence[str]] | None = None) -> list[Contract]:
    """What must hold of each YAML of a package, for other tools than pytest; see `contract_tests`."""
    folder = _configs(package)
    paths = {p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.yaml"))}
    if not paths:
        raise ConfigError(f"contract_tests({package!r}): there is no YAML below {folder}")
    own = dict(overrides or {})
    for name in own:
        if name not in paths:
            from atml_exp.schema import nearest

            raise ConfigError(
                f"overrides of {name}: {package} has no such YAML; allowed: {', '.join(paths)}"
                f"{nearest(name, list(paths))}"
            )
    return [c for name, path in paths.items() for c in _contracts(name, path, own.get(name, ()))]


def _configs(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations or package not in installed_packages():
        offered = ", ".join(installed_packages()) or "none"
        raise ConfigError(
            f"contract_tests({package!r}): not an installed package with an entry point of the group {GROUP}; "
            f"allowed: {offered}. After a change of pyproject.toml: pip install -e . again"
        )
    return Path(spec.submodule_search_locations[0]) / "configs"


def _contracts(name: str, path: Path, own: Sequence[str]) -> Iterator[Contract]:
    from atml_exp import contract as c

    group = name.rpartition("/")[0]
    if group.startswith("hydra"):
        return
    one: dict[str, Callable[[Path], object]] = {"found": lambda tests: c.check_found(group, path)}
    if group in STATED:
        one["options"] = lambda tests: c.check_options(path, group)
    if group in (*STATED, "probe", "recipe", "figure"):
        one["files"] = partial(c.check_files, path, group)
    if group in ("experiment", "figure"):
        one["header"] = lambda tests: c.check_header(path, group)
    if group == "figure":
        one["made"] = lambda tests: c.check_made(path.stem)
    else:
        one["runs"] = lambda tests: c.check_runs(tried_out(group, path.stem, own))
    if kept := _kept(group):
        one["contract"] = lambda tests: kept(tried_out(group, path.stem, own))
    yield from (Contract(f"{name}-{what}", check) for what, check in one.items())


STATED = ("dataset", "dataset/wrapper", "model", "loss", "optimiser", "optimiser/schedule")
"""Groups whose YAMLs state all options at their defaults; variants of probes and recipes change them."""


def _kept(group: str) -> Callable[[Sequence[str]], object] | None:
    """The contract of what a group's configs name."""
    from atml_exp import contract as c

    return {
        "dataset": c.check_dataset_of,
        "dataset/wrapper": c.check_dataset_of,
        "model": c.check_model_of,
        "loss": c.check_loss_of,
        "optimiser": c.check_optimiser_of,
        "probe": c.check_probes_of,
    }.get(group)


SMALL = ("device=cpu", "progress=false", "recipe.steps=2", "recipe.evaluate_every=end")
TINY_MLP = ("model=mlp", "model.width=4", "probe=[]")
POINTS = ("dataset=gaussian_mixture", "dataset.num_train=100", "dataset.num_test=20", *TINY_MLP)
LONG_ENOUGH = "recipe.steps=60"
"""For a fit of the fractal dimension, which needs some points."""

CASES: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "": lambda _: ("model.width=4", LONG_ENOUGH),
    "dataset": lambda name: (*TINY_MLP, "loss=mse", f"dataset={name}", "recipe.batch_size=8"),
    "dataset/wrapper": lambda name: (*TINY_MLP, f"+dataset/wrapper={name}"),
    "model": lambda name: (f"model={name}", "recipe.batch_size=8", "probe=[]"),
    "loss": lambda name: (*TINY_MLP, f"loss={name}", "dataset=two_moons"),
    "optimiser": lambda name: (*POINTS, f"optimiser={name}"),
    "optimiser/schedule": lambda name: (*POINTS, f"+optimiser/schedule={name}"),
    "probe": lambda name: (*POINTS, f"probe=[{name}]", LONG_ENOUGH),
    "recipe": lambda name: (*POINTS, f"recipe={name}"),
    "logger": lambda name: (*POINTS, f"logger=[{name}]"),
    "experiment": lambda name: (f"experiment={name}",),
}
"""How the files of each group are tried out."""


def tried_out(group: str, name: str, own: Sequence[str] = ()) -> list[str]:
    """The overrides of the smallest run that uses a YAML, with its own after them; see `overridden`.

    >>> tried_out("recipe", "train", ["dataset=two_moons"])[-3:]
    ['probe=[]', 'recipe=train', 'dataset=two_moons']
    >>> [line for line in tried_out("recipe", "memorise") if line.startswith("recipe")]  # it has no steps
    ['recipe=memorise']
    """
    from atml_exp.figure_spec import overridden

    of_group = CASES[group](name) if group in CASES else (*POINTS, f"+{group}={name}")
    return overridden(overridden(SMALL, of_group), own)


def _pytest() -> Any:
    """Asked for where tests are made only, since the package itself does without it."""
    try:
        import pytest
    except ModuleNotFoundError as error:
        raise ConfigError("contract_tests: pytest isn't installed; pip install pytest") from error
    return pytest
