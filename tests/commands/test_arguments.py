"""Options in any order, in every command line that is written down; random arguments of the commands beside
`atml-exp`: a result, or a message and code 2; never a traceback.
"""

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.utils import get_args_parser
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atml_exp import cli
from atml_exp.commands import export_cli, figure_cli, probe_cli
from atml_exp.commands.subcommands import SUBCOMMANDS
from atml_exp.compose import compose
from atml_exp.overrides import parse
from atml_exp.runner import run

ROOT = Path(__file__).parents[2]


def parsed(line: str) -> Any:
    """What a command makes of its words; of `atml-exp`, what Hydra makes of those that it is handed."""
    program, *words = shlex.split(line)
    name = {"./scripts/run": "exp", "./scripts/figures": "figures"}.get(program, program)
    name = name.removeprefix("atml-").removeprefix("exp-")
    if name == "exp" and words[:1] and words[0] in SUBCOMMANDS:
        name, *words = words
    if name != "exp":
        return import_module(SUBCOMMANDS[name])._parser().parse_args(words)
    arguments = cli._parser().parse_intermixed_args(words)
    read = get_args_parser().parse_args(cli._hydras(arguments))
    assert vars(read) | {"describe": arguments.describe} == vars(arguments)
    parse(read.overrides)
    return arguments


def written_down() -> list[str]:
    """Every command line of ours in the README, the headers of configs, and pages: in blocks, and within lines."""
    pages = [ROOT / "README.md", *(ROOT / "scripts" / "documentation").glob("*.md")]
    texts = [path.read_text(encoding="utf-8").replace("\\\n", "") for path in pages]
    programs = r"(?:atml-(?:exp|figures)[a-z-]*|\./scripts/(?:run|figures))"
    found = [re.findall(rf"^ *({programs} [^#\n]*)|`({programs} [^`]+)`", text, re.MULTILINE) for text in texts]
    lines = [block or inline for matches in found for block, inline in matches]
    for path in (ROOT / "configs").rglob("*.yaml"):
        lines += re.findall(rf"^# command: *({programs}.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted({line.partition("&&")[0].strip() for line in lines})


def test_every_command_line_that_is_written_down_can_be_parsed() -> None:
    lines = [line for line in written_down() if "…" not in line]
    assert len(lines) > 100
    for line in lines:
        if "--help" not in line:
            parsed(line)


ANY_ORDER = {
    "atml-exp dataset=digits --multirun seed=0,1": {"multirun": True, "overrides": ["dataset=digits", "seed=0,1"]},
    "atml-exp model=mlp --describe seed=-1": {"describe": True, "overrides": ["model=mlp", "seed=-1"]},
    "atml-exp a=1 --config-dir X b=2": {"config_dir": "X", "overrides": ["a=1", "b=2"]},
    "atml-exp a=1 -cd X ~b -m +c=2": {"config_dir": "X", "multirun": True, "overrides": ["a=1", "~b", "+c=2"]},
    "atml-exp a=1 --config-dir=X -cn Y b=2": {"config_dir": "X", "config_name": "Y", "overrides": ["a=1", "b=2"]},
    "atml-exp a=1 -c job -- b=2": {"cfg": "job", "overrides": ["a=1", "b=2"]},
    "atml-exp -cd a=1 a=1": {"config_dir": "a=1", "overrides": ["a=1"]},
    "atml-exp-probe RUN --csv a.csv probe=norms": {"run": "RUN", "csv": "a.csv", "overrides": ["probe=norms"]},
    "atml-exp-probe --csv=a.csv RUN a=-1": {"run": "RUN", "csv": "a.csv", "overrides": ["a=-1"]},
    "atml-figures make NAME --output-dir X a=1": {"output_dir": "X", "words": ["NAME", "a=1"]},
    "atml-figures make --output-dir X NAME ~a": {"output_dir": "X", "words": ["NAME", "~a"]},
    "atml-figures list a --output-dir X b": {"output_dir": "X", "names": ["a", "b"]},
    "atml-exp-export RUN --step 3 a.pt": {"run": "RUN", "step": 3, "file": "a.pt"},
    "atml-exp-list models --search x probes": {"kinds": ["models", "probes"], "search": "x"},
    "atml-exp list models --config-dir X probes": {"kinds": ["models", "probes"], "config_dir": ["X"]},
}


@pytest.mark.parametrize("line", ANY_ORDER)
def test_options_come_in_any_order(line: str) -> None:
    assert vars(parsed(line)).items() >= ANY_ORDER[line].items()


@pytest.mark.parametrize("line", ["--multirun --cfg job", "--resolve a=1", "a=1 --experimental-rerun x"])
def test_options_that_cannot_be_together_are_one_message(line: str, command: Callable[..., Any]) -> None:
    assert (
        f"atml-exp: {'--experimental-rerun' if 'rerun' in line else line.split()[0]}"
        in command(*line.split()).message
    )


def test_what_a_command_needs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("atml-exp-probe")
    assert capsys.readouterr().err.endswith("the following arguments are required: run\n")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder that even root can't write")
def test_a_model_that_cannot_be_written_is_one_message(export_command: Callable[..., Any], trained: Path) -> None:
    message = export_command(trained, "/proc/model.pt").message
    assert message.startswith("atml-exp-export: ")
    assert message.count("\n") == 1


def test_a_run_is_described_and_a_sweep_trained_with_the_option_in_the_middle(command, tmp_path) -> None:
    tiny = ("dataset=two_moons", "model.width=4", "recipe.steps=2", "probe=[]", "progress=false", "device=cpu")
    assert "mlp(depth=2, width=4" in command(*tiny, "--describe", "seed=1").out
    assert "sweep of 2 jobs: 2 complete" in command(*tiny, "--multirun", "seed=0,1").out


RANDOM = settings(
    max_examples=100,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
WORDS = (
    "",
    " ",
    "=",
    "[",
    "a=b",
    "--",
    "-x",
    "ü",
    "${oc.env:HOME}",
    "probe",
    "probe=",
    "/",
    "..",
    "nowhere",
    "~seed",
    "x" * 300,
)
OVERRIDES = (
    *(
        "probe=norms",
        "probe=[margins]",
        "probe=nroms",
        "probe=[norms",
        "+probe=norms",
        "probe=[]",
        "~probe",
        "device=cpu",
    ),
    *(
        "device=tpu",
        "probe.norms.every=1it",
        "probe.norms.x=1",
        "seed=3",
        "model.width=9",
        "probe.norms._target_=os.system",
    ),
    *(
        "hydra.searchpath=[pkg://os]",
        "trusted_packages=[os]",
        "probe=null",
        "probe=1,2",
        "device=null",
        "++probe.a.b=1",
    ),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's directory."""
    folder = tmp_path_factory.mktemp("arguments")
    tiny = ["dataset=two_moons", "dataset.num_train=12", "dataset.num_test=8", "model.width=4", "recipe.steps=2"]
    config = compose([*tiny, "recipe.batch_size=4", "probe=[norms]", f"output_dir={folder}", "progress=false"])
    return run([config], reports=False)[0].directory


def _ended(main: Callable[..., int], arguments: list[str]) -> None:
    """The command's code is that of a result or of a refusal with one message."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse's
            code = stop.code
    assert code in (0, 2), err.getvalue()
    assert "Traceback" not in err.getvalue()
    if code == 2:
        assert err.getvalue().startswith(("atml-", "usage: "))


def _arguments(*own: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.one_of(st.sampled_from(own), st.sampled_from(WORDS), st.text(max_size=6)), max_size=3)


@RANDOM
@given(rest=_arguments(*OVERRIDES), first=st.sampled_from(("RUN", "RUN", "RUN", "")))
def test_probe(hydra_state: None, trained: Path, rest: list[str], first: str) -> None:
    _ended(probe_cli.main, [str(trained) if first else "nowhere", *rest])


@RANDOM
@given(
    rest=_arguments("a.pt", "b.safetensors", "c.exe", "--step", "0", "2", "-1", "1e9", "--step=2", "no/where/a.pt")
)
def test_export(hydra_state: None, trained: Path, tmp_path: Path, rest: list[str]) -> None:
    for made in tmp_path.iterdir():
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    _ended(export_cli.main, [str(trained), *rest])


FIGURES = ("make", "list", "edge_of_stabilty", "scale=smok", "--output=x", "--scale=tiny", "model=mpl", "seed=a")


@RANDOM
@given(rest=_arguments(*FIGURES))
def test_figures(hydra_state: None, rest: list[str]) -> None:
    _ended(figure_cli.main, ["make", *[word for word in rest if word != "list"]])
