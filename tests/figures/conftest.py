"""Tables as `atml-figures make` gives them, made up."""

from collections.abc import Callable, Sequence
from typing import Any

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
