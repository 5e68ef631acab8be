"""Every command by its entry: pipes that end, full disks, ASCII terminals, a working directory that is gone."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from atml_exp.commands.entry import enter

ROOT = Path(__file__).parents[2]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
SMALL = ("dataset=two_moons", "dataset.num_train=12", "dataset.num_test=8", "model.width=4", "recipe.steps=2")
RUN = (*SMALL, "recipe.batch_size=4", "probe=[]", "progress=false", "device=cpu")
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}


def started(name: str, arguments: Sequence[str], **options: object) -> "subprocess.CompletedProcess[str]":
    """A command of ours in a process of its own, as its console script starts it."""
    module = SCRIPTS[name].partition(":")[0]
    given = {"stderr": subprocess.PIPE, "text": True, "timeout": 120} | options
    return subprocess.run([sys.executable, "-m", module, *arguments], **given)


def closed_pipe() -> int:
    """The end to write to of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_reads_in_an_ascii_terminal(name: str, tmp_path: Path) -> None:
    options = {"cwd": tmp_path, "env": os.environ | ASCII, "stdout": subprocess.PIPE}
    done = started(name, ["--help"], **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "examples:" in done.stdout


def test_a_letter_that_a_terminal_lacks_is_written_by_its_number(tmp_path: Path) -> None:
    options = {"cwd": tmp_path, "env": os.environ | ASCII, "stdout": subprocess.PIPE}
    done = started("atml-exp", ["--describe", *RUN], **options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Loss \\u2113" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [(), ("--multirun", "seed=0,1"), ("-m", "seed=0,1", "hydra/launcher=joblib")])
def test_a_run_ends_well_in_an_ascii_terminal(sweep: Sequence[str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    folder = f"output_dir='{tmp_path / 'Läufe'}'"  # which a summary names
    options = {"cwd": tmp_path, "env": os.environ | ASCII | {"PYTHONUTF8": "1"}, "stdout": subprocess.PIPE}
    done = started("atml-exp", [*RUN, *sweep, folder], **options)
    assert (done.returncode, "failed" in done.stderr) == (0, False)
    assert "L\\xe4ufe" in done.stdout


SAYING = {
    "atml-exp": ("--cfg", "all"),
    "atml-exp-doctor": ("--help",),
    "atml-exp-export": ("--help",),
    "atml-exp-list": ("probes",),
    "atml-exp-new": ("my_project",),
    "atml-exp-probe": ("--help",),
    "atml-figures": ("list",),
}
"""What makes each of them print something."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_who_closes_the_pipe_has_seen_enough(name: str, tmp_path: Path) -> None:
    pipe = closed_pipe()
    done = started(name, SAYING[name], cwd=tmp_path, stdout=pipe)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_full_disk_is_one_message_and_1(name: str, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = started(name, SAYING[name], cwd=tmp_path, stdout=full)
    message = f"{name}: what was to be printed can't be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, message)


@pytest.mark.parametrize("sweep", [(), ("--multirun", "seed=0,1")])
def test_training_outlives_what_it_prints_to(sweep: Sequence[str], tmp_path: Path) -> None:
    """Neither its results nor its code are those of a failure; nor is there anything to say of it."""
    pipe = closed_pipe()
    done = started("atml-exp", [*RUN, *sweep], cwd=tmp_path, stdout=pipe, stderr=pipe)
    os.close(pipe)
    assert done.returncode == 0
    infos = list((tmp_path / "outputs" / "runs").glob("*/run.json"))
    assert len(infos) == max(1, len(sweep))
    assert all('"status": "complete"' in info.read_text(encoding="utf-8") for info in infos)


@pytest.mark.parametrize("streams", [(1,), (2,), (1, 2)])
def test_streams_may_be_closed_before_it_begins(streams: Sequence[int], tmp_path: Path) -> None:
    closing = " ".join(f"{stream}>&-" for stream in streams)
    words = [sys.executable, "-m", "atml_exp", "list", "probes"]
    line = ["/bin/sh", "-c", f'exec "$@" {closing}', "sh", *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_working_directory_that_is_gone_is_one_message(name: str, tmp_path: Path) -> None:
    module = SCRIPTS[name].partition(":")[0]
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'rmdir "{gone}" && exec "{sys.executable}" -c "import sys, {module} as m; sys.exit(m.main([]))"'
    done = subprocess.run(["/bin/sh", "-c", line], cwd=gone, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{name}: the working directory can't be had: ")
    assert done.stderr.count("\n") == 1


def test_a_library_that_finds_no_memory_is_one_message(tmp_path: Path) -> None:
    """As in a session of a cluster that limits the address space."""
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch: failed to map segment from shared object')")
    line = "from atml_exp.cli import main; raise SystemExit(main(['seed=1']))"
    done = subprocess.run([sys.executable, "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("atml-exp: a library can't be loaded: libtorch: failed to map")
    assert done.stderr.count("\n") == 1


def test_streams_that_somebody_else_has_put_in_place_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    code = enter("atml-exp", lambda: print("σ") or int((sys.stdout, sys.stderr) != before))
    assert (code, capsys.readouterr().out) == (0, "σ\n")
    assert (sys.stdout, sys.stderr) == before


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("atml-exp", ["--config-dir=LONG"]),
        ("atml-exp", ["--config-name=LONG"]),
        ("atml-exp-doctor", ["--output-dir=LONG"]),
        ("atml-exp-export", ["LONG", "a.pt"]),
        ("atml-exp-list", ["--config-dir=LONG"]),
        ("atml-exp-new", ["my_project", "--directory=LONG"]),
        ("atml-exp-probe", ["LONG"]),
        ("atml-figures", ["gallery", "--output-dir=LONG"]),
    ],
)
def test_a_file_name_that_cannot_be_is_one_message(name: str, arguments: Sequence[str], tmp_path: Path) -> None:
    words = [word.replace("LONG", "x" * 300) for word in arguments]
    done = started(name, words, cwd=tmp_path, stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: ")
    assert "File name too long" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_names_no_file_is_not_hidden() -> None:
    def fails() -> int:
        raise TimeoutError("a server")

    with pytest.raises(TimeoutError):
        enter("atml-exp", fails)
