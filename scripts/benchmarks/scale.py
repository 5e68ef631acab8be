"""What runs cost besides training: composing, storing, looking up, listing, loading; and starting workers.

Listing and loading are measured on `--runs` simulated runs: directories in the real format, sealed as real ones,
each with a run.json, a config.yaml and a metrics.parquet of 20 rows, written at once and not trained.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["measure"]

NAMES = ("train/loss", "train/error", "test/loss", "test/error")
STEPS = 5
MANY = 100_000
LIMIT_SECONDS, LIMIT_GIB = 30, 2
FUSED, ALONE = ("hydra/launcher=fused",), ("hydra/launcher=basic",)
READERS = {
    "find": "finding the run directories",
    "runs_table": "`runs_table`, one row for each run",
    "load": f"`load`, {STEPS * len(NAMES)} rows for each run",
    "one_metric": '`load(name="test/error")`',
}
"""What is done in a process of its own, so that its memory is known."""


def measure(options: Any) -> list[Any]:
    """Small numbers for real, 100,000 extrapolated where the row says so; simulated runs; then whole sweeps."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [*_composing(), *_storing(Path(folder) / "stored"), *_looking_up(Path(folder) / "stored")]
        rows += _reading(Path(folder) / "simulated", options)
        return rows + _sweeps(options)


class _Cost(NamedTuple):
    """In seconds. processors: of all cores together, which other work on the machine changes little."""

    clock: float
    processors: float


def _row(what: str, cost: _Cost, more: str = "", target: str = "", met: bool = True) -> Any:
    from measuring import Row, readable

    beside = f"{readable(cost.processors)} of processors{more}"
    return Row(f"scale: {what}", readable(cost.clock), beside, "", target, met)


def _cost(action: Callable[[], object]) -> _Cost:
    """Of what is done here, and of the processes that have ended meanwhile."""
    before, began = os.times(), time.perf_counter()
    action()
    after, ended = os.times(), time.perf_counter()
    return _Cost(ended - began, sum(after[:4]) - sum(before[:4]))


def _extrapolated(cost: _Cost, fewer: _Cost, num: int, num_fewer: int, to: int) -> _Cost:
    """Along the line through both."""
    share = (to - num) / (num - num_fewer)
    return _Cost(*(more + share * (more - less) for more, less in zip(cost, fewer, strict=True)))


# Composing and validating


def _composing() -> list[Any]:
    _compose(1)  # what a process does once
    few, many = _cost(lambda: _compose(10)), _cost(lambda: _compose(1000))
    return [
        _row("composing and validating 10 jobs", few),
        _row("composing and validating 1,000 jobs", many),
        _row(f"composing and validating {MANY:,} jobs, extrapolated", _extrapolated(many, few, 1000, 10, MANY)),
    ]


def _compose(num_jobs: int) -> None:
    from atml_exp.compose import compose_each
    from atml_exp.validate import validate

    sound: set[str] = set()
    for config in compose_each([[f"seed={seed}"] for seed in range(num_jobs)]):
        validate(config, sound)


# Storing, and looking up


def _storing(root: Path) -> list[Any]:
    info = _info()
    _store(root, info, range(10_000, 10_001))
    few, many = _cost(lambda: _store(root, info, range(10))), _cost(lambda: _store(root, info, range(1000, 2000)))
    return [_row("storing 10 runs of 20 rows", few), _row("storing 1,000 runs of 20 rows", many)]


def _store(root: Path, info: dict[str, Any], numbers: range) -> None:
    from atml_exp.recorder import RunWriter

    for number in numbers:
        run_id = f"{number:016x}"
        writer = RunWriter(root / "runs" / run_id, {**info, "run_id": run_id}, "seed: 0\n")
        for step in range(STEPS):
            writer.scalars(step, step / 2, dict.fromkeys(NAMES, 1 / (1 + step)))
        writer.finish("complete")


def _looking_up(root: Path) -> list[Any]:
    from atml_exp.store.ledger import later_attempts, look_up

    def look() -> None:
        later = later_attempts(root)
        for number in range(1000, 2000):
            look_up(root, f"{number:016x}", later=later)

    cost = _cost(look)
    return [_row("looking up 1,000 runs in the ledger, all files compared", cost)]


def _info() -> dict[str, Any]:
    """What run.json says of a run of the default experiment."""
    from omegaconf import OmegaConf

    from atml_exp.compose import compose

    composed = compose(["probe=[sharpness,trajectory,pruning,gradient_noise]"])
    config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=False)
    return {"attempt": 1, "config": config, "format_version": 2, "wall_seconds": 7.3}


# Reading simulated runs


def _reading(root: Path, options: Any) -> list[Any]:
    simulate(root, options.runs)
    return [_read(root, kind, options) for kind in READERS]


def simulate(root: Path, num_runs: int) -> None:
    """Finished runs of 1,000 seeds and as many learning rates as that takes."""
    from atml_exp.store.integrity import entry_of
    from atml_exp.store.seals import sealed_json

    info, config_yaml, metrics = _info(), b"seed: 0\n" * 300, [_metrics(k) for k in range(7)]
    for i in range(num_runs):
        run_id = hashlib.sha256(str(i).encode()).hexdigest()[:16]
        info["config"] |= {"seed": i % 1000}
        info["config"]["optimiser"] |= {"learning_rate": 0.01 * (1 + i // 1000)}
        files = {"config.yaml": config_yaml, "metrics.parquet": metrics[i % 7]}
        entries = {name: entry_of(data) for name, data in files.items()}
        sealed = sealed_json({"run_id": run_id, "status": "complete", **info, "files": entries})
        _write(root / "runs" / run_id, {**files, "run.json": sealed})


def _metrics(shift: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from atml_exp.runs import metrics_table

    sink = pa.BufferOutputStream()
    rows = [(step, step / 2, name, 1 / (1 + step + shift)) for step in range(STEPS) for name in NAMES]
    pq.write_table(metrics_table(rows), sink)
    return sink.getvalue().to_pybytes()


def _write(directory: Path, files: dict[str, bytes]) -> None:
    directory.mkdir(parents=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)


def _read(root: Path, kind: str, options: Any) -> Any:
    """In a process of its own; the median of the rounds by the clock, and what that one took."""
    rounds = sorted(_in_a_process(root, kind) for _ in range(options.repeats))
    seconds, processors, gib = rounds[len(rounds) // 2]
    allowed = LIMIT_SECONDS * max(1, options.runs / MANY)
    met = seconds < allowed and gib < LIMIT_GIB
    what = f"{READERS[kind]}, {options.runs:,} simulated runs"
    return _row(what, _Cost(seconds, processors), f", {gib:.2f} GiB", f"< {allowed:g} s, < {LIMIT_GIB} GiB", met)


def _in_a_process(root: Path, kind: str) -> tuple[float, float, float]:
    command = [sys.executable, __file__, kind, str(root)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    processors, gib = json.loads(done.stdout)
    return time.perf_counter() - began, processors, gib


def _child(kind: str, root: str) -> None:
    """Reads, and prints the seconds of processors and the memory of this process and those that helped it."""
    import atml_exp
    from atml_exp.runs import find_runs

    actions: dict[str, Callable[[], object]] = {
        "find": lambda: sum(1 for _ in find_runs(root)),
        "runs_table": lambda: atml_exp.runs_table(root),
        "load": lambda: atml_exp.load(root),
        "one_metric": lambda: atml_exp.load(root, name="test/error"),
    }
    actions[kind]()
    gib = sum(map(_peak, ["self", *_helpers()])) / 2**20
    _end_helpers()
    print(json.dumps([sum(os.times()[:4]), gib]))


def _peak(process: int | str) -> int:
    """The most memory that a process has had, in KiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _helpers() -> list[int]:
    from joblib.externals.loky import reusable_executor

    executor = reusable_executor._executor
    return [] if executor is None else list(executor._processes)


def _end_helpers() -> None:
    """Only what has ended is accounted for."""
    from joblib.externals.loky import get_reusable_executor

    if _helpers():
        get_reusable_executor().shutdown(wait=True)


# Whole sweeps, from the command's start to its end


def _sweeps(options: Any) -> list[Any]:
    one, few, many = (_sweep(num, *FUSED) for num in (1, 10, 1000))
    first, alone = _sweep(1, *ALONE), _sweep(10, *ALONE)
    rows = [
        _row("sweep of 1 tiny run, fused", one),
        _row("sweep of 10 tiny runs, fused", few),
        _row("sweep of 10 tiny runs, one by one", alone),
        _row("sweep of 1,000 tiny runs, fused", many),
        _row("sweep of 1,000 tiny runs, one by one, extrapolated", _extrapolated(alone, first, 10, 1, 1000)),
    ]
    return rows + [_starting(launcher, options) for launcher in ("joblib", "ray")]


def _starting(launcher: str, options: Any) -> Any:
    """The median of what a sweep of one job takes longer over a launcher than here."""
    rounds = [
        (_sweep(1, *FUSED, f"hydra.launcher.over={launcher}"), _sweep(1, *FUSED)) for _ in range(options.repeats)
    ]
    longer = [[o - h for o, h in zip(over, here, strict=True)] for over, here in rounds]
    cost = _Cost(*(statistics.median(values) for values in zip(*longer, strict=True)))
    return _row(f"sweep of 1 tiny run over {launcher}, more than here", cost)


def _sweep(num_runs: int, *launcher: str) -> _Cost:
    """Of a command that trains runs of 20 steps."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["probe=[]", "recipe.evaluate_every=end", "progress=false", "device=cpu", f"output_dir={folder}"]
        tiny = ["model.width=16", "recipe.steps=20", f"seed=range({num_runs})"]
        command = [sys.executable, "-m", "atml_exp", "--multirun", *launcher, *tiny, *quiet]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return _cost(lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment))


if __name__ == "__main__":
    _child(*sys.argv[1:])
