"""The contract tests that other packages can run find what they are there to find, and say it in a sentence."""

import importlib
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from atml_exp.commands.new_cli import new_project
from atml_exp.errors import ConfigError
from atml_exp.search_path import installed_packages
from atml_exp.testing import Contract, contract_tests, contracts


@pytest.fixture
def project(tmp_path, monkeypatch, request):
    """The folder of a new project, installed: on sys.path, with its entry point. Each has a name of its own."""
    name = f"lab_{zlib.crc32(request.node.name.encode())}"
    folder = new_project(name, tmp_path)
    information = tmp_path / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[atml_exp.configs]\n{name} = {name}\n")
    for place in (tmp_path, folder):
        monkeypatch.syspath_prepend(place)
    importlib.invalidate_caches()
    installed_packages.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield folder
    installed_packages.cache_clear()


def the(project, wanted, **options):
    """The contract of this id, ready to be called."""
    (contract,) = [c for c in contracts(project.name, **options) if c.id == wanted]
    return lambda: contract.check(project / "tests")


def edit(project, path, old, new):
    """Replaces text in a file of the package."""
    file = project / path.format(project.name)
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_each_yaml_has_its_contracts(project):
    assert [c.id for c in contracts(project.name)] == [
        *(f"dataset/two_spirals-{what}" for what in ("found", "options", "files", "runs", "contract")),
        *(f"experiment/balanced_layers-{what}" for what in ("found", "header", "runs")),
        *(f"figure/conservation_law-{what}" for what in ("found", "files", "header", "made")),
        *(f"probe/balance-{what}" for what in ("found", "files", "runs", "contract")),
    ]


PROBE, DATASET = "{0}/probes/balance.py", "{0}/datasets/two_spirals.py"
FIGURE, EXPERIMENT = "{0}/configs/figure/conservation_law.yaml", "{0}/configs/experiment/balanced_layers.yaml"
FIGURE_CODE = "{0}/figures/conservation_law.py"
DATA_YAML = "{0}/configs/dataset/two_spirals.yaml"

BREACHES = {
    "a probe that writes into the model": (
        *("probe/balance-contract", PROBE, "layers = [module", "model.zero_grad()\n    layers = [module"),
        "gradient",
    ),
    "a probe that raises": (
        *("probe/balance-runs", PROBE, "if len(layers) < 2", "if len(layers) < 9"),
        r"probes failed: .*a balance needs two",
    ),
    "labels that aren't classes": (
        *("dataset/two_spirals-contract", DATASET, "dtype=x.dtype), y)", "dtype=x.dtype), y + 1)"),
        r"the train split has labels outside 0 … 1",
    ),
    "data that the seed doesn't decide": (
        *("dataset/two_spirals-contract", DATASET, "stream(seed, f", "torch.default_generator; (f"),
        "train is another one when it is made again",
    ),
    "an option that isn't stated": (
        *("dataset/two_spirals-options", DATA_YAML, "num_train: 200\n", ""),
        r"two_spirals.yaml doesn't state num_train",
    ),
    "an option that there isn't": (
        *("dataset/two_spirals-options", DATA_YAML, "seed: 0", "seed: 0\nloops: 3"),
        r"two_spirals.yaml states loops, which .*two_spirals doesn't have",
    ),
    "another default": (
        *("dataset/two_spirals-options", DATA_YAML, "num_train: 200", "num_train: 300"),
        "num_train is 300, and 200 in the signature",
    ),
    "no duration": (
        *("experiment/balanced_layers-header", EXPERIMENT, "# duration: 4 s on two CPU cores\n", ""),
        "its header says duration: None; it must be like: 20 s on two CPU cores",
    ),
    "another command": (
        *("figure/conservation_law-header", FIGURE, "make conservation_law", "make a_law"),
        "its header says command: 'atml-figures make a_law'",
    ),
    "code of another name": (
        *("figure/conservation_law-files", FIGURE, ".figures.conservation_law", ".figures.law"),
        "code and YAML must have one name, conservation_law",
    ),
    "a figure without claims": (
        *(
            "figure/conservation_law-made",
            FIGURE_CODE,
            "    return [\n",
            "    return []\n    [\n",
        ),
        "the figure states no claim",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found_and_named(project, breach):
    contract, path, old, new, message = BREACHES[breach]
    edit(project, path, old, new)
    edit(project, FIGURE, "0it]", "it]")  # a tenth of the steps
    with pytest.raises((AssertionError, ConfigError), match=message):
        the(project, contract)()


def test_a_config_that_is_refused_fails_by_its_message_alone(monkeypatch, tmp_path):
    def refused(tests):
        raise ConfigError("model.width = 0: allowed: a whole number greater than 0")

    contract = Contract("model/net-runs", refused)
    monkeypatch.setattr("atml_exp.testing.contracts", lambda *args, **options: [contract])
    with pytest.raises(pytest.fail.Exception, match=r"^model\.width = 0: allowed") as error:
        contract_tests("theirs")(contract, tmp_path, monkeypatch, SimpleNamespace(path=tmp_path / "test_x.py"))
    assert not error.value.pytrace


def test_all_that_a_header_lacks_is_named_at_once(project):
    edit(project, EXPERIMENT, "# duration: 4 s on two CPU cores\n", "")
    edit(project, EXPERIMENT, "# paper:", "# article:")
    with pytest.raises(AssertionError, match=r"says paper: None; .*, and its header says duration: None; "):
        the(project, "experiment/balanced_layers-header")()


def test_a_test_that_is_missing_is_named(project):
    (project / "tests" / "test_balance.py").unlink()
    with pytest.raises(AssertionError, match=r"there is no test_balance\.py in tests"):
        the(project, "probe/balance-files")()


def test_a_name_that_is_taken_is_named(project):
    folder = project / project.name / "configs" / "probe"
    (folder / "balance.yaml").rename(folder / "sharpness.yaml")
    with pytest.raises(AssertionError, match=r"probe=sharpness is .*sharpness\.yaml, which comes first"):
        the(project, "probe/sharpness-found")()


def test_overrides_are_what_a_yaml_is_tried_out_with(project):
    wanted = {"probe/balance": ["model=linear"]}
    with pytest.raises(AssertionError, match="has 1 linear layers: a balance needs two"):
        the(project, "probe/balance-runs", overrides=wanted)()
    with pytest.raises(ConfigError, match=r"overrides of probe/balanse: .*did you mean probe/balance\?"):
        contracts(project.name, overrides={"probe/balanse": []})


def test_other_kinds_of_things_are_tried_out_too(project):
    """A model, a loss, an optimiser, a schedule and a recipe without steps: ours under another name."""
    for group, name, text in (
        ("model", "flat", "_target_: atml_exp.models.linear.linear\n_partial_: true\n"),
        ("loss", "squares", "_target_: atml_exp.losses.mse.mse\n_partial_: true\n"),
        ("optimiser", "plain", "_target_: atml_exp.optimisers.sgd.SGD\nlearning_rate: 0.1\nweight_decay: 0.0\n"),
        ("recipe", "once", "_target_: atml_exp.recipes.least_squares.least_squares\n_partial_: true\n"),
        ("optimiser/schedule", "slow", "slow:\n  _target_: atml_exp.optimisers.schedules.constant.constant\n"),
    ):
        file = project / project.name / "configs" / group / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + ("  _partial_: true\n" if "schedule" in group else ""), encoding="utf-8")
    for kept in ("model/flat-contract", "loss/squares-contract", "optimiser/plain-contract"):
        the(project, kept)()
    for runs in ("model/flat-runs", "loss/squares-runs", "optimiser/plain-runs", "optimiser/schedule/slow-runs"):
        the(project, runs)()
    linear = {"recipe/once": ["model=linear", "loss=mse"]}
    the(project, "recipe/once-runs", overrides=linear)()
    with pytest.raises(AssertionError, match=r"flat\.yaml doesn't state bias, initial_scale, initialisation"):
        the(project, "model/flat-options")()


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(ConfigError, match=r"contract_tests\('nobodys'\): not an installed package with an entry"):
        contract_tests("nobodys")


def test_a_package_without_yaml_is_named(project):
    for file in (project / project.name / "configs").rglob("*.yaml"):
        file.unlink()
    with pytest.raises(ConfigError, match="there is no YAML below"):
        contract_tests(project.name)


def test_it_makes_one_parametrised_test(project):
    (mark,) = contract_tests(project.name).pytestmark
    assert mark.name == "parametrize"
    assert [case.id for case in mark.args[1]] == [contract.id for contract in contracts(project.name)]


def test_without_pytest_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ConfigError, match="pytest isn't installed; pip install pytest"):
        contract_tests("anything")


def test_the_module_itself_does_without_pytest(tmp_path):
    import subprocess

    code = "import sys; sys.modules['pytest'] = None; from atml_exp.testing import check_probe, contracts"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_what_is_public_is_there():
    import atml_exp.testing

    assert {"check_probe", "check_dataset", "check_model", "check_figure"} <= set(atml_exp.testing.__all__)
    assert all(hasattr(atml_exp.testing, name) for name in atml_exp.testing.__all__)
    assert Path(atml_exp.testing.__file__).name == "testing.py"
