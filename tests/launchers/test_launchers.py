"""Hydra's launchers, each really run: they leave the runs of jobs run one by one, and say who failed or died."""

import re
import shutil
import subprocess

import pytest

from atml_exp.launchers import plugins
from tests.launchers.cluster_page import of_page


def slurm_is_up() -> bool:
    if shutil.which("sbatch") is None:
        return False
    try:
        return subprocess.run(["sinfo"], capture_output=True, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


SLURM = pytest.mark.skipif(not slurm_is_up(), reason="needs a Slurm cluster; `scripts/slurm start` makes one")
OTHERS = ("joblib", "submitit_local", "submitit_slurm")
JOBS = [command for name in OTHERS for command in of_page(name)]
POPULATIONS = [command for name in OTHERS for command in of_page("fused", over=name)]


def each(commands: list[tuple[str, ...]]) -> pytest.MarkDecorator:
    """As parameter `launcher`, those with Slurm where it is."""
    return pytest.mark.parametrize(
        "launcher",
        [
            pytest.param(
                command, id=" ".join(command), marks=SLURM if "submitit_slurm" in " ".join(command) else ()
            )
            for command in commands
        ],
    )


@pytest.mark.slow
@each(JOBS)
def test_jobs_in_other_processes_leave_the_same_runs(
    launcher, atml, sweep, explosive, tmp_path, same_as_one_by_one
):
    jobs = (*sweep, *explosive[:-1], "seed=0")
    ended = atml(*jobs, *launcher)
    assert ended.returncode == 1, ended.stderr
    assert "sweep of 2 jobs: 1 complete, 1 failed" in ended.stdout
    assert ended.stdout.count("RuntimeError: boom") == 1
    assert "Traceback" not in ended.stderr
    same_as_one_by_one(tmp_path / "outputs", jobs)


@pytest.mark.slow
@each(POPULATIONS)
def test_populations_in_other_processes_leave_the_same_runs(
    launcher, atml, command, sweep, explosive, tmp_path, same_as_one_by_one
):
    ended = atml(*sweep, *explosive, *launcher)
    assert ended.returncode == 1, ended.stderr
    assert "sweep of 4 jobs: 2 complete, 2 failed" in ended.stdout
    assert ended.stdout.count("  failed, 2 jobs: RuntimeError: boom\n") == 1
    same_as_one_by_one(tmp_path / "outputs", (*sweep, *explosive))
    again = command("--multirun", *sweep, *explosive, *launcher)
    assert "sweep of 4 jobs: 2 failed, 2 reused" in again.out
    assert "population=" not in again.out  # nothing was sent out


@pytest.mark.slow
def test_the_death_of_a_worker_is_said_and_the_same_command_finishes_the_rest(
    atml, command, sweep, deadly, tmp_path, same_as_one_by_one
):
    """joblib gives up all workers where one dies."""
    (over_joblib,) = of_page("fused", over="joblib")
    ended = atml(*sweep, *deadly, *over_joblib)
    assert ended.returncode == 1
    assert re.search(r"^  failed(, \d+ jobs)?: ", ended.stdout, re.MULTILINE)
    assert "TerminatedWorkerError: A worker process managed by the executor was unexpectedly" in ended.stdout
    assert "Traceback" not in ended.stderr
    again = command("--multirun", *sweep, *deadly, "hydra/launcher=fused")
    assert (again.code, "failed" in again.out) == (0, False)
    same_as_one_by_one(tmp_path / "outputs", (*sweep, *deadly))


def test_options_of_the_other_launcher_are_checked(command, sweep):
    fused = ("--multirun", *sweep, "seed=0,1", "hydra/launcher=fused")
    message = command(*fused, "hydra.launcher.over=jobli").message
    assert "hydra.launcher.over = jobli: no such launcher; allowed: joblib, ray, submitit_local" in message
    assert "did you mean joblib?" in message
    message = command(*fused, "hydra.launcher.over=joblib", "+hydra.launcher.over_options.njobs=2").message
    assert "hydra.launcher.over_options = {'njobs': 2}: Key 'njobs' not in 'JobLibLauncherConf'" in message


@pytest.mark.parametrize(
    ("choice", "extra"),
    [
        ("hydra/launcher=joblib", "joblib"),
        ("hydra/launcher=submitit_slurm", "submitit"),
        ("hydra.launcher.over=ray", "ray"),
        ("hydra/sweeper=optuna", "optuna"),
    ],
)
def test_a_plugin_that_is_not_installed_is_one_message(command, monkeypatch, choice, extra):
    monkeypatch.setattr(plugins, "_is_installed", lambda package: False)
    message = command("--multirun", choice).message
    assert message.endswith(f"is not installed; to have it: pip install 'atml_exp[{extra}]'\n")


def test_what_is_installed_is_told_from_what_is_not():
    assert plugins._is_installed("hydra_joblib_launcher")
    assert not plugins._is_installed("hydra_no_such_launcher")
