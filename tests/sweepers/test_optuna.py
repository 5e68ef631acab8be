"""Optuna really searches, goes on after a kill, and isn't stopped by what diverges; corners are checked before."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from atml_exp.runs import Run, find_runs
from atml_exp.sweepers.corners import corner_jobs
from tests.launchers.cluster_page import of_page, search

SEARCH = (
    "--multirun",
    "dataset=gaussian_mixture",
    "model.width=4",
    "recipe.steps=12",
    "recipe.batch_size=16",
    "recipe.evaluate_every=end",
    "probe=[]",
    "progress=false",
    "device=cpu",
    *search(),
)
FUSED = (*of_page("fused")[0], "hydra.sweeper.n_jobs=3")


def learning_rates(folder: Path) -> dict[float, Run]:
    return {run.config["optimiser"]["learning_rate"]: run for run in find_runs(folder / "outputs")}


def test_the_best_of_n_trials_is_found_and_more_can_be_asked_for(command, tmp_path):
    first = command(*SEARCH, *FUSED, "hydra.sweeper.n_trials=3")
    assert first.code == 0, first.err
    assert "3 trials, 3 complete" in first.out
    runs = learning_rates(tmp_path)
    assert len(runs) == 3
    assert all(0.001 <= rate <= 1 for rate in runs)
    (saved,) = tmp_path.glob("outputs/sweeps/*/*/optimization_results.yaml")
    best = OmegaConf.load(saved)
    assert best.best_value == min(run.final["test/error"] for run in runs.values())
    assert runs[best.best_params["optimiser.learning_rate"]].final["test/error"] == best.best_value
    again = command(*SEARCH, *FUSED, "hydra.sweeper.n_trials=4")
    assert "sweep of 1 jobs: 1 complete" in again.out
    assert "4 trials, 4 complete" in again.out
    nothing = command(*SEARCH, *FUSED, "hydra.sweeper.n_trials=4")
    assert (nothing.code, "sweep of" in nothing.out) == (0, False)


def test_one_at_a_time_each_knows_of_those_before(command, tmp_path):
    ended = command(*SEARCH, "hydra.sweeper.n_trials=2", "hydra.sweeper.direction=maximize", "seed=choice(0,1)")
    assert ended.code == 0, ended.err
    best = max(run.final["test/error"] for run in learning_rates(tmp_path).values())
    assert f"best: {best}" in ended.out


def test_a_grid_is_searched_once(command, tmp_path):
    grid = (*SEARCH[:-1], "hydra/sweeper/sampler=grid", "optimiser.learning_rate=0.01,0.1", *FUSED)
    assert "2 trials, 2 complete" in command(*grid).out
    assert "sweep of" not in command(*grid).out
    assert learning_rates(tmp_path).keys() == {0.01, 0.1}


def test_what_diverges_is_not_the_best_and_stops_nothing(command, tmp_path):
    explosive = ("loss=mse", "optimiser=sgd", "recipe.steps=90", "optimiser.learning_rate=choice(0.01,1e9)")
    ended = command(*SEARCH[:-1], *explosive, "hydra/sweeper/sampler=grid", *FUSED)
    assert ended.code == 0, ended.err
    assert "2 trials, 1 complete" in ended.out
    assert "sweep of 2 jobs: 1 complete, 1 diverged" in ended.out
    assert "at optimiser.learning_rate=0.01" in ended.out


def test_a_study_in_which_all_diverges_says_so(command):
    explosive = ("loss=mse", "optimiser=sgd", "recipe.steps=90", "optimiser.learning_rate=interval(1e8,1e9)")
    ended = command(*SEARCH[:-1], *explosive, *FUSED, "hydra.sweeper.n_trials=2")
    assert ended.code == 0, ended.err
    assert "2 trials, 0 complete" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(("number", "options"), [(3, ()), (5, FUSED)], ids=["basic", "fused"])
def test_after_a_kill_the_same_command_performs_what_is_left(number, options, command, tmp_path):
    search = (
        *SEARCH,
        *options,
        f"hydra.sweeper.n_trials={number}",
        "recipe.steps=1000",
        "checkpoint.interval=0.05",
    )
    kill_in_mid_study(search, tmp_path)
    begun = learning_rates(tmp_path).keys()
    before = complete(tmp_path)
    assert 0 < before < number
    ended = command(*search)
    assert ended.code == 0, ended.err
    assert f"{number} trials, {number} complete" in ended.out
    runs = learning_rates(tmp_path)
    assert begun <= runs.keys()
    assert len(runs) == complete(tmp_path) == number  # what was cut off has ended with its own values
    performed = int(re.search(r"sweep of (\d+) jobs", ended.out)[1])
    assert performed <= number - before + (3 if options else 1)


def kill_in_mid_study(search, folder):
    """Stops it where a run has ended and another is going on."""
    command, own = [sys.executable, "-m", "atml_exp", *search], {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=own) as process:
        began = time.monotonic()
        while not (complete(folder) and cut_off(folder)) and time.monotonic() - began < 60:
            time.sleep(0.01)
        process.kill()


def complete(folder: Path) -> int:
    outputs = folder / "outputs"
    return sum(run.status == "complete" for run in find_runs(outputs)) if outputs.is_dir() else 0


def cut_off(folder: Path) -> list[Path]:
    return list(folder.glob("outputs/runs/*/checkpoints/resume.safetensors"))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("objective=null",), "objective = null: hydra/sweeper=optuna searches by a number"),
        (("objective=test/eror",), "objective = test/eror: no such metric; allowed: train/loss, "),
        (("objective=test/eror",), "did you mean test/error?"),
        (("model.widht=interval(1,4)",), "did you mean width?"),
        (("model.width=int(interval(0,4))",), "model.width = 0: "),
        (("model.activation=choice(relu,rellu)",), "model.activation = rellu: "),
    ],
)
def test_what_cannot_be_searched_is_one_message_and_leaves_nothing_behind(command, tmp_path, overrides, words):
    assert words in command(*SEARCH, *overrides).message
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_only_the_runs_lack_is_named(command):
    ended = command(*SEARCH, "probe=[sharpness]", "objective=sharpness/topp", "hydra.sweeper.n_trials=1")
    assert ended.code == 2
    assert "objective = sharpness/topp: no such metric; allowed: " in ended.err
    assert "did you mean sharpness/top?" in ended.err
    assert "Traceback" not in ended.err


def test_an_interval_needs_a_search(command):
    message = command("--multirun", "seed=interval(0,9)").message
    assert "seed=interval(0,9): an interval; allowed: values, 1,2,3, or hydra/sweeper=optuna" in message


def test_corners_are_few():
    jobs = corner_jobs(["model.width=range(4,9,2)", "optimiser.learning_rate=interval(0.1,1)", "seed=1"])
    assert jobs == [
        ["model.width=4", "optimiser.learning_rate=0.1", "seed=1"],
        ["model.width=6", "optimiser.learning_rate=0.1", "seed=1"],
        ["model.width=8", "optimiser.learning_rate=0.1", "seed=1"],
        ["model.width=4", "optimiser.learning_rate=1.0", "seed=1"],
    ]
