"""A training step against plain hand-written PyTorch: over a DataLoader, and over tensors."""

import io
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import Options, Row, interleaved, speed
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from atml_exp.data import Dataset
from atml_exp.datasets.digits import digits
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.mlp import mlp
from atml_exp.observer import Observer, Recording
from atml_exp.optimisers.momentum import Momentum
from atml_exp.population import Population, assemble
from atml_exp.probes.performance import performance
from atml_exp.progress import Progress
from atml_exp.recorder import RunWriter
from atml_exp.train import Bench, fit

BATCH, EPOCHS, LEARNING_RATE, MOMENTUM = 64, 60, 0.05, 0.9
MODELS: dict[str, dict[str, int]] = {"default MLP": {}, "MLP 64-128-128-10": {"depth": 2, "width": 128}}


def measure(options: Options) -> list[Row]:
    """Digits in batches of 64 by SGD with momentum, all at torch's defaults; the times are per step."""
    data = digits()
    steps = EPOCHS * (len(data.train) // BATCH)
    rows = []
    for name, shape in MODELS.items():
        contestants = {
            "fit": lambda shape=shape: _fit(_model(data, shape), data),
            "DataLoader": lambda shape=shape: _plain(_model(data, shape), _loader_epochs(data)),
            "tensors": lambda shape=shape: _plain(_model(data, shape), _tensor_epochs(data)),
        }
        times = interleaved(contestants, options.repeats)
        what = f"step: {name}, loop over"
        rows += [
            speed(f"{what} a DataLoader", times["fit"], "", times["DataLoader"], 1.5, steps),
            speed(f"{what} tensors", times["fit"], "", times["tensors"], 0.9, steps),
        ]
    return rows


def _model(data: Dataset, shape: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return mlp(data.input_shape, data.num_targets, **shape)


def _plain(model: nn.Module, epochs: Iterator[Iterator[tuple[Tensor, Tensor]]]) -> float:
    """Seconds of a loop as anybody writes it."""
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    began = time.perf_counter()
    for batches in epochs:
        for x, y in batches:
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    return time.perf_counter() - began


def _loader_epochs(data: Dataset) -> Iterator[Iterator[Any]]:
    loader = DataLoader(TensorDataset(data.train.x, data.train.y), batch_size=BATCH, shuffle=True, drop_last=True)
    return (iter(loader) for _ in range(EPOCHS))


def _tensor_epochs(data: Dataset) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    x, y = data.train.x, data.train.y
    last = len(y) // BATCH * BATCH

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(y))
        for start in range(0, last, BATCH):
            index = order[start : start + BATCH]
            yield x[index], y[index]

    return (epoch() for _ in range(EPOCHS))


def _fit(model: nn.Module, data: Dataset) -> float:
    """Seconds from before the first update to after the last of a run with its writer and progress display."""
    with tempfile.TemporaryDirectory() as directory:
        writer = RunWriter(Path(directory) / "run", {}, "")
        show = partial(Progress, description="digits · mlp", stream=io.StringIO())
        observer = _Clock([Recording(data, writer)], {}, performance, show=show)
        bench = Bench([data.train], cross_entropy, Momentum(LEARNING_RATE, MOMENTUM), [[]], observer)
        with observer:
            fit(bench, assemble([model], [0]), steps=f"{EPOCHS}ep", batch_size=BATCH, evaluate_every="end")
        writer.close()
    return observer.seconds


class _Clock(Observer):
    """Runs from the end of the first look to the beginning of the last, which measures loss and error."""

    seconds = 0.0

    def observe(self, population: Population, learning_rate: Any) -> None:
        if population.step == self.total:
            self.seconds += time.perf_counter()
        super().observe(population, learning_rate)
        if population.step == 0:
            self.seconds -= time.perf_counter()
