"""Random arguments of the commands beside `atml-exp`: a result, or a message and code 2; never a traceback."""

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from atml_exp import export_cli, figure_cli, probe_cli
from atml_exp.compose import compose
from atml_exp.runner import run

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
