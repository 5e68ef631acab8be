"""A sweep that is killed twice, wherever it happens to be, ends as one that never was."""

import os
import random
import signal
import time

import pytest

from atml_exp.runs import find_runs

JOBS = ("seed=0,1", "recipe.steps=1500", "recipe.evaluate_every=500it", "checkpoint.interval=0.05")


def kill_in_mid_sweep(process, outputs, ended_before):
    """Kills it a random time after it has begun to train; returns how many runs have ended."""
    began = time.monotonic()
    while not (open_runs(outputs) or ended(outputs) > ended_before) and time.monotonic() - began < 60:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.4))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return ended(outputs)


def open_runs(outputs):
    return list(outputs.glob("runs/*/checkpoints/resume.safetensors"))


def ended(outputs):
    return sum(run.status == "complete" for run in find_runs(outputs)) if outputs.exists() else 0


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["fused"])
def test_a_sweep_killed_twice_ends_with_the_table_of_one_that_was_not(
    launcher, start, command, sweep, tmp_path, same_as_one_by_one
):
    sweep = tuple(o for o in sweep if not o.startswith(("recipe.steps", "recipe.evaluate")))
    jobs, outputs = (*sweep, *JOBS), tmp_path / "outputs"
    done = kill_in_mid_sweep(start(*jobs, f"hydra/launcher={launcher}"), outputs, 0)
    kill_in_mid_sweep(start(*jobs, f"hydra/launcher={launcher}"), outputs, done)
    last = command("--multirun", *jobs, f"hydra/launcher={launcher}")
    assert last.code == 0
    assert last.out.count("failed") == 0
    same_as_one_by_one(outputs, jobs)
