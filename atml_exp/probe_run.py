"""Measures a run's checkpoints: the same path, and so the same numbers, as while it was training."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from atml_exp.compose import compose, dead_end
from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.job import Job, build_job
from atml_exp.one_at_a_time import one_at_a_time
from atml_exp.overrides import parse
from atml_exp.probe import OPTIMISER, Probe, measure, reason, scalars_and_arrays
from atml_exp.recorder import Checkpoint
from atml_exp.runs import Run
from atml_exp.settings import Settings
from atml_exp.validate import validate

__all__ = ["probe_run", "rebuild"]

LONGEST = 32

_CHOOSE = ("probe", "hydra.searchpath")
_CHANGEABLE = ("probe", "device", "trusted_packages", "hydra")


@one_at_a_time
def probe_run(directory: str | Path, overrides: Sequence[str] = ()) -> pd.DataFrame:
    """One row (step, name, value) for each scalar that the chosen probes say of each checkpoint of a run.

    directory: a finished run or one that goes on. overrides: `probe=sharpness` (without it, the run's own probes),
    `probe.sharpness.fn.k=5`, `device=cpu`. Probes of recorded arrays read what was recorded up to each
    checkpoint's step. Arrays of at most 32 elements appear as `name[0]`, `name[1]`, …, longer ones with their
    number of elements as `name[size]`. A probe that fails on a checkpoint is a warning with its reason, as in
    training.

    Raises ConfigError where the directory holds no run or no checkpoint, or an override isn't one of a probe's;
    DamagedRunError where a file isn't what the run has written.
    """
    run = Run(directory)
    run.with_checkpoints()
    job = rebuild(run, overrides)
    _check_recorded(run, job.probes)
    rows = [(step, *named) for path in run.checkpoints for step, named in _measured(run, job, Checkpoint(path))]
    return pd.DataFrame(rows, columns=["step", "name", "value"])


def rebuild(run: Run, overrides: Sequence[str] = ()) -> Job:
    """A run's job as it was before training: the model with its initial weights. overrides: as in `probe_run`.

    The job sends nothing to loggers.
    """
    config = _config_for(run, overrides)
    validate(config)
    return build_job(config)


def _measured(run: Run, job: Job, checkpoint: Checkpoint) -> Iterator[tuple[int, tuple[str, float]]]:
    state = {n: t.to(job.device) for n, t in checkpoint.model.items()}

    def recorded(name: str) -> Any:
        if name == OPTIMISER:
            state = {n: t.to(job.device) for n, t in checkpoint.optimiser.items()}
            return {**state, "step": torch.tensor(checkpoint.updates)}
        steps, values = run.array(name)
        return torch.from_numpy(values[steps <= checkpoint.step]).to(job.device)

    for name, probe in job.probes.items():
        try:
            values = scalars_and_arrays(name, measure(probe, job.model, state, job.data, recorded))
        except DamagedRunError:
            raise
        except Exception as error:
            logging.getLogger("atml_exp").warning(
                "probe %s failed at step %d: %s", name, checkpoint.step, reason(error)
            )
            continue
        entries = {key: value for n, a in values[1].items() for key, value in _entries(n, a)}
        yield from ((checkpoint.step, named) for named in {**values[0], **entries}.items())


def _entries(name: str, array: Tensor) -> Iterator[tuple[str, float]]:
    """A short array's values as `name[0]`, `name[1]`, …; of a long one the number of elements as `name[size]`."""
    if array.numel() > LONGEST:
        yield f"{name}[size]", float(array.numel())
    else:
        yield from ((f"{name}[{i}]", float(v)) for i, v in enumerate(array.flatten()))


def _check_recorded(run: Run, probes: Mapping[str, Probe]) -> None:
    """A run can't be asked for what it hasn't recorded while it trained."""
    there = run.array_names
    for name, probe in probes.items():
        if probe.reads not in (None, OPTIMISER) and probe.reads not in there:
            raise ConfigError(
                f"probe.{name}.reads = {probe.reads}: this run hasn't recorded it; "
                f"allowed: {', '.join(there) or 'probes that read nothing recorded'}"
            )


def _config_for(run: Run, overrides: Sequence[str]) -> DictConfig:
    """The run's config with the probes, device and trusted packages that the overrides ask for."""
    config = OmegaConf.merge(asdict(Settings()), OmegaConf.create(run.config_yaml))
    assert isinstance(config, DictConfig)
    config.logger = {}
    config.trusted_packages = []  # a run directory, perhaps from elsewhere, can't vouch for itself
    texts = dict(parse(overrides))
    for text, override in texts.items():
        key = override.key_or_group
        if key.split(".")[0] not in _CHANGEABLE or override.is_delete() or (key == "probe" and override.is_add()):
            allowed = "probe=NAME, probe.NAME.KEY=VALUE, device=cpu"
            raise ConfigError(f"{text}: a run can't be changed; allowed: {allowed}")
    if any(o.key_or_group == "probe" for o in texts.values()):
        config.probe = compose([t for t, o in texts.items() if o.key_or_group in _CHOOSE]).probe
    return _changed(config, {t: o for t, o in texts.items() if o.key_or_group not in _CHOOSE})


def _changed(config: DictConfig, texts: Mapping[str, Override]) -> DictConfig:
    for text, override in texts.items():
        key = override.key_or_group
        if not override.is_add() and (problem := dead_end(config, key, text)):
            raise ConfigError(problem)
        OmegaConf.update(config, key, override.value(), force_add=True)
    return config
