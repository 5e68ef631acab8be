"""`hydra/launcher=fused`: the jobs of a sweep train as populations, and leave the directories of single runs."""

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from atml_exp.errors import ConfigError

if TYPE_CHECKING:
    from atml_exp.runner import RunResult

__all__ = ["FusedLauncher"]


class FusedLauncher(Launcher):
    """Composes and validates all jobs, skips those that the ledger has, and trains the rest in groups that stack.

    retry_failed: train again what failed before. max_replicas: models in one population; None: from their size.
    over: another launcher of Hydra's, `joblib` for instance, that runs one job for each population; None: all are
    trained here, one after the other. over_options: in place of that launcher's own.
    A job that fails stops no other.
    """

    def __init__(
        self,
        retry_failed: bool = False,
        max_replicas: int | None = None,
        over: str | None = None,
        over_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.retry_failed, self.max_replicas = retry_failed, max_replicas
        self.over, self.over_options = over, over_options or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what `launch` needs; and spares the sweeper its own check, that composes each job anew at 70 ms:
        all jobs are composed and validated in `launch`, before any is trained.
        """
        self.config, self.context = config, hydra_context
        hydra_context.config_loader.load_sweep_config = _unchanged  # type: ignore[method-assign]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """A return for each job, in order; its value is the job's RunResult."""
        from atml_exp.compose import compose_in_application
        from atml_exp.validate import validate

        setup_globals()
        jobs = [list(overrides) for overrides in job_overrides]
        configs = compose_in_application(jobs, self.config.hydra.job.config_name)
        sound: set[str] = set()
        for config in configs:
            validate(config, sound)
        results = self._train_here(configs) if self.over is None else self._send_out(configs, self.over)
        return [_job_return(o, r) for o, r in zip(jobs, results, strict=True)]

    def _train_here(self, configs: Sequence[DictConfig]) -> "list[RunResult]":
        from atml_exp.runner import run

        return run(
            configs,
            group=str(Path(self.config.hydra.sweep.dir)),
            keep_going=True,
            retry_failed=self.retry_failed,
            max_replicas=self.max_replicas,
            reports=False,
        )

    def _send_out(self, configs: Sequence[DictConfig], over: str) -> "list[RunResult]":
        """Each population to a worker of another launcher. What a killed one leaves is asked for in the ledger."""
        from atml_exp.launchers.worker import outcome
        from atml_exp.runner import groups_to_train
        from atml_exp.store.identity import run_id
        from atml_exp.store.ledger import later_attempts

        limits = {"retry_failed": self.retry_failed, "max_replicas": self.max_replicas}
        groups = groups_to_train(configs, **limits)  # type: ignore[arg-type]
        fresh = self._results_of(groups, over) if groups else {}
        names = [run_id(config) for config in configs]
        listed = cache(later_attempts)
        return [
            fresh.get(n) or outcome(c, reused=True, later=listed(c.output_dir))
            for n, c in zip(names, configs, strict=True)
        ]

    def _results_of(self, groups: list[list[DictConfig]], over: str) -> "dict[str, RunResult]":
        from atml_exp.launchers.worker import GroupTask, outcome, reason_of

        task = GroupTask(groups, retry_failed=self.retry_failed, max_replicas=self.max_replicas)
        launcher = self._launcher(over, task)
        labels = [[f"population={k}", f"models={len(group)}"] for k, group in enumerate(groups)]
        try:
            returns: list[Any] = [r._return_value for r in launcher.launch(labels, initial_job_idx=0)]
        except Exception as error:
            returns = [error] * len(groups)
        results = [
            [outcome(config, reason_of(said)) for config in group] if isinstance(said, Exception) else said
            for group, said in zip(groups, returns, strict=True)
        ]
        return {result.id: result for group in results for result in group}

    def _launcher(self, over: str, task: TaskFunction) -> Launcher:
        """The named launcher as Hydra makes it, with a task of ours."""
        config = copy.deepcopy(self.config)
        with open_dict(config):
            config.hydra.launcher = _options(over, self.over_options)
        context = HydraContext(config_loader=_Loader(), callbacks=self.context.callbacks)  # type: ignore[arg-type]
        return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)


class _Loader:
    """In place of Hydra's: a population has its configs, so that none is composed for it."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Its own copy, since launchers write the job's number into it."""
        return copy.deepcopy(master_config)


def _options(over: str, options: Mapping[str, Any]) -> DictConfig:
    from atml_exp.compose import choices_of, read_choice
    from atml_exp.schema import nearest

    choices = [name for name in choices_of("hydra/launcher") if name not in ("fused", "basic", "ray_aws")]
    if over not in choices:
        raise ConfigError(
            f"hydra.launcher.over = {over}: no such launcher; allowed: {', '.join(choices)}{nearest(over, choices)}"
        )
    try:
        return OmegaConf.merge(read_choice("hydra/launcher", over), options)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"hydra.launcher.over_options = {dict(options)}: {first}") from error


def _unchanged(master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
    """In place of Hydra's load_sweep_config."""
    return master_config


def _job_return(overrides: Sequence[str], result: "RunResult") -> JobReturn:
    returned = JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
    returned.return_value = result
    return returned
