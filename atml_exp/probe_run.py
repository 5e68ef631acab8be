"""Measures a run's checkpoints: the same path, and so the same numbers, as while it was training."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.job import build_job
from atml_exp.probe import measure, scalars_and_arrays
from atml_exp.recorder import Checkpoint
from atml_exp.runs import Run
from atml_exp.validate import validate

__all__ = ["probe_run"]

_CHANGEABLE = ("probe", "device", "trusted_packages", "hydra")


def probe_run(directory: str | Path, overrides: Sequence[str] = ()) -> pd.DataFrame:
    """One row (step, name, value) for each scalar that the chosen probes say of each checkpoint of a run.

    directory: a finished run or one that goes on. overrides: `probe=sharpness`, `probe.sharpness.fn.k=5`,
    `device=cpu`; without any, the run's own probes. Probes of recorded arrays read what was recorded up to each
    checkpoint's step. Arrays appear with their number of elements as the value of `name[size]`.

    Raises ConfigError where the directory holds no run or no checkpoint, or an override isn't one of a probe's.
    """
    run = _run_with_checkpoints(directory)
    config = _config_for(run, overrides)
    validate(config)
    job = build_job(config)
    rows = []
    for path in run.checkpoints:
        checkpoint = Checkpoint(path)
        state = {n: t.to(job.device) for n, t in checkpoint.model.items()}

        def recorded(name: str, until: int = checkpoint.step) -> Tensor:
            steps, values = run.array(name)
            return torch.from_numpy(values[steps <= until]).to(job.device)

        for name, probe in job.probes.items():
            scalars, arrays = scalars_and_arrays(name, measure(probe, job.model, state, job.data, recorded))
            sizes = {f"{n}[size]": float(a.numel()) for n, a in arrays.items()}
            rows += [(checkpoint.step, n, v) for n, v in {**scalars, **sizes}.items()]
    return pd.DataFrame(rows, columns=["step", "name", "value"])


def _run_with_checkpoints(directory: str | Path) -> Run:
    run = Run(directory)
    if not (run.directory / "run.json").exists():
        raise ConfigError(f"{directory}: not a run directory (it holds no run.json); runs lie in outputs/runs/")
    if not run.checkpoints:
        raise ConfigError(
            f"{directory}: holds no checkpoint yet; the first is written after checkpoint.interval seconds"
        )
    return run


def _config_for(run: Run, overrides: Sequence[str]) -> DictConfig:
    """The run's config with the probes, device and trusted packages that the overrides ask for."""
    config = OmegaConf.load(run.directory / "config.yaml")
    assert isinstance(config, DictConfig)
    for text in overrides:
        if _key(text).split(".")[0] not in _CHANGEABLE:
            raise ConfigError(f"{text}: a run can't be changed; allowed: {', '.join(_CHANGEABLE)} and their keys")
    chosen = OmegaConf.to_container(compose(list(overrides)), resolve=False) if overrides else {}
    for key in {_key(text).split(".")[0] for text in overrides} - {"hydra"}:
        config[key] = chosen[key]  # type: ignore[index,call-overload]
    return config


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
