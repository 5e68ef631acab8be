"""What a launcher runs in its worker processes: a job, or the jobs of one population. Failures are results too."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from atml_exp.errors import SAID, ConfigError
from atml_exp.launchers.devices import own_device
from atml_exp.runner import RunResult, run
from atml_exp.runs import Run
from atml_exp.search_path import add_working_directory
from atml_exp.store.identity import run_id
from atml_exp.store.ledger import Later, look_up
from atml_exp.summary import print_summary
from atml_exp.terminal import printing

__all__ = ["GroupTask", "outcome", "reason_of", "run_in_sweep"]


def run_in_sweep(config: DictConfig) -> RunResult:
    """One job of a sweep. One that fails stops no other: it is said at once, and returned. Its report, seconds of
    work, is drawn when the run is asked for alone.
    """
    with printing():
        return _run_in_sweep(config)


def _run_in_sweep(config: DictConfig) -> RunResult:
    settings = HydraConfig.get()
    _enter(settings.runtime.cwd)
    try:
        (result,) = run([config], group=settings.sweep.dir, reports=False)
        print_summary([result])
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exception(error)
        result = outcome(config, reason_of(error))
        sys.stderr.write(f"atml-exp: failed: {' '.join(settings.overrides.task)}: {result.error}\n")
    return result


class GroupTask:
    """A task for Hydra's launchers: job k trains the k-th group as one population and returns its results.

    groups: YAML of the configs, as these travel between processes.
    """

    def __init__(
        self, groups: Sequence[Sequence[DictConfig]], *, retry_failed: bool, max_replicas: int | None
    ) -> None:
        self.groups = [[OmegaConf.to_yaml(config) for config in group] for group in groups]
        self.retry_failed, self.max_replicas = retry_failed, max_replicas

    def __call__(self, config: DictConfig) -> list[RunResult]:
        settings = HydraConfig.get()
        _enter(settings.runtime.cwd)
        configs = [DictConfig(OmegaConf.create(text)) for text in self.groups[settings.job.num]]
        with printing(), own_device(str(config.device)):
            return run(
                configs,
                group=str(Path(settings.sweep.dir)),
                keep_going=True,
                retry_failed=self.retry_failed,
                max_replicas=self.max_replicas,
                reports=False,
            )


def _enter(directory: str) -> None:
    """Relative paths, and code beside which the command was called, are found as in the main process."""
    if os.getcwd() != directory:
        os.chdir(directory)
    add_working_directory()


def reason_of(error: BaseException) -> str:
    """One line: what can be put right speaks for itself, the rest begins with its type."""
    lines = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return lines if isinstance(error, SAID) else f"{type(error).__name__}: {lines}"


def outcome(config: DictConfig, reason: str = "", *, reused: bool = False, later: Later | None = None) -> RunResult:
    """What the ledger says of a job: how its run ended, or that it failed for this reason where it has not.

    later: see `look_up`.
    """
    name = run_id(config)
    try:
        entry = look_up(config.output_dir, name, force=config.force, later=later)
    except ConfigError as error:
        return RunResult(name, Path(config.output_dir) / "runs" / name, "failed", False, {}, str(error))
    if entry.damage:
        reason = reason or f"{entry.directory} is damaged: {'; '.join(entry.damage)}"
        return RunResult(name, entry.directory, "failed", False, {}, reason)
    run = Run(entry.directory)
    if not entry.finished and not reused:
        return RunResult(name, entry.directory, "failed", False, {}, reason)
    return RunResult(name, entry.directory, run.status, reused, run.final, run.info.get("error", ""))
