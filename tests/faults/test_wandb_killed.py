"""wandb's own process is killed in the middle of a run: it is said, training goes on, and the record is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atml_exp.runs import find_runs

COMMAND = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.steps=24", "recipe.batch_size=16", "progress=false",
    "recipe.evaluate_every=1it", "probe=[]", "device=cpu", "logger=[wandb]", "logger.wandb.mode=offline",
    "logger.wandb.timeout=5",
)  # fmt: skip

KILLED_AT_STEP_8 = """
import signal, sys
import psutil
from atml_exp import cli
from atml_exp.observer import Observer

tick = Observer.tick

def ticked(self, population):
    if population.step == 8:
        services = [p for p in psutil.Process().children(recursive=True) if "wandb" in " ".join(p.cmdline())]
        for process in services:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(services)
        print("killed", len(services))
    tick(self, population)

Observer.tick = ticked
sys.exit(cli.main())
"""


def test_training_goes_on_and_the_record_is_whole(tmp_path):
    pytest.importorskip("wandb")
    pytest.importorskip("psutil", reason="finds wandb's process")
    (tmp_path / "killed.py").write_text(KILLED_AT_STEP_8)
    own = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    ended = subprocess.run(
        [sys.executable, tmp_path / "killed.py", *COMMAND],
        cwd=tmp_path,
        env={**own, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert "killed 1\n" in ended.stdout
    assert ended.stdout.count("WandbLogger is switched off for the rest of this run: its log() raised") == 1
    assert "Training goes on, and the run directory has everything." in ended.stdout
    (run,) = find_runs(tmp_path / "outputs")
    assert run.status == "complete"
    assert run.series("train/loss")[0].tolist() == list(range(25))
