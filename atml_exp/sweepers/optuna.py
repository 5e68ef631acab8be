"""`hydra/sweeper=optuna`: a search that is kept on disk and goes on where it was stopped."""

import logging
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from atml_exp.errors import ConfigError
from atml_exp.launchers.watch import refusing

__all__ = ["OptunaSweeper"]


class OptunaSweeper(Sweeper):
    """The sweeper of hydra-optuna-sweeper, with a study of ours. Optuna is imported when a sweep is set up.

    options: see configs/hydra/sweeper/optuna.yaml.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Ends with a message where nothing is said of what to search by."""
        with refusing():
            _check(config)
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each of its plugins
        from atml_exp.sweepers.study import StudySweeper

        self.study = StudySweeper(**self.options)
        self.study.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Performs what the study lacks."""
        with refusing():
            self.study.sweep(arguments)


def _check(config: DictConfig) -> None:
    if config.objective is None:
        raise ConfigError(
            "objective = null: hydra/sweeper=optuna searches by a number; "
            "allowed: the name of a metric, such as objective=test/error"
        )
