"""Tables as `atml-figures make` gives them, made up."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def runs() -> Callable[..., pd.DataFrame]:
    """`runs(("loss", [3, 2, 1]), seed=0, sweep="digits", **{"loss": "mse"})`: a run's rows, one step an epoch."""
    made = [0]

    def make(*metrics: tuple[str, Sequence[float]], sweep: str = "digits", seed: int = 0, **columns: Any):
        made[0] += 1
        rows = [
            {"step": step, "epoch": float(step), "name": name, "value": float(value)}
            for name, values in metrics
            for step, value in enumerate(values)
        ]
        fixed = {"sweep": sweep, "run_id": f"run{made[0]}", "seed": seed, "num_classes": 10, "num_test": 360}
        frame = pd.DataFrame(rows).assign(**fixed)
        for name, value in columns.items():
            frame[name.replace("__", ".")] = value
        return frame

    return make


@pytest.fixture
def together() -> Callable[..., pd.DataFrame]:
    return lambda *parts: pd.concat(parts, ignore_index=True)


@pytest.fixture
def recorded(tmp_path) -> Callable[[Mapping[str, Any]], str]:
    """`recorded({"fairness/tpr": values})`: the directory of a run with these arrays, measured once, at step 1."""
    made = [0]

    def make(arrays: Mapping[str, Any]) -> str:
        made[0] += 1
        directory = tmp_path / f"recorded{made[0]}"
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for name, values in arrays.items():
            stem = name.replace("/", ".", 1)
            np.savez(directory / "arrays" / f"{stem}.npz", steps=np.array([1]), values=np.asarray(values)[None])
        return str(directory)

    return make
