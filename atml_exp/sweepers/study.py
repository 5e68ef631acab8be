"""A study of Optuna's that is kept in a folder. Importing this imports Optuna."""

import hashlib
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from atml_exp.errors import RunBusyError
from atml_exp.store.lock import Lock

with warnings.catch_warnings():  # Optuna 2.10 with SQLAlchemy 1.4
    warnings.filterwarnings("ignore", "Deprecated API features detected")
    import optuna
    from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl, create_params_from_overrides
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

__all__ = ["StudySweeper"]

CUT_OFF = "atml_exp:cut_off"
"""Marks a trial whose process was stopped: its values were tried again in another, and it doesn't count."""


class StudySweeper(OptunaSweeperImpl):
    """The plugin's sweeper, which performs n_trials at each call, made to perform what the study lacks of them.

    Trials that a stopped process left open are tried again with their values: their runs go on from where they were
    cut off. One process performs a study at a time; RunBusyError in another.
    """

    def __init__(self, sampler: Any, **options: Any) -> None:
        made = instantiate(sampler)
        super().__init__(_Grid(made.func) if isinstance(made, partial) else made, **options)

    def sweep(self, arguments: list[str]) -> None:
        """Performs the trials, and leaves the best in optimization_results.yaml in the sweep's folder."""
        assert self.config is not None  # set up
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        self.study_name = self.study_name or self._name(arguments)
        folder = Path(self.config.output_dir) / "studies" / self.study_name
        folder.mkdir(parents=True, exist_ok=True)
        self.storage = self.storage or f"sqlite:///{folder / 'study.db'}"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with _alone(folder), _quiet():
            study = self._study()
            _put_back(study, self._is_grid)
            self._go_on(study, arguments)
            _say(study)

    def _name(self, arguments: Sequence[str]) -> str:
        said = sorted([*self._parse_sweeper_params_config(), *arguments, *self._get_directions()])
        return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]

    def _study(self) -> Study:
        return optuna.create_study(
            study_name=self.study_name,
            storage=self.storage,
            directions=self._get_directions(),
            load_if_exists=True,
        )

    def _go_on(self, study: Study, arguments: list[str]) -> None:
        done = sum(map(_counts, study.get_trials(deepcopy=False)))
        self.n_trials = max(0, min(self.n_trials, self._grid_size(arguments) or self.n_trials) - done)
        if done and not self._is_grid:
            self.sampler.reseed_rng()  # a sampler with a seed would draw again what it drew at first
        if self.n_trials:
            self._perform(study, arguments)

    def _perform(self, study: Study, arguments: list[str]) -> None:
        try:
            super().sweep(arguments)
        except ValueError:  # the plugin asks for the best trial, whether there is one or not
            if _complete(study):
                raise

    @property
    def _is_grid(self) -> bool:
        return isinstance(self.sampler, partial)

    def _grid_size(self, arguments: list[str]) -> int:
        """How many different trials there are; 0 without a grid."""
        if not self._is_grid:
            return 0
        searched, _ = create_params_from_overrides([*self._parse_sweeper_params_config(), *arguments])
        return math.prod(map(self._number_of_choices, searched.values()))

    def _number_of_choices(self, distribution: BaseDistribution) -> int:
        return len(self._to_grid_sampler_choices(distribution))


def _complete(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _say(study: Study) -> None:
    """How far the study is, and its best trial, to standard output."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if _counts(trial)]
    print(f"study {study.study_name}: {len(trials)} trials, {len(_complete(study))} complete")
    if _complete(study):
        best = study.best_trial
        print("best: " + " ".join([str(best.value), "at", *(f"{k}={v}" for k, v in best.params.items())]))


class _Grid(partial):
    """The plugin gives the search space to a partial GridSampler."""

    def __call__(self, search_space: Any) -> optuna.samplers.GridSampler:
        return _WholeGrid(search_space)


class _WholeGrid(optuna.samplers.GridSampler):
    """The plugin counts the trials; that the grid ends the study is an error outside a loop of Optuna's own."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Ends nothing."""


def _counts(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and CUT_OFF not in trial.system_attrs


def _put_back(study: Study, grid: bool) -> None:
    """Open trials, which no process performs, are drawn again: first of all, or as points of the grid."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study._storage.set_trial_system_attr(trial._trial_id, CUT_OFF, True)
        study._storage.set_trial_system_attr(trial._trial_id, "grid_id", -1)  # its point hasn't been visited
        study.tell(trial.number, state=TrialState.FAIL)
        if not grid:
            study.enqueue_trial(trial.params)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        lock = Lock(folder)
    except RunBusyError as error:
        raise RunBusyError(f"{folder}: another process performs this study; wait for it or stop it") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that Optuna 2.10 has for its own code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Deprecated API features detected")
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
