"""What becomes of a sweep's jobs, whichever launcher runs them, in whichever processes."""

import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from atml_exp.errors import SAID, ConfigError, exit_code

if TYPE_CHECKING:
    from atml_exp.runner import RunResult

__all__ = ["Sweep", "WatchedLauncher", "refuse", "refusing", "watched"]


@dataclass
class Sweep:
    """The jobs that have been launched, as overrides, with a result for each."""

    jobs: list[Sequence[str]] = field(default_factory=list)
    results: "list[RunResult]" = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(result.status == "failed" for result in self.results)

    def print(self) -> None:
        """The sweep's table, unless there was no sweep."""
        if self.results:
            from atml_exp.summary import print_sweep

            print_sweep(self.results, self.jobs)


@contextmanager
def watched() -> Iterator[Sweep]:
    """The sweep that Hydra makes within it, with the results of its jobs.

    Hydra hands these from the launcher to the sweeper and to nobody else, and workers share nothing with this
    process but what they return; so the launcher that Hydra makes for the sweeper is watched.
    """
    plugins, sweep = Plugins.instance(), Sweep()

    def instantiate(**given: Any) -> Launcher:
        del plugins.instantiate_launcher  # launchers send Hydra's state to workers
        return WatchedLauncher(plugins.instantiate_launcher(**given), given["config"], sweep)

    plugins.instantiate_launcher = instantiate  # type: ignore[method-assign, assignment]
    try:
        yield sweep
    finally:
        vars(plugins).pop("instantiate_launcher", None)


class WatchedLauncher(Launcher):
    """Another launcher, already set up, whose results are noted and given to the sweeper as plain numbers.

    A job whose worker ended without a result, killed for instance, is asked for in the ledger.
    """

    def __init__(self, launcher: Launcher, config: DictConfig, sweep: Sweep) -> None:
        self.launcher, self.config, self.sweep = launcher, config, sweep

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Sets the other launcher up anew."""
        self.config = config
        self.launcher.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """A return for each job, in order: the objective where one is asked for, else the job's result.

        A sweeper that wants a number takes no text for one: that is what a job without its objective returns.
        """
        jobs = [list(overrides) for overrides in job_overrides]
        with refusing(), _taking_back(Path(self.config.hydra.sweep.dir)):
            results = self._results(jobs, initial_job_idx)
            self.sweep.jobs += jobs
            self.sweep.results += results
            values = [self._value(result) for result in results]
        return [_job_return(*pair) for pair in zip(jobs, values, strict=True)]

    def _results(self, jobs: list[list[str]], initial_job_idx: int) -> "list[RunResult]":
        try:
            returns = self.launcher.launch(jobs, initial_job_idx)
        except SAID:
            raise
        except Exception as error:
            if os.environ.get("HYDRA_FULL_ERROR") == "1":
                traceback.print_exception(error)
            return self._looked_up(jobs, [error] * len(jobs))
        lost = [k for k, r in enumerate(returns) if r.status is not JobStatus.COMPLETED]
        found = self._looked_up([jobs[k] for k in lost], [returns[k]._return_value for k in lost])
        return [found[lost.index(k)] if k in lost else r.return_value for k, r in enumerate(returns)]

    def _looked_up(self, jobs: list[list[str]], errors: Sequence[BaseException]) -> "list[RunResult]":
        from atml_exp.compose import compose_in_application
        from atml_exp.launchers.worker import outcome, reason_of

        configs = compose_in_application(jobs, self.config.hydra.job.config_name)
        return [outcome(config, reason_of(error)) for config, error in zip(configs, errors, strict=True)]

    def _value(self, result: "RunResult") -> Any:
        name = self.config.get("objective")
        if name is None:
            return result
        if result.status == "complete":
            from atml_exp.launchers.objective import objective_of

            return objective_of(result, name)
        return f"{result.status}{': ' if result.error else ''}{result.error}"


@contextmanager
def _taking_back(folder: Path) -> Iterator[None]:
    """Within it, a config that can't run leaves nothing behind: Hydra has written down the sweep before it begins,
    in `<output_dir>/sweeps/<date>/<time>`.
    """
    try:
        yield
    except ConfigError:
        with suppress(OSError):  # a folder that holds something else stays
            (folder / "multirun.yaml").unlink(missing_ok=True)
            for made in (folder, *folder.parents[:3]):
                made.rmdir()
        raise


def _job_return(overrides: Sequence[str], value: Any) -> JobReturn:
    returned = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    returned.return_value = value
    return returned


def refuse(error: Exception) -> int:
    """Says what can't run, or go on, in one message; returns the exit code."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    text = str(error).replace("\n", "\n  ")
    sys.stderr.write(f"atml-exp: {text}\n")
    return exit_code(error)


@contextmanager
def refusing() -> Iterator[None]:
    """Within Hydra, which would show a traceback: what can't run ends the process with one message and its code."""
    try:
        yield
    except SAID as error:
        raise SystemExit(refuse(error)) from error
