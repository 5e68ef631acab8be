"""A sweep of 64 jobs as one command against the loops that one would write by hand."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from joblib import Parallel, delayed
from measuring import Options, Row, interleaved, readable, speed, wall
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from atml_exp.batches import Batches
from atml_exp.data import Dataset
from atml_exp.datasets.digits import digits
from atml_exp.grouping import WORKING_SET
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.momentum import Momentum
from atml_exp.population import assemble, update

__all__ = ["measure"]

JOBS, SEEDS, MOMENTUM = 64, 8, 0.9
RATES = [0.01 * 1.4**k for k in range(JOBS // SEEDS)]
SIZES = (1, 2, 8, 32, 128, 512)


@dataclass(frozen=True)
class Case:
    """A model, its batch size, and how many times faster than loops (DataLoader, tensors, joblib) it should be."""

    name: str
    make: Callable[..., nn.Module]
    options: dict[str, int]
    batch: int
    epochs: int
    targets: tuple[float, float, float]
    flops: float
    """Floating-point operations of one step in matrix products: two for each weight and example, three times."""

    @property
    def overrides(self) -> list[str]:
        model = [f"model={self.make.__name__}", *(f"model.{k}={v}" for k, v in self.options.items())]
        return [*model, f"recipe.batch_size={self.batch}", f"recipe.steps={self.epochs}ep"]


def _mlp(width: int, batch: int, targets: tuple[float, float, float], epochs: int = 60) -> Case:
    weights = 64 * width + width * width + 10 * width
    name = f"MLP 64-{width}-{width}-10, batches of {batch}"
    return Case(name, mlp, {"depth": 2, "width": width}, batch, epochs, targets, 6.0 * weights * batch)


CASES = (
    _mlp(32, 32, (25, 12, 6)),
    _mlp(128, 64, (5, 3, 1.5)),
    _mlp(32, 32, (25, 12, 6), epochs=300),  # where the command's start counts for little
    Case("CNN, batches of 64", cnn, {}, 64, 10, (1, 1, 1), 0.0),
)


def measure(options: Options) -> list[Row]:
    """Whole sweeps, the command's start and its writing included; then steps of populations of several sizes."""
    data = digits().to(torch.device("cpu"), torch.float32)
    rows = [row for case in CASES for row in _sweeps(case, data, options)]
    rows += [row for case in CASES[:2] for row in _sizes(case, data, options)]
    return rows + _overhead(options)


# Whole sweeps


def _sweeps(case: Case, data: Dataset, options: Options) -> list[Row]:
    """Of the loops a share is run, and its time multiplied; each at its better number of threads."""
    few = JOBS // 16
    steps = case.epochs * (len(data.train) // case.batch)
    loader, tensors = (_best_threads(case, data, kind) for kind in ("loader", "tensors"))
    with Parallel(n_jobs=2) as pool:
        pool(delayed(_one)(case, 0, 1) for _ in range(2))  # started
        contestants = {
            "fused": lambda: _command(case),
            "loader": lambda: 16 * _loops(case, data, "loader", loader, few),
            "tensors": lambda: 16 * _loops(case, data, "tensors", tensors, few),
            "joblib": lambda: 8 * wall(lambda: pool(delayed(_one)(case, k, None) for k in range(2 * few))),
        }
        times = interleaved(contestants, options.repeats)
    per = JOBS * steps
    what = f"sweep of {JOBS} × {steps} steps, {case.name}, against"
    named = {
        "loader": f"loops over a DataLoader ({loader} threads)",
        "tensors": f"loops over tensors ({tensors} threads)",
        "joblib": "the same, joblib with 2 processes",
    }
    return [
        speed(f"{what} {named[kind]}", times["fused"], "", times[kind], target, per)
        for kind, target in zip(named, case.targets, strict=True)
    ]


def _command(case: Case) -> float:
    rates = ",".join(f"{r:g}" for r in RATES)
    return _sweep(f"seed=range({SEEDS})", f"optimiser.learning_rate={rates}", *case.overrides)


def _sweep(*overrides: str) -> float:
    """Seconds of the whole command, from its start to its end."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["probe=[]", "recipe.evaluate_every=end", "progress=false", "device=cpu", f"output_dir={folder}"]
        command = [sys.executable, "-m", "atml_exp", "--multirun", "hydra/launcher=fused", *overrides, *quiet]
        return wall(lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder))


def _overhead(options: Options) -> list[Row]:
    """What a sweep costs besides training: its start, and each job's composing, hashing, building and files."""
    jobs = 500
    contestants = {
        "two": lambda: _sweep("seed=range(2)", "recipe.steps=1"),
        "all": lambda: _sweep(f"seed=range({jobs})", "recipe.steps=1"),
    }
    times = interleaved(contestants, options.repeats)
    each = sorted((b - a) / (jobs - 2) for a, b in zip(times["two"], times["all"], strict=True))[
        options.repeats // 2
    ]
    start = sorted(times["two"])[options.repeats // 2]
    what = (
        f"a job of {jobs} of one step: composing, hashing, building, writing ({readable(start)} to start and end)"
    )
    return [Row(what, readable(each), "", "", "≤ 20 ms", each <= 0.02)]


def _best_threads(case: Case, data: Dataset, kind: str) -> int:
    short = replace(case, epochs=max(1, case.epochs // 10))
    times = {n: min(_loops(short, data, kind, n, 1) for _ in range(3)) for n in (1, 2)}
    return min(times, key=lambda n: times[n])


def _loops(case: Case, data: Dataset, kind: str, threads: int, models: int) -> float:
    with _threads(threads):
        return wall(lambda: [_train(case, data, kind, k) for k in range(models)])


def _one(case: Case, seed: int, epochs: int | None) -> None:
    """A model in a worker process, on one thread."""
    torch.set_num_threads(1)
    data = digits().to(torch.device("cpu"), torch.float32)
    _train(case if epochs is None else replace(case, epochs=epochs), data, "tensors", seed)


def _train(case: Case, data: Dataset, kind: str, seed: int) -> None:
    """As anybody writes it, with the test error at the end."""
    torch.manual_seed(seed)
    model = case.make(data.input_shape, data.num_targets, **case.options)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATES[seed % len(RATES)], momentum=MOMENTUM)
    batches = _loader(case, data) if kind == "loader" else _indexed(case, data)
    for _ in range(case.epochs):
        for x, y in batches():
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimiser.step()
    with torch.no_grad():
        (model(data.test.x).argmax(1) != data.test.y).float().mean().item()


def _loader(case: Case, data: Dataset) -> Callable[[], Any]:
    loader = DataLoader(TensorDataset(data.train.x, data.train.y), case.batch, shuffle=True, drop_last=True)
    return lambda: loader


def _indexed(case: Case, data: Dataset) -> Callable[[], Iterator[tuple[Tensor, Tensor]]]:
    x, y = data.train.x, data.train.y

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.randperm(len(y))[: len(y) // case.batch * case.batch].view(-1, case.batch):
            yield x[index], y[index]

    return batches


# Steps of populations


def _sizes(case: Case, data: Dataset, options: Options) -> list[Row]:
    """Microseconds for a model's step in populations of R, against R = 1, and the share of the products' rate."""
    steppers = {size: _stepper(case, data, size) for size in SIZES}
    contestants = {str(size): stepper for size, stepper in steppers.items()}
    times = interleaved(contestants, options.repeats)
    rate = _product_rate()
    rows = []
    for size in SIZES:
        seconds = sorted(times[str(size)])[len(times[str(size)]) // 2]
        share = case.flops / seconds / rate
        chosen = round(WORKING_SET / (20 * case.flops / 6 / case.batch))
        what = f"a model's step in a population of {size}, {case.name}, against alone"
        what += f"; {share:.0%} of the products' rate"
        what += f" ({chosen} chosen by itself)" if size == SIZES[0] else ""
        rows.append(speed(what, times[str(size)], "", times["1"], 1.0))
    return rows


def _stepper(case: Case, data: Dataset, size: int) -> Callable[[], float]:
    models = [case.make(data.input_shape, data.num_targets, **case.options) for _ in range(size)]
    optimiser = Momentum(0.05, MOMENTUM)
    population = assemble(models, range(size))
    state = {"population": replace(population, state=optimiser.init(population.w))}
    batches = Batches([data.train] * size, range(size), case.batch)
    count = max(5, 256 // size)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(count):
            now = state["population"]
            batch = batches(now.step % 10)
            state["population"] = update(now, optimiser, cross_entropy, batch, optimiser.learning_rate)
        return (time.perf_counter() - began) / count / size

    return run


def _product_rate() -> float:
    """Floating-point operations a second in batched products of a size that suits the machine."""
    a = torch.randn(16, 256, 256)
    return 16 * 2 * 256**3 / min(wall(lambda: torch.bmm(a, a)) for _ in range(20))


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
