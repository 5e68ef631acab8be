"""Reads run directories: one, or thousands as one table. Needs no torch."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atml_exp.errors import ConfigError

if TYPE_CHECKING:  # half a second that a command which makes no table needn't wait
    import pandas as pd

__all__ = ["SCHEMA", "Run", "find_runs", "load", "metrics_table", "table_of"]

SCHEMA = pa.schema([("step", pa.int64()), ("epoch", pa.float64()), ("name", pa.string()), ("value", pa.float64())])
"""Of the table of metrics."""


class Run:
    """One run directory, finished or not. Nothing is read before it is asked for."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    @cached_property
    def info(self) -> dict[str, Any]:
        """run.json; FileNotFoundError where there is none, ValueError where it is damaged."""
        path = self.directory / "run.json"
        if not path.exists():
            raise FileNotFoundError(f"{self.directory} is not a run directory: it holds no run.json")
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    @property
    def id(self) -> str:
        return self.info["run_id"]

    @property
    def status(self) -> str:
        """running (cut off, or going on), complete, diverged or failed."""
        return self.info["status"]

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config."""
        return self.info["config"]

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """Columns step, epoch, name, value; of an unfinished run, what its log holds so far."""
        return _table(self.directory).to_pandas()

    @cached_property
    def final(self) -> dict[str, float]:
        """The last value of each metric."""
        table = _table(self.directory)
        return dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of one metric; both empty where it wasn't measured."""
        rows = self.metrics[self.metrics["name"] == name]
        return rows["step"].to_numpy(), rows["value"].to_numpy()

    def array(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps (T,), values (T, …)) of a recorded array such as `trajectory/weights`; KeyError without it."""
        stem = name.replace("/", ".", 1)
        whole = self.directory / "arrays" / f"{stem}.npz"
        parts = [whole] if whole.exists() else sorted((self.directory / "arrays" / "chunks" / stem).glob("*.npz"))
        if not parts:
            raise KeyError(f"{self.directory} holds no array {name}")
        loaded = [_steps_and_values(p) for p in parts]
        return np.concatenate([s for s, _ in loaded]), np.concatenate([v for _, v in loaded])

    @property
    def checkpoints(self) -> list[Path]:
        """Kept checkpoints by step, then the one that a resume would go on from."""
        folder = self.directory / "checkpoints"
        return [*sorted(folder.glob("step_*.safetensors")), *folder.glob("resume.safetensors")]

    def with_checkpoints(self) -> list[Path]:
        """The checkpoints; ConfigError where there is no run, or none of it yet."""
        if not (self.directory / "run.json").exists():
            raise ConfigError(
                f"{self.directory}: not a run directory (it holds no run.json); runs lie in outputs/runs/"
            )
        if not self.checkpoints:
            raise ConfigError(
                f"{self.directory}: holds no checkpoint; the first is written after checkpoint.interval seconds, "
                "and with checkpoint.keep=never none is left at the end"
            )
        return self.checkpoints


def _steps_and_values(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return file["steps"], file["values"]


def _table(directory: Path) -> pa.Table:
    path = directory / "metrics.parquet"
    if path.exists():
        with pq.ParquetFile(path) as file:
            return file.read()
    log = directory / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return metrics_table(rows)


def metrics_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """(step, epoch, name, value) for each measured value, by SCHEMA.

    Made of plain memory: pyarrow's own way from lists imports pandas, a third of a second for every command.
    """
    steps, epochs, names, values = zip(*rows, strict=True) if rows else ((),) * 4
    texts = [name.encode() for name in names]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    memory: list[list[Any]] = [[np.array(steps, np.int64)], [np.array(epochs, np.float64)], [ends, b"".join(texts)]]
    memory.append([np.array(values, np.float64)])
    columns = [
        pa.Array.from_buffers(field.type, len(rows), [None, *(pa.py_buffer(part) for part in parts)])
        for field, parts in zip(SCHEMA, memory, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def find_runs(path: str | Path) -> Iterator[Run]:
    """The runs in a run directory, a folder of them, or an output folder that holds `runs/`; by name.

    FileNotFoundError where the path doesn't exist.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist: nothing to load")
    if (root / "run.json").exists():
        yield Run(root)
        return
    folder = root / "runs" if (root / "runs").is_dir() else root
    yield from (Run(p.parent) for p in sorted(folder.glob("*/run.json")))


def load(path: str | Path = "outputs", **filters: Any) -> "pd.DataFrame":
    """All runs below `path` as one tidy frame: a row for each measured value, the config's values as columns.

    Columns: run_id, attempt, status, step, epoch, name, value, then one for each config value by its dotted name
    (`model`, `model.width`, `optimiser.learning_rate`, `seed`, …; lists as text).

    filters: column = value or a list of values; dots as double underscores: `load(name="test/error", seed=[0, 1],
    model="mlp", model__width=64, status="complete")`; text is compared without regard to case. Raises KeyError for
    a column that no run has, warns where no run has the value, and of a run.json that can't be read.

    The latest attempt of a run stands for it; `attempt=…` asks for particular ones.
    """
    wanted = {key.replace("__", "."): value for key, value in filters.items()}
    names = wanted.pop("name", None)
    runs = [(r, _columns(r)) for r in find_runs(path) if _is_readable(r)]
    _check_columns(wanted, [c for _, c in runs])
    if "attempt" not in wanted:
        runs = _latest_attempts(runs)
    _warn_of_missing(wanted, [c for _, c in runs])
    chosen = [(r, c) for r, c in runs if all(_matches(c.get(k), v) for k, v in wanted.items())]
    return _frame([r for r, _ in chosen], [c for _, c in chosen], names)


def table_of(runs: Sequence[Run]) -> "pd.DataFrame":
    """These runs as one tidy frame, with the columns of `load`."""
    return _frame(list(runs), [_columns(run) for run in runs], None)


def _columns(run: Run) -> dict[str, Any]:
    info = run.info
    attempt = info.get("attempt", 1)
    return {"run_id": info["run_id"], "attempt": attempt, "status": info["status"], **flatten(info["config"])}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names; lists as text. A node has the name of its target.

    >>> flatten({"seed": 0, "model": {"_target_": "atml_exp.models.mlp.mlp", "width": 64}, "sizes": [1, 2]})
    {'seed': 0, 'model': 'mlp', 'model._target_': 'atml_exp.models.mlp.mlp', 'model.width': 64, 'sizes': '[1, 2]'}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            if "_target_" in value:
                flat[prefix + key] = str(value["_target_"]).rpartition(".")[2]
            flat |= flatten(value, f"{prefix}{key}.")
        elif key != "_partial_":
            flat[prefix + key] = str(value) if isinstance(value, list) else value
    return flat


def _check_columns(wanted: Mapping[str, Any], columns: list[dict[str, Any]]) -> None:
    known = set().union(*columns) if columns else set(wanted)
    if unknown := sorted(set(wanted) - known):
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], known, 1)
        raise KeyError(f"no run has a column {unknown[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _latest_attempts(runs: list[tuple[Run, dict[str, Any]]]) -> list[tuple[Run, dict[str, Any]]]:
    latest: dict[str, tuple[Run, dict[str, Any]]] = {}
    for run, columns in runs:
        if columns["attempt"] >= latest.get(columns["run_id"], (run, {"attempt": 0}))[1]["attempt"]:
            latest[columns["run_id"]] = (run, columns)
    return list(latest.values())


def _matches(value: Any, wanted: Any) -> bool:
    several = wanted if isinstance(wanted, list | tuple | set | range) else [wanted]
    return _folded(value) in [_folded(w) for w in several]


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _is_readable(run: Run) -> bool:
    try:
        return bool(run.info)
    except ValueError as error:
        warnings.warn(f"{error}; the run is left out", stacklevel=3)
        return False


def _warn_of_missing(wanted: Mapping[str, Any], columns: list[dict[str, Any]]) -> None:
    for key, value in wanted.items():
        if columns and not any(_matches(c.get(key), value) for c in columns):
            there = ", ".join(sorted({str(c[key]) for c in columns if key in c})[:20])
            warnings.warn(f"no run has {key} = {value!r}; there are: {there}", stacklevel=3)


def _frame(runs: list[Run], columns: list[dict[str, Any]], names: Any) -> "pd.DataFrame":
    """Metrics end to end; the columns as categories, so that a long table repeats no text."""
    import pandas as pd

    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(_table, [r.directory for r in runs]))
    lengths = [len(t) for t in tables]
    metrics = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    metrics = metrics.set_column(2, "name", metrics["name"].dictionary_encode())
    keys = dict.fromkeys(["run_id", "attempt", "status"]) | {k: None for c in columns for k in c}
    owner = np.repeat(np.arange(len(runs)), lengths)
    frame = metrics.to_pandas()
    per_run = pd.DataFrame(columns, columns=list(keys))
    frame = pd.concat([per_run.take(owner).reset_index(drop=True), frame], axis=1)[
        [*list(keys)[:3], *SCHEMA.names, *list(keys)[3:]]
    ]
    if names is None:
        return frame
    return frame[frame["name"].isin([names] if isinstance(names, str) else list(names))].reset_index(drop=True)
