"""Reads run directories: one, or thousands as one table. Needs no torch."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.inline import run_html
from atml_exp.nodes import flatten
from atml_exp.store.batchwise import batchwise
from atml_exp.store.columns import Columns, Layouts, beside, one_row_each
from atml_exp.store.integrity import FINISHED, FORMER, LOG, RESUME, check, checked_bytes, chunks, read_info, reading
from atml_exp.store.seals import read_log

if TYPE_CHECKING:  # half a second that a command which makes no table needn't wait
    import pandas as pd

__all__ = ["SCHEMA", "Run", "find_runs", "load", "metrics_table", "runs_table", "table_of"]

SCHEMA = pa.schema([("step", pa.int64()), ("epoch", pa.float64()), ("name", pa.string()), ("value", pa.float64())])
"""Of the table of metrics."""

METRICS = "metrics.parquet"
FIRST = ("run_id", "attempt", "status")
OF_A_ROW = ("step", "epoch", "value")
"""Columns that the rows of a run differ in, beside the name."""

_NEEDED = ("run_id", "status", "config")
"""What the run.json of every run says."""

_T = TypeVar("_T")


class Run:
    """One run directory, finished or not. Nothing is read before it is asked for.

    A file that isn't what was written into the directory, truncated, altered, of another run or not there, raises
    DamagedRunError when it is asked for. Files that the run hasn't written are never read.

    Where a path is asked for, a run stands for its directory: `Path(run)`, `str(run)`.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r})"

    def __str__(self) -> str:
        return str(self.directory)

    def __fspath__(self) -> str:
        return str(self.directory)

    def _repr_html_(self) -> str:
        return run_html(self)

    @cached_property
    def info(self) -> dict[str, Any]:
        """run.json. FileNotFoundError where there is none; ConfigError where a newer version wrote it."""
        return read_info(self.directory)

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

    @property
    def config_yaml(self) -> str:
        """The resolved config as the run was given it."""
        return check(self.directory, "config.yaml", self._info_by_now()).read_text(encoding="utf-8")

    @cached_property
    def metrics(self) -> "pd.DataFrame":
        """Columns step, epoch, name, value; of an unfinished run, what its log holds so far."""
        return self.table().to_pandas()

    @cached_property
    def final(self) -> dict[str, float]:
        """The last value of each metric."""
        table = self.table()
        return dict(zip(table["name"].to_pylist(), table["value"].to_pylist(), strict=True))

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps, values) of one metric; both empty where it wasn't measured."""
        rows = self.metrics[self.metrics["name"] == name]
        return rows["step"].to_numpy(), rows["value"].to_numpy()

    def table(self) -> pa.Table:
        """The metrics by SCHEMA."""
        return self._read(lambda info: _table(self.directory, info))

    def array(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(steps (T,), values (T, …)) of a recorded array such as `trajectory/weights`; KeyError without it."""
        return self._read(lambda info: _array(self.directory, name, info))

    @property
    def array_names(self) -> list[str]:
        """Of the arrays that the run has recorded."""
        info = self._info_by_now()
        found: list[str] | list[Path] = [name for name in info.get("files", ()) if name.startswith("arrays/")]
        if not _has_ended(info) or "files" not in info:
            found = [*self.directory.glob("arrays/*.npz"), *self.directory.glob("arrays/chunks/*")]
        return sorted({Path(p).name.removesuffix(".npz").replace(".", "/", 1) for p in found})

    @property
    def checkpoints(self) -> list[Path]:
        """Kept checkpoints by step, then the one that a resume would go on from."""
        folder, info = self.directory / "checkpoints", self._info_by_now()
        if _has_ended(info) and "files" in info:
            return [self.directory / name for name in info["files"] if name.startswith("checkpoints/")]
        resume = [p for p in (folder / RESUME, folder / FORMER) if p.exists() and not _has_ended(info)]
        return [*sorted(folder.glob("step_*.safetensors")), *resume[:1]]

    def _info_by_now(self) -> dict[str, Any]:
        """run.json, read again where the run had not ended."""
        return self.info if _has_ended(self.info) else read_info(self.directory)

    def _read(self, read: Callable[[dict[str, Any]], _T]) -> _T:
        """What is read of a run, once more where the run has ended meanwhile."""
        info = self._info_by_now()
        try:
            return read(info)
        except (DamagedRunError, KeyError):
            if _has_ended(info) or not _has_ended(later := self._info_by_now()):
                raise
            return read(later)

    def with_checkpoints(self) -> list[Path]:
        """The checkpoints; ConfigError where there is no run, or none of it yet."""
        if not (self.directory / "run.json").exists():
            raise ConfigError(
                f"{self.directory}: not a run directory (it holds no run.json); runs lie in outputs/runs/"
            )
        if not self.checkpoints:
            raise ConfigError(f"{self.directory}: holds no checkpoint; {self._why_none()}")
        return self.checkpoints

    def _why_none(self) -> str:
        """Why there is no checkpoint, and how there will be one."""
        if self.status == "diverged":
            return (
                f"the run diverged at step {self.info.get('diverged_at', 0)}, before the first that "
                "checkpoint.keep asked for: checkpoint.keep=1it force=true keeps those before"
            )
        return (
            "the first is written after checkpoint.interval seconds, and with checkpoint.keep=never none is left "
            "at the end"
        )


def _has_ended(info: Mapping[str, Any]) -> bool:
    return info.get("status") in FINISHED


def _array(directory: Path, name: str, info: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    stem = name.replace("/", ".", 1)
    whole = f"arrays/{stem}.npz"
    if whole in info.get("files", {}) or (_is_whole(info) and (directory / whole).exists()):
        parts = [check(directory, whole, info)]
    else:
        parts = [] if _has_ended(info) else chunks(directory, stem, info)
    if not parts:
        raise KeyError(f"{directory} holds no array {name}")
    loaded = [_steps_and_values(p) for p in parts]
    return np.concatenate([s for s, _ in loaded]), np.concatenate([v for _, v in loaded])


def _is_whole(info: Mapping[str, Any]) -> bool:
    """Whether what lies in its final form counts; of format 1 it did before run.json said so."""
    return _has_ended(info) or info.get("format_version", 1) == 1


def _steps_and_values(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with reading(path), np.load(path, allow_pickle=False) as file:
        return file["steps"], file["values"]


def _table(directory: Path, info: Mapping[str, Any]) -> pa.Table:
    path = directory / METRICS
    if _has_ended(info) or (_is_whole(info) and path.exists()):
        data = checked_bytes(directory, METRICS, info)
        with reading(path), pq.ParquetFile(pa.BufferReader(data)) as file:
            return file.read(use_threads=False)  # which for a small file cost more than they save
    with reading(directory / LOG):
        if not (directory / LOG).exists() and _has_ended(read_info(directory)):
            raise FileNotFoundError
        former = info.get("format_version", 1) == 1
        return metrics_table(read_log(directory / LOG, info.get("run_id", ""), former=former)[0])


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
    yield from map(Run, _directories(path))


def _directories(path: str | Path) -> list[str]:
    """Of the runs. As text, since pathlib would take ten times as long."""
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"{root} does not exist: nothing to load")
    if (root / "run.json").exists():
        return [str(root)]
    folder = root / "runs" if (root / "runs").is_dir() else root
    directories = (f"{folder}/{name}" for name in sorted(os.listdir(folder)))
    return [directory for directory in directories if os.access(f"{directory}/run.json", os.F_OK)]


def runs_table(path: str | Path = "outputs", **filters: Any) -> "pd.DataFrame":
    """All runs below `path`, a row for each: run_id, attempt, status, and the config's values as in `load`.

    No metrics are read. filters: as of `load`, but for `name`.
    """
    chosen = _chosen(path, {key.replace("__", "."): value for key, value in filters.items()})
    return one_row_each([run.columns for run in chosen], FIRST)


def load(path: str | Path = "outputs", **filters: Any) -> "pd.DataFrame":
    """All runs below `path` as one tidy frame: a row for each measured value, the config's values as columns.

    Columns: run_id, attempt, status, step, epoch, name, value, then one for each config value by its dotted name
    (`model`, `model.width`, `optimiser.learning_rate`, `seed`, …; lists as text).

    filters: column = value or a list of values; dots as double underscores: `load(name="test/error", seed=[0, 1],
    model="mlp", model__width=64, status="complete", step=[0, 100])`; text is compared without regard to case.
    Raises KeyError for a column that no run has, warns where no run has the value of one of a run's columns, and of
    each damaged run, which is left out.

    The latest attempt of a run stands for it; `attempt=…` asks for particular ones. Thousands of runs are read in
    several processes.
    """
    wanted = {key.replace("__", "."): value for key, value in filters.items()}
    names = wanted.pop("name", None)
    of_rows = {key: wanted.pop(key) for key in OF_A_ROW if key in wanted}
    chosen = _chosen(path, wanted)
    read = batchwise(partial(_read_metrics, names=names), [(run.directory, run.info) for run in chosen])
    problems = [problem for part in read for problem in part.problems]
    for problem in filter(None, problems):
        warnings.warn(f"{problem}; the run is left out", stacklevel=2)
    sound = [run.columns for run, problem in zip(chosen, problems, strict=True) if problem is None]
    frame = _frame(read, sound)
    for column, values in of_rows.items():
        frame = frame[frame[column].isin(_several(values))]
    return frame.reset_index(drop=True) if of_rows else frame


def table_of(runs: Sequence[Run]) -> "pd.DataFrame":
    """These runs as one tidy frame, with the columns of `load`. DamagedRunError where one of them is damaged."""
    layouts: Layouts = {}
    columns = [Columns(_columns(run.info), layouts) for run in runs]
    return _frame([_joined([run.table() for run in runs], None)] if runs else [], columns)


class _Found(NamedTuple):
    """A run's columns, and of its run.json what reading its metrics needs."""

    directory: str
    info: dict[str, Any]
    columns: Columns


class _Metrics(NamedTuple):
    """Metrics of several runs end to end, with numbers for names.

    lengths: of the sound runs. problems: for each run, why its metrics can't be had, or None.
    """

    rows: pa.Table
    names: list[str]
    lengths: np.ndarray
    problems: list[str | None]


def _chosen(path: str | Path, wanted: Mapping[str, Any]) -> list[_Found]:
    """The runs that `load` is asked for; of each, no more than its metrics need is kept."""
    found = [run for batch in batchwise(_read_infos, _directories(path)) for run in batch]
    for problem in (run for run in found if isinstance(run, str)):
        warnings.warn(f"{problem}; the run is left out", stacklevel=3)
    runs = [run for run in found if not isinstance(run, str)]
    _check_columns(wanted, [run.columns for run in runs])
    if "attempt" not in wanted:
        runs = _latest_attempts(runs)
    _warn_of_missing(wanted, [run.columns for run in runs])
    return [run for run in runs if all(_matches(run.columns.get(k), v) for k, v in wanted.items())]


def _read_infos(directories: Sequence[str]) -> list[_Found | str]:
    """Each run, or why it can't be read."""
    layouts: Layouts = {}
    return [_read_one(directory, layouts) for directory in directories]


def _read_one(directory: str, layouts: Layouts) -> _Found | str:
    try:
        info = read_info(Path(directory))
        if missing := [key for key in _NEEDED if key not in info]:
            raise DamagedRunError.of(Path(directory) / "run.json", f"isn't that of a run: {missing[0]} is missing")
    except ValueError as error:
        return str(error)
    kept: dict[str, Any] = {key: info[key] for key in ("run_id", "status", "format_version") if key in info}
    if "files" in info:
        kept["files"] = {name: entry for name, entry in info["files"].items() if name == METRICS}
    return _Found(directory, kept, Columns(_columns(info), layouts))


def _read_metrics(runs: Sequence[tuple[str, dict[str, Any]]], names: Any) -> _Metrics:
    """names: of the metrics that are kept; None for all."""
    read = [_read_table(directory, info) for directory, info in runs]
    problems = [table if isinstance(table, str) else None for table in read]
    return _joined([table for table in read if not isinstance(table, str)], names)._replace(problems=problems)


def _read_table(directory: str, info: dict[str, Any]) -> pa.Table | str:
    """The metrics of a run, or why they can't be had."""
    run = Run(directory)
    run.info = info
    try:
        return run.table()
    except DamagedRunError as error:
        return str(error)


def _columns(info: Mapping[str, Any]) -> dict[str, Any]:
    attempt = info.get("attempt", 1)
    return {"run_id": info["run_id"], "attempt": attempt, "status": info["status"], **flatten(info["config"])}


def _check_columns(wanted: Mapping[str, Any], columns: Sequence[Columns]) -> None:
    layouts = {id(run.layout): run.layout for run in columns}.values()
    known = set().union(*layouts) if layouts else set(wanted)
    if unknown := sorted(set(wanted) - known):
        from difflib import get_close_matches

        near = get_close_matches(unknown[0], known, 1)
        raise KeyError(f"no run has a column {unknown[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _latest_attempts(runs: list[_Found]) -> list[_Found]:
    latest: dict[str, _Found] = {}
    for run in runs:
        name = run.columns["run_id"]
        if run.columns["attempt"] >= latest.get(name, run).columns["attempt"]:
            latest[name] = run
    return list(latest.values())


def _matches(value: Any, wanted: Any) -> bool:
    return _folded(value) in [_folded(w) for w in _several(wanted)]


def _several(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple | set | range) else [wanted]


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _warn_of_missing(wanted: Mapping[str, Any], columns: Sequence[Columns]) -> None:
    for key, value in wanted.items():
        if columns and not any(_matches(c.get(key), value) for c in columns):
            there = ", ".join(sorted({str(c[key]) for c in columns if key in c})[:20])
            warnings.warn(f"no run has {key} = {value!r}; there are: {there}", stacklevel=4)


def _frame(read: Sequence[_Metrics], columns: Sequence[Columns]) -> "pd.DataFrame":
    """Metrics end to end, with the columns of their runs."""
    known: dict[str, int] = {}
    parts = [_renamed(part, known) for part in read]
    rows = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    places = rows["name"].combine_chunks().cast(pa.int32())
    named = pa.DictionaryArray.from_arrays(places, pa.array(list(known), pa.string()))
    frame = rows.set_column(2, "name", named).to_pandas()
    lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in read)])
    return beside(one_row_each(columns, FIRST), lengths, frame)


def _renamed(part: _Metrics, known: dict[str, int]) -> pa.Table:
    """The rows with the numbers that `known` has for names, to which new ones are added."""
    numbers = np.array([known.setdefault(name, len(known)) for name in part.names], np.int32)
    return part.rows.set_column(2, "name", pa.array(numbers[part.rows["name"].to_numpy()], pa.int32()))


def _joined(tables: Sequence[pa.Table], wanted: str | Iterable[str] | None) -> _Metrics:
    """The metrics of these runs. wanted: names of those that are kept; None for all."""
    rows = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    encoded = rows["name"].combine_chunks().dictionary_encode()
    names, numbers = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    rows = rows.set_column(2, "name", encoded.indices)
    if wanted is not None:
        chosen = {wanted} if isinstance(wanted, str) else set(wanted)
        kept = np.isin(numbers, [i for i, name in enumerate(names) if name in chosen])
        rows, owner = rows.filter(pa.array(kept)), owner[kept]
    return _Metrics(rows.combine_chunks(), names, np.bincount(owner, minlength=len(tables)), [None] * len(tables))
