"""A run that looks like a real one, drawn from formulas: digits, an MLP, SGD with momentum, four probes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atml_exp.runs import Run

EPOCHS, STEPS_PER_EPOCH, RATE = 60, 22, 0.05


def probe(name: str, **options: Any) -> dict[str, Any]:
    fn = {"_target_": f"atml_exp.probes.{name}.{name}", "_partial_": True, **options}
    picture = f"atml_exp.pictures.{name}.draw"
    return {"_target_": "atml_exp.probe.Probe", "fn": fn, "every": "2ep", "split": "train", "picture": picture}


CONFIG: dict[str, Any] = {
    "dataset": {"_target_": "atml_exp.datasets.digits.digits", "test_fraction": 0.2, "wrapper": {}},
    "model": {"_target_": "atml_exp.models.mlp.mlp", "_partial_": True, "depth": 2, "width": 64},
    "loss": {"_target_": "atml_exp.losses.cross_entropy.cross_entropy", "_partial_": True},
    "recipe": {
        "_target_": "atml_exp.recipes.train.train",
        "_partial_": True,
        "steps": "60ep",
        "batch_size": 64,
    },
    "optimiser": {
        "_target_": "atml_exp.optimisers.momentum.Momentum",
        "learning_rate": RATE,
        "momentum": 0.9,
        "weight_decay": 0.0,
    },
    "probe": {
        "sharpness": probe("sharpness", k=1),
        "fractal_dimension": probe("fractal_dimension", alpha=1.0),
        "neural_collapse": probe("neural_collapse"),
        "pruning": {**probe("pruning", scope="global"), "split": "test"},
    },
    "seed": 0,
    "device": "auto",
    "output_dir": "outputs",
    "trusted_packages": [],
}

INFO: dict[str, Any] = {
    "run_id": "digits-mlp-3f9a2c71",
    "format_version": 1,
    "status": "complete",
    "created": "2025-01-31T09:30:00+00:00",
    "wall_seconds": 41.27,
    "device": "cpu",
    "versions": {"python": "3.11.9", "torch": "2.13.0", "atml_exp": "0.1.0"},
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    "system": {
        "domain": "X × Y = ℝ^(1×8×8) × {0, …, 9}",
        "hypothesis_class": "mlp(depth=2, width=64, activation=relu): 9,034 trainable parameters",
        "loss": "cross entropy: (1/N) Σᵢ −log softmax(oᵢ)[yᵢ]: outputs (N, C), classes y (N,); in nats.",
        "algorithm": "Momentum(learning_rate=0.05, momentum=0.9, weight_decay=0.0): v ← βv + g + λw;  w ← w − ηv.; "
        "1320 steps on mini-batches of 64",
        "sample": "digits: 1,437 training and 360 test examples",
    },
    "config": CONFIG,
    "steps": EPOCHS * STEPS_PER_EPOCH,
    "steps_per_epoch": STEPS_PER_EPOCH,
    "num_classes": 10,
}


def learning_curves() -> dict[str, dict[int, float]]:
    rng, t = np.random.default_rng(0), np.arange(EPOCHS + 1)
    wobble = np.exp(0.12 * rng.standard_normal((2, len(t))))
    train = 2.33 * np.exp(-t / 1.6) + 0.19 / (1 + 0.55 * t) ** 1.7 * wobble[0]
    test = 2.33 * np.exp(-t / 1.6) + 0.085 + 0.15 / (1 + t) * wobble[1] + 0.0002 * t
    train_error = np.round(1437 * (0.905 * np.exp(-t / 1.05) + 0.05 * np.exp(-t / 5) * wobble[0])) / 1437
    train_error[t >= 24] = 0
    test_error = np.round(360 * (0.88 * np.exp(-t / 1.05) + 0.023 + 0.05 * np.exp(-t / 6) * wobble[1])) / 360
    columns = {"train/loss": train, "train/error": train_error, "test/loss": test, "test/error": test_error}
    return {k: dict(zip(t * STEPS_PER_EPOCH, v, strict=True)) for k, v in columns.items()}


def probes() -> dict[str, dict[int, float]]:
    rng, t = np.random.default_rng(1), np.arange(0, EPOCHS + 1, 2)
    noise = np.exp(0.08 * rng.standard_normal((8, len(t))))
    columns = {
        "sharpness/top": (2.2 + 26 * (1 - np.exp(-t / 3)) * np.exp(-t / 60) + 3 * (t == 2)) * noise[0],
        "neural_collapse/nc1": (9 * np.exp(-t / 4) + 0.35 * np.exp(-t / 25) + 0.02) * noise[1],
        "neural_collapse/nc2_equinorm_means": (0.12 + 0.16 * np.exp(-t / 12)) * noise[2],
        "neural_collapse/nc2_equinorm_weights": (0.05 + 0.06 * np.exp(-t / 30)) * noise[3],
        "neural_collapse/nc2_equiangle_means": (0.10 + 0.22 * np.exp(-t / 9)) * noise[4],
        "neural_collapse/nc2_equiangle_weights": (0.11 + 0.05 * np.exp(-t / 20)) * noise[5],
        "neural_collapse/nc3": (0.22 + 1.1 * np.exp(-t / 10)) * noise[6],
        "neural_collapse/nc4": np.round(1437 * 0.19 * np.exp(-t / 5) * noise[7]) / 1437,
    }
    return {k: dict(zip(t * STEPS_PER_EPOCH, v, strict=True)) for k, v in columns.items()}


def pruning() -> dict[str, dict[int, float]]:
    density = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
    magnitude = 0.1 + 0.876 / (1 + (0.055 / density) ** 3)
    random = 0.1 + 0.876 / (1 + (0.62 / density) ** 5) * (1 + (0.62**5))
    deviation = 0.09 * np.exp(-(((density - 0.5) / 0.25) ** 2))
    curves = {"magnitude": magnitude, "random": np.minimum(random, 0.976), "random_std": deviation}
    return {
        f"pruning/{method}/{d:g}": {0: 0.1, EPOCHS * STEPS_PER_EPOCH: float(v)}
        for method, values in curves.items()
        for d, v in zip(density, values, strict=True)
    }


def fractal() -> tuple[dict[str, dict[int, float]], dict[str, np.ndarray]]:
    sizes = np.arange(100, 501, 40)
    rng = np.random.default_rng(2)
    sums = 1.7 * sizes ** (1 - 1 / 1.72) * np.exp(0.01 * rng.standard_normal(len(sizes)))
    end = EPOCHS * STEPS_PER_EPOCH
    values = {"dimension": 1.72, "slope": 1 - 1 / 1.72, "residual": 0.009, "reliable": 1.0}
    return {f"fractal_dimension/{k}": {end: v} for k, v in values.items()}, {
        "fractal_dimension/sizes": sizes[None],
        "fractal_dimension/weighted_sums": sums[None],
    }


def table(series: Mapping[str, Mapping[int, float]]) -> pd.DataFrame:
    rows = [(s, s / STEPS_PER_EPOCH, name, v) for name, values in series.items() for s, v in values.items()]
    return pd.DataFrame(rows, columns=["step", "epoch", "name", "value"]).sort_values("step", kind="stable")


def write_run(directory: Path, info: Mapping[str, Any], series: Any, arrays: Mapping[str, np.ndarray]) -> Run:
    """A run directory in the format that training leaves."""
    (directory / "arrays").mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps(info), encoding="utf-8")
    table(series).to_parquet(directory / "metrics.parquet", index=False)
    for name, values in arrays.items():
        np.savez(directory / "arrays" / f"{name.replace('/', '.', 1)}.npz", steps=np.array([0]), values=values)
    return Run(directory)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """`make_run(info={…}, config={…}, series={…}, arrays={…}, without=[…])`: the usual run, changed."""

    def make(
        info: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        series: Mapping[str, Mapping[int, float]] | None = None,
        arrays: Mapping[str, np.ndarray] | None = None,
        without: tuple[str, ...] = (),
    ) -> Run:
        readings, sums = fractal()
        everything = {**learning_curves(), **probes(), **pruning(), **readings, **(series or {})}
        kept = {k: v for k, v in everything.items() if not k.startswith(without or ("\0",))}
        details = {**INFO, "config": {**CONFIG, **(config or {})}, **(info or {})}
        place = tmp_path / "runs" / str(len(list(tmp_path.glob("runs/*"))))
        return write_run(place, details, kept, {**sums, **(arrays or {})})

    return make


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    return make_run()
