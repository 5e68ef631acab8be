"""What a notebook or a script calls: train, draw a lecture figure, have a trained model back."""

import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from atml_exp.errors import ConfigError
from atml_exp.inline import runs_table
from atml_exp.one_at_a_time import one_at_a_time
from atml_exp.runs import Run, table_of

if TYPE_CHECKING:
    import pandas as pd
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig
    from torch import nn

    from atml_exp.data import Dataset
    from atml_exp.figure_make import Made, Outcome
    from atml_exp.runner import RunResult

__all__ = ["Restored", "Results", "figure", "restore", "run"]


class Results(NamedTuple):
    """runs: of each job, in order. frame: their metrics as one table, with the columns of `atml_exp.load`."""

    runs: list[Run]
    frame: "pd.DataFrame"

    def __repr__(self) -> str:
        return f"Results: {', '.join(f'run {r.id} {r.status}' for r in self.runs if _is_there(r)) or 'no run'}"

    def _repr_html_(self) -> str:
        return runs_table([r for r in self.runs if _is_there(r)])


class Restored(NamedTuple):
    """model: in eval mode, with the weights of a checkpoint. data: what it was trained on and is tested on."""

    model: "nn.Module"
    data: "Dataset"


@one_at_a_time
def run(
    overrides: str | Sequence[str] = (), *, output_dir: str | Path | None = None, reports: bool = False
) -> Results:
    """Trains what `atml-exp --multirun` would with these overrides; what is there already is read, not trained.

        runs, frame = atml_exp.run(["model=mlp", "seed=range(8)"])

    overrides: as on the command line, a list or one line; several values, `seed=0,1` or `seed=range(8)`, are a
    sweep, whose jobs train together where they can be stacked. output_dir: in place of `outputs`. reports: write
    each run's report.html, a second or two each.

    The jobs of a sweep that fail stop no other; a warning says which and why, and `status` in the table is
    `failed`. The error of a job by itself is raised. Raises ConfigError, before any training and with one message,
    where a config can't run. When the kernel is interrupted what was reached is kept, and the same call goes on.
    Calls from several threads take turns.
    """
    from atml_exp.runner import run as train

    jobs = _jobs(overrides, output_dir)
    configs = _configs(jobs, output_dir)
    results = train(configs, keep_going=len(configs) > 1, reports=reports)
    _warn_of_failures(jobs, results)
    runs = [Run(result.directory) for result in results]
    return Results(runs, table_of(list({r.id: r for r in runs if _is_there(r)}.values())))


@one_at_a_time
def figure(name: str, *overrides: str, output_dir: str | Path = "outputs") -> "Made":
    """Makes a lecture figure as `atml-figures make` does, and returns it; a notebook shows it, claims and all.

        atml_exp.figure("edge_of_stability", "scale=smoke")

    overrides: `scale=smoke` (seconds), `laptop` (the default) or `full`, and any of the figure's jobs. Raises
    ConfigError for an unknown name or a config that can't run, and RuntimeError, with nothing drawn, where runs
    failed.
    """
    from atml_exp.figure_make import make
    from atml_exp.figure_spec import figure_spec

    scales = [text.partition("=")[2] for text in overrides if text.startswith("scale=")]
    rest = [text for text in overrides if not text.startswith("scale=")]
    scale = scales[-1] if scales else "laptop"
    outcome = make(name, figure_spec(name), scale=scale, overrides=rest, output_dir=str(output_dir))
    if outcome.made is None:
        raise RuntimeError(f"{name} is not drawn, since runs failed:\n{_failed_jobs(outcome)}")
    return outcome.made


@one_at_a_time
def restore(run: Run | str | Path, step: int | None = None, *, device: str | None = None) -> Restored:
    """The model of a run's checkpoint, the last or that of a step, in eval mode, and the run's data.

        model, data = atml_exp.restore(runs[0])
        sharpness(model, data.train)

    run: or its directory. device: where model and data go; the run's own setting unless given. Raises ConfigError
    where the directory holds no run, or no checkpoint of this step.
    """
    from atml_exp.export import checkpoint_of
    from atml_exp.probe import specimen
    from atml_exp.probe_run import rebuild

    trained = run if isinstance(run, Run) else Run(run)
    checkpoint = checkpoint_of(trained, step)
    job = rebuild(trained, [] if device is None else [f"device={device}"])
    return Restored(specimen(job.model, checkpoint.model), job.data)


def _jobs(overrides: str | Sequence[str], output_dir: str | Path | None) -> list[list[str]]:
    """The overrides of each job."""
    from atml_exp.compose import sweep_jobs
    from atml_exp.overrides import parse
    from atml_exp.sweepers.corners import refuse_intervals

    lines = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    for text, override in parse(lines):
        _check_key(text, override, output_dir)
    refuse_intervals(lines)
    return sweep_jobs(lines)


def _check_key(text: str, override: "Override", output_dir: str | Path | None) -> None:
    key = override.key_or_group
    if key.split(".")[0].split("/")[0] == "hydra" and key != "hydra.searchpath":
        raise ConfigError(f"{text}: not for atml_exp.run, which trains here; allowed: atml-exp --multirun {text}")
    if key == "output_dir" and output_dir is not None:
        raise ConfigError(
            f"{text}: output_dir is given as an argument too, {str(output_dir)!r}; allowed: one of them"
        )


def _configs(jobs: Sequence[Sequence[str]], output_dir: str | Path | None) -> "list[DictConfig]":
    """The validated config of each job."""
    from atml_exp.compose import compose_each
    from atml_exp.launchers.objective import check_objective
    from atml_exp.validate import validate

    configs = compose_each(jobs)
    sound: set[str] = set()
    for config in configs:
        if output_dir is not None:
            config.output_dir = str(output_dir)
        validate(config, sound)
        check_objective(config)
    return configs


def _warn_of_failures(jobs: Sequence[Sequence[str]], results: "Sequence[RunResult]") -> None:
    failed = [(job, r) for job, r in zip(jobs, results, strict=True) if r.status == "failed"]
    if failed:
        job, first = failed[0]
        others = f", and so did {len(failed) - 1} more" if len(failed) > 1 else ""
        text = f"{len(failed)} of {len(results)} runs failed: {' '.join(job)}: {first.error}{others}"
        warnings.warn(text, stacklevel=4)  # where `run` was called


def _failed_jobs(outcome: "Outcome") -> str:
    pairs = zip(outcome.jobs, outcome.results, strict=True)
    return "\n".join(f"{' '.join([sweep, *job])}: {r.error}" for (sweep, job), r in pairs if r.status == "failed")


def _is_there(run: Run) -> bool:
    """Whether a run got as far as a directory of its own."""
    return (run.directory / "run.json").exists()
