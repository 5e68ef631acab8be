"""What lies where a file of a run should be and is none, a FIFO say, is damage; nobody waits for its writer."""

import os
import signal
import socket
from pathlib import Path

import pytest
import torch

from atml_exp.errors import DamagedRunError
from atml_exp.recorder import Checkpoint, RunWriter
from atml_exp.runs import Run
from atml_exp.store.damage import damage
from atml_exp.store.ledger import look_up
from atml_exp.store.quarantine import quarantine_damaged

RUN = "0123456789abcdef"
STEP = "checkpoints/step_00000004.safetensors"
FINISHED = ["run.json", "config.yaml", "metrics.parquet", "arrays/trajectory.weights.npz", STEP]
RESUME = "checkpoints/resume.safetensors"
CHUNK = "arrays/chunks/trajectory.weights/00000004.npz"
UNFINISHED = ["run.json", "config.yaml", "metrics.jsonl", RESUME, CHUNK, STEP, "ready.json", "metrics.parquet"]


def fifo(path):
    os.mkfifo(path)


def bound(path):
    """A socket, whose whole path must be short."""
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made_by:
        made_by.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def folder(path):
    path.mkdir()


def device(path):
    """/dev/zero never ends; a link to it stands for it, which anybody may make."""
    path.symlink_to("/dev/zero")


KINDS = [
    pytest.param(fifo, marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs")),
    pytest.param(bound, marks=pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")),
    folder,
    pytest.param(device, marks=pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no /dev/zero")),
]


@pytest.fixture(autouse=True)
def soon():
    """Each test ends within a minute, or fails."""

    def late(*_):
        raise TimeoutError("it waits for what nobody writes")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def made(tmp_path, ended):
    w = RunWriter(tmp_path / "runs" / RUN, {"run_id": RUN, "config": {"seed": 0}}, "seed: 0\n")
    for step in range(5):
        w.scalars(step, step / 10, {"train/loss": 1.0})
        w.arrays(step, {"trajectory/weights": torch.ones(2)})
    w.keep(4, {"w": torch.ones(3)})
    w.checkpoint(4, {"w": torch.ones(3)}, {})
    if ended:
        w.finish("complete", steps=4)
    w.close()
    return w.directory


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "ended"), [*((name, True) for name in FINISHED), *((name, False) for name in UNFINISHED)]
)
def test_it_is_named_and_its_run_goes_to_quarantine(tmp_path, name, ended, kind):
    directory = made(tmp_path, ended)
    (directory / name).unlink(missing_ok=True)
    kind(directory / name)
    assert damage(directory) == [f"{name}: is no plain file"]
    entry = look_up(tmp_path, RUN)
    assert not entry.finished
    with pytest.raises(DamagedRunError, match=f"{name}: is no plain file"):
        quarantine_damaged([entry])
    assert not directory.exists()
    assert not look_up(tmp_path, RUN).damage


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["config.yaml", "metrics.jsonl"])
def test_where_a_run_is_to_begin_it_is_named_too(tmp_path, name, kind):
    (tmp_path / RUN).mkdir()
    kind(tmp_path / RUN / name)
    with pytest.raises(DamagedRunError, match=f"{name} is damaged: it is no plain file"):
        RunWriter(tmp_path / RUN, {"run_id": RUN, "config": {"seed": 0}}, "seed: 0\n")


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_reads_is_told(tmp_path, kind):
    directory = made(tmp_path, ended=True)
    run = Run(directory)
    readers = {
        "metrics.parquet": lambda: run.metrics,
        "arrays/trajectory.weights.npz": lambda: run.array("trajectory/weights"),
        STEP: lambda: Checkpoint(directory / STEP),
        "run.json": lambda: Run(directory).info,
    }
    for name, read in readers.items():
        (directory / name).unlink()
        kind(directory / name)
        with pytest.raises(DamagedRunError, match="is no plain file"):
            read()


@pytest.mark.skipif(os.name == "nt", reason="needs the right to make links")
def test_a_link_to_a_file_is_as_good_as_the_file(tmp_path):
    directory = made(tmp_path, ended=True)
    for name in FINISHED:
        elsewhere = tmp_path / name.replace("/", "_")
        (directory / name).rename(elsewhere)
        (directory / name).symlink_to(elsewhere)
    assert damage(directory) == []
    assert look_up(tmp_path, RUN).finished
