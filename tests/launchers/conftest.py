"""A tiny sweep, of which some jobs fail or kill their process, and the command in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from atml_exp.compose import compose, sweep_jobs
from atml_exp.runner import run
from atml_exp.runs import Run, find_runs

Finished = subprocess.CompletedProcess[str]
Comparison = Callable[..., None]

OPTIMISERS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from atml_exp.optimisers.sgd import SGD

@dataclass(frozen=True)
class Explosive(SGD):
    explode: bool = False

    def update(self, w, state, gradient, *, step, learning_rate):
        if self.explode and step == 7:
            raise RuntimeError("boom")
        return super().update(w, state, gradient, step=step, learning_rate=learning_rate)

@dataclass(frozen=True)
class Deadly(SGD):
    deadly: bool = False

    def update(self, w, state, gradient, *, step, learning_rate):
        if self.deadly and step == 7 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update(w, state, gradient, step=step, learning_rate=learning_rate)
"""


@pytest.fixture
def sweep() -> tuple[str, ...]:
    """What all jobs have in common."""
    return (
        "dataset=gaussian_mixture",
        "model.width=4",
        "recipe.steps=12",
        "recipe.batch_size=16",
        "recipe.evaluate_every=5it",
        "probe=[]",
        "dtype=float64",
        "progress=false",
        "device=cpu",
    )


@pytest.fixture
def optimisers(tmp_path: Path, hydra_state: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user's module beside which the command is called."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "user_optimisers.py").write_text(OPTIMISERS)
    yield
    sys.modules.pop("user_optimisers", None)


def _overrides(name: str, option: str) -> tuple[str, ...]:
    return (
        "optimiser=sgd",
        f"optimiser._target_=user_optimisers.{name}",
        f"+optimiser.{option}=false,true",
        "trusted_packages=[user_optimisers]",
        "seed=0,1",
    )


@pytest.fixture
def explosive(optimisers: None) -> tuple[str, ...]:
    """Overrides for four jobs, of which two fail while they train."""
    return _overrides("Explosive", "explode")


@pytest.fixture
def deadly(optimisers: None) -> tuple[str, ...]:
    """Overrides for four jobs, of which the first of two kills its process, the first time that it is run."""
    return (*_overrides("Deadly", "deadly"), "checkpoint.interval=0")


@pytest.fixture
def start(tmp_path: Path, hydra_state: None) -> Callable[..., "subprocess.Popen[str]"]:
    """`start("seed=1")` starts `atml-exp --multirun seed=1` in a process group of its own."""
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    own = {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": cache}
    return lambda *arguments: subprocess.Popen(
        [sys.executable, "-m", "atml_exp", "--multirun", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **own},
    )


@pytest.fixture
def atml(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., Finished]:
    """The same, and waits for its end."""

    def finished(*arguments: str) -> Finished:
        process = start(*arguments)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return Finished(arguments, process.returncode, out, err)

    return finished


@pytest.fixture
def same_as_one_by_one(tmp_path: Path) -> Comparison:
    """Whether a folder of runs holds what the jobs leave that are run one by one in this process."""
    return partial(_compare, tmp_path / "one_by_one")


def _compare(reference: Path, folder: Path, *sweeps: tuple[str, ...]) -> None:
    for sweep in sweeps:
        for job in sweep_jobs([*sweep, f"output_dir={reference}"]):
            run([compose(job)], keep_going=True, reports=False)
    expected, found = _table(reference), _table(folder)
    assert len(expected) > 1
    assert {name: r.status for name, r in found.items()} == {name: r.status for name, r in expected.items()}
    for name, run_ in expected.items():
        assert found[name].metrics["name"].tolist() == run_.metrics["name"].tolist()
        np.testing.assert_allclose(found[name].metrics["value"], run_.metrics["value"], rtol=1e-9, atol=1e-14)


def _table(folder: Path) -> dict[str, Run]:
    return {run.id: run for run in find_runs(folder)}
