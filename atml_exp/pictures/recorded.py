"""What a picture reads of a run: series over epochs, last values, options; missing things are `None` or empty."""

import re
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from atml_exp.runs import Run

__all__ = [
    "batch_size",
    "epochs_axis",
    "first_zero_error",
    "last",
    "marker",
    "num_examples",
    "number",
    "optimiser",
    "option",
    "percent",
    "scalars",
    "series",
    "steps_per_epoch",
    "wilson",
]


def scalars(run: Run, probe: str) -> list[str]:
    """The names of a probe's metrics, `probe/key`, in the order of their first record."""
    names = run.metrics["name"].astype(str)
    return list(dict.fromkeys(names[names.str.startswith(f"{probe}/")]))


def series(run: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of a metric, ordered; two empty arrays where it was never recorded.

    Of an error only where the loss beside it is finite: the class that NaN outputs name is none.
    """
    if name not in set(run.metrics["name"]):
        return np.empty(0), np.empty(0)
    steps, values = run.series(name)
    if name in ("train/error", "test/error"):
        loss = dict(zip(*run.series(name.replace("error", "loss")), strict=True))
        meant = np.array([np.isfinite(loss.get(step, 0.0)) for step in steps], dtype=bool)
        steps, values = steps[meant], values[meant]
    return np.asarray(steps, dtype=float) / steps_per_epoch(run), np.asarray(values, dtype=float)


def last(run: Run, name: str) -> float | None:
    """The last recorded value, NaN and infinity included; None where there is none.

    NaN for an error beside a loss that ended as none: that of an earlier step isn't the last.
    """
    values = series(run, name)[1]
    if name in ("train/error", "test/error") and len(loss := series(run, name.replace("error", "loss"))[1]):
        values = values if np.isfinite(loss[-1]) else np.array([np.nan])
    return float(values[-1]) if len(values) else None


def steps_per_epoch(run: Run) -> float:
    """Recorded at the end of a run; until then read off the metrics."""
    if recorded := run.info.get("steps_per_epoch"):
        return float(recorded)
    rows = run.metrics[run.metrics["epoch"] > 0]
    return float(rows["step"].iloc[-1] / rows["epoch"].iloc[-1]) if len(rows) else 1.0


def option(run: Run, probe: str, key: str, default: Any = None) -> Any:
    """An option of a probe's function, else of the probe: `option(run, "sharpness", "split", "train")`."""
    config = ((run.config.get("probe") or {}).get(probe)) or {}
    return (config.get("fn") or {}).get(key, config.get(key, default))


def optimiser(run: Run) -> tuple[str, dict[str, Any]]:
    """The optimiser's class name and its options."""
    config = run.config.get("optimiser") or {}
    return str(config.get("_target_", "")).rpartition(".")[2], config


def batch_size(run: Run) -> int | None:
    """None for full batches."""
    size = (run.config.get("recipe") or {}).get("batch_size")
    return int(size) if size is not None else None


def marker(values: np.ndarray) -> str:
    """A point needs a marker to be seen; a line needs none."""
    return "o" if np.isfinite(values).sum() == 1 else ""


def num_examples(run: Run, split: str) -> int | None:
    """The size of the training or test set, as the description of the sample has it."""
    found = re.search(r"([\d,]+) training and ([\d,]+) test", str((run.info.get("system") or {}).get("sample")))
    return int(found[1 if split == "train" else 2].replace(",", "")) if found else None


def wilson(error: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a probability of which a fraction `error` of n draws was seen (Wilson 1927).

    >>> [round(x, 4) for x in wilson(0.025, 360)]
    [0.0132, 0.0468]
    """
    z2 = 1.959964**2
    centre, spread = error + z2 / (2 * n), np.sqrt(z2 * (error * (1 - error) / n + z2 / (4 * n * n)))
    return float(max(0.0, (centre - spread) / (1 + z2 / n))), float((centre + spread) / (1 + z2 / n))


def first_zero_error(run: Run) -> float | None:
    """The epoch at which the training error was first recorded as 0: the terminal phase begins."""
    epochs, values = series(run, "train/error")
    zeros = epochs[values == 0]
    return float(zeros[0]) if len(zeros) else None


def epochs_axis(run: Run, axes: Axes, *, steps: bool = True) -> None:
    """Labels x as epochs; with `steps`, an axis of optimiser steps along the top where the two differ."""
    size = steps_per_epoch(run)
    axes.set_xlabel("epoch" if size != 1 else "step (full batch: one step is one epoch)")
    axes.set_xlim(0, float(run.metrics["step"].max()) / size or 1)
    if steps and size != 1:
        top = axes.secondary_xaxis("top", functions=(partial(np.multiply, size), partial(np.multiply, 1 / size)))
        top.set_xlabel("step")
        top.spines["top"].set_visible(True)
        top.grid(False)


def number(value: float | None) -> str:
    """A number as one writes it: about three figures, no more.

    >>> [number(v) for v in (0.0, 1.23456, 45678.0, 1.5e-7, float("nan"), None)]
    ['0', '1.23', '45,678', '1.5 × 10⁻⁷', 'NaN', '—']
    """
    if value is None:
        return "—"
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        digits, _, exponent = f"{value:.2e}".partition("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{float(digits):g} × 10{power}".replace("-", "−")
    short = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return short.replace("-", "−")


def percent(value: float | None) -> str:
    """A fraction in per cent: three figures below 10 %, one decimal above.

    >>> percent(0.0222), percent(0.9), percent(None)
    ('2.22 %', '90 %', '—')
    """
    if value is None or not np.isfinite(value):
        return number(value)
    return f"{100 * value:.3g} %"
