"""`hydra/launcher=fused`: the jobs of a sweep train as populations, and leave the directories of single runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from atml_exp.errors import ConfigError

if TYPE_CHECKING:
    from atml_exp.runner import RunResult

__all__ = ["FusedLauncher", "register_launcher"]

NAME = "hydra_plugins.atml_exp.FusedLauncher"
"""Hydra takes launchers from below `hydra_plugins` only; registered under this name, ours needs no such package."""


class FusedLauncher(Launcher):
    """Composes and validates all jobs, skips those that the ledger has, and trains the rest in groups that stack.

    retry_failed: train again what failed before. max_replicas: models in one population; None: from their size.
    A job that fails stops no other; the launcher's exit code is then 1.
    """

    def __init__(self, retry_failed: bool = False, max_replicas: int | None = None) -> None:
        self.retry_failed, self.max_replicas = retry_failed, max_replicas

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what `launch` needs; and spares the sweeper its own check, that composes each job anew at 70 ms:
        all jobs are composed and validated in `launch`, before any is trained.
        """
        self.config = config
        hydra_context.config_loader.load_sweep_config = _unchanged  # type: ignore[method-assign]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """A result for each job, in order; its value is the run's final metrics."""
        setup_globals()
        jobs = [list(overrides) for overrides in job_overrides]
        try:
            results = self._run(jobs)
        except ConfigError as error:
            sys.stderr.write(f"atml-exp: {error}\n")
            raise SystemExit(2) from error
        return [_job_return(o, r) for o, r in zip(jobs, results, strict=True)]

    def _run(self, jobs: Sequence[Sequence[str]]) -> "list[RunResult]":
        from atml_exp.compose import compose_in_application
        from atml_exp.runner import run
        from atml_exp.summary import print_sweep
        from atml_exp.validate import validate

        configs = compose_in_application(jobs, self.config.hydra.job.config_name)
        for config in configs:
            validate(config)
        group = str(Path(self.config.hydra.sweep.dir))
        results = run(
            configs,
            group=group,
            keep_going=True,
            retry_failed=self.retry_failed,
            max_replicas=self.max_replicas,
            reports=False,
        )
        print_sweep(results, jobs)
        return results


def _unchanged(master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
    """In place of Hydra's load_sweep_config."""
    return master_config


def _job_return(overrides: Sequence[str], result: "RunResult") -> JobReturn:
    failed = result.status == "failed"
    returned = JobReturn(overrides=overrides, status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
    returned.return_value = SystemExit(1) if failed else dict(result.final)
    return returned


def register_launcher() -> None:
    """Tells Hydra, once a process."""
    classes: dict[str, Any] = Plugins.instance().class_name_to_class
    classes[NAME] = FusedLauncher
