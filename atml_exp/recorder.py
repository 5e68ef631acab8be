"""Writes a run directory: whole or absent, nothing overwritten, nothing pickled, nothing damaged gone on from.

While a run goes on, metrics are appended to `metrics.jsonl`, and arrays lie in chunks, each of what was recorded
before a step: that of a checkpoint, or one at which memory held enough of it. `checkpoints/resume.safetensors` is
the state that a resume goes on from; `stage_*.safetensors` what the trainings before it left, where a run has
several. Each carries a checksum (`atml_exp.store.integrity`). What was written after that checkpoint is dropped on
resuming and comes out again, bit for bit. At the end metrics.parquet and one .npz for each array take their place,
and run.json, written last, says by its `status` that all is there, and of each file its size and digest.
"""

import json
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from atml_exp.errors import TakenAwayError
from atml_exp.runs import metrics_table
from atml_exp.store.chunks import write_chunk
from atml_exp.store.damage import refuse_damaged
from atml_exp.store.files import write_atomically, write_parts, write_stacked
from atml_exp.store.integrity import (
    FORMAT_VERSION,
    FORMER,
    LOG,
    READY,
    RESUME,
    check_checkpoint,
    check_sealed,
    entry,
    entry_of,
    label,
    reading,
    write_sealed,
)
from atml_exp.store.lock import Lock
from atml_exp.store.seals import Row, first_crc, log_line, log_lines, read_log, sealed_tensors
from atml_exp.store.sparse import packed, unpacked
from atml_exp.store.together import (
    clean_up,
    keep_former,
    resume_file,
    settle,
    step_of,
)
from atml_exp.store.upgrade import upgrade

__all__ = ["Checkpoint", "RunWriter", "UnfitArrayError"]

LIMIT = 2**23
"""Bytes of an array that are kept in memory; a population of 100 runs then keeps less than 1 GB of each."""


class UnfitArrayError(ValueError):
    """An array that can't be recorded under its name; nothing of it is."""


class Checkpoint:
    """A file of named tensors: `model.<name>` as in a state_dict, `optimiser.<name>`, and the step.

    A tensor that is mostly zeros, a pruned net's, takes up a bit for each entry and its other entries; see
    `packed`. notes: what was noted beside the state. needs: what a resume from here needs besides, see RunWriter.
    """

    def __init__(self, path: Path) -> None:
        """DamagedRunError where the file isn't what was written, or isn't of the run in whose directory it lies."""
        check_checkpoint(path)
        with reading(path):
            self._read(path)

    def _read(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = unpacked({key: file.get_tensor(key) for key in file.keys()}, metadata)  # noqa: SIM118 (not a dict)
        self.step = int(metadata["step"])
        self.updates = int(metadata.get("updates", self.step))
        self.seconds = float(metadata.get("seconds", 0))
        self.notes: dict[str, Any] = json.loads(metadata.get("notes", "{}"))
        self.needs: dict[str, Any] = json.loads(metadata.get("needs", "{}"))
        self.model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        self.optimiser = {k.removeprefix("optimiser."): v for k, v in tensors.items() if k.startswith("optimiser.")}

    @staticmethod
    def save(
        path: Path,
        model: Mapping[str, Tensor],
        optimiser: Mapping[str, Tensor],
        *,
        of: str = "",
        notes: Mapping[str, Any] | None = None,
        needs: Mapping[str, Any] | None = None,
        **metadata: float,
    ) -> None:
        """Writes it atomically. Tensors that share memory are written each for itself.

        of: what the file is, and of which run. notes, needs: what JSON can say.
        """
        tensors = {f"model.{n}": t for n, t in model.items()} | {f"optimiser.{n}": t for n, t in optimiser.items()}
        stored, shapes = packed({n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()})
        words = {key: repr(value) for key, value in metadata.items()} | shapes
        words |= {key: json.dumps(said) for key, said in (("notes", notes), ("needs", needs)) if said}
        write_parts(path, sealed_tensors(save(stored), {**words, "of": of}))


class RunWriter:
    """The one writer of one run directory.

    The checkpoint that a run goes on from says what belongs to it (`Checkpoint.needs`): `rows`, how many lines of
    the log come before it, and the checksum of the last, `crc`; `arrays`, how many records of each array lie in
    chunks; which other `checkpoints` there are. Where one of them is missing or damaged, there is no going on.

    >>> RunWriter.array_file(Path("run"), "trajectory/weights").as_posix()
    'run/arrays/trajectory.weights.npz'
    """

    def __init__(
        self, directory: Path, info: Mapping[str, Any], config_yaml: str, *, lock: Lock | None = None
    ) -> None:
        """Takes the directory over, new or cut off; RunBusyError where another process is writing it.

        lock: the directory's, where the caller holds it, and goes on holding it. Whatever writes into the directory
        later raises TakenAwayError, and writes nothing, where it has been removed, emptied or renamed since.
        """
        if lock is None:
            directory.mkdir(parents=True, exist_ok=True)
        elif not lock.is_in_place():
            raise TakenAwayError.of(directory)
        self.directory = directory
        self._lock, self._is_own_lock = lock or Lock(directory), lock is None
        self._began = time.monotonic()
        self._rows: list[Row] = []
        self._crcs: list[int] = []
        self._arrays: dict[str, list[tuple[int, np.ndarray]]] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self.info: dict[str, Any] = {**info, "format_version": FORMAT_VERSION, "status": "running"}
        try:
            self._take_over(config_yaml)
        except BaseException:
            self._release()
            raise

    def _take_over(self, config_yaml: str) -> None:
        """A kill in here leaves what the next call takes over in the same way: run.json allows both configs."""
        refuse_damaged(self.directory)
        upgrade(self.directory)
        self.resumed = self._read_resume()
        self.seconds_before = self.resumed.seconds if self.resumed else 0.0
        needs = self.resumed.needs if self.resumed else {}
        self._is_shared, self._has_former = True, False
        self._counts: dict[str, int] = dict(needs.get("arrays", {}))
        self._there: list[str] = list(needs.get("checkpoints", ()))
        path, data = self.directory / "config.yaml", config_yaml.encode()
        before = entry(path) if path.exists() else None
        self._write_info(files={path.name: {**entry_of(data), "before": before}}, resumes=self.resumed is not None)
        write_atomically(path, lambda p: p.write_bytes(data))
        self._drop_from(self.resumed.step if self.resumed else 0)
        self._log = (self.directory / LOG).open("a", encoding="utf-8", newline="\n")

    @staticmethod
    def array_file(directory: Path, name: str) -> Path:
        return directory / "arrays" / f"{name.replace('/', '.', 1)}.npz"

    @staticmethod
    def resume_step(directory: Path) -> int:
        """The step that a cut-off run goes on from: 0 where there is no checkpoint."""
        path = resume_file(directory)
        return 0 if path is None else step_of(path)

    @property
    def seconds(self) -> float:
        """Wall time so far, over all sittings."""
        return self.seconds_before + time.monotonic() - self._began

    def scalars(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One row for each value, appended to the log at once."""
        rows = [(step, epoch, name, float(value)) for name, value in values.items()]
        for row in rows:
            line, crc = log_line(row, self._crcs[-1] if self._crcs else first_crc(self.info["run_id"]))
            self._rows.append(row)
            self._crcs.append(crc)
            self._log.write(line)
        self._log.flush()

    def values(self, name: str) -> list[float]:
        """All values of a metric so far."""
        return [value for _, _, metric, value in self._rows if metric == name]

    def arrays(self, step: int, values: Mapping[str, Tensor]) -> None:
        """One record for each array, kept in memory until the next checkpoint or until it is `LIMIT` bytes.

        Raises UnfitArrayError, and records none of them, where one isn't of its earlier records' shape and type.
        """
        fitting = {name: self._fitting(name, value) for name, value in values.items()}
        for name, value in fitting.items():
            records = self._arrays.setdefault(name, [])
            if records and len(records) * records[0][1].nbytes >= LIMIT:
                self._flush(name, step)
            self._arrays[name].append((step, value.copy()))
            self._kinds[name] = value.shape, value.dtype

    def _fitting(self, name: str, value: Tensor) -> np.ndarray:
        """As NumPy has it, of the shape and type that the array has had so far, in this sitting or before."""
        try:
            array: np.ndarray = value.numpy()
        except (TypeError, RuntimeError) as error:
            raise UnfitArrayError(f"{name} can't be recorded: {error}") from error
        shape, dtype = self._kind(name) or (array.shape, array.dtype)
        if (shape, dtype) != (array.shape, array.dtype):
            raise UnfitArrayError(
                f"{name} is of shape {array.shape}, {array.dtype}, and was of {shape}, {dtype} before: an array "
                "keeps its shape and type; another kind needs a name of its own"
            )
        return array

    def _kind(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
        """Shape and type of an array's records; None where there are none."""
        if name not in self._kinds and (part := next(self._stored(name, "values"), None)) is not None:
            self._kinds[name] = part.shape[1:], part.dtype
        return self._kinds.get(name)

    def recorded(self, name: str) -> np.ndarray:
        """All values of an array so far, (T, …); KeyError with the names that there are."""
        steps = self._steps(name)
        if len(steps) == 0:
            raise KeyError(
                f"nothing is recorded as {name}; recorded: {', '.join(self._array_names()) or 'nothing'}"
            )
        parts, end = self._values(name), 0
        first = next(parts)
        values = np.empty((len(steps), *first.shape[1:]), first.dtype)  # filled part by part: no second copy
        for part in chain([first], parts):
            values[end : end + len(part)] = part
            end += len(part)
        return values

    def checkpoint(
        self,
        step: int,
        model: Mapping[str, Tensor],
        optimiser: Mapping[str, Tensor],
        *,
        notes: Mapping[str, Any] | None = None,
        together: Sequence[str] = (),
    ) -> None:
        """The state before `step` is measured; everything measured before lies on disk first.

        together: the directories' names of a population's runs. The former checkpoint then stays beside this one
        until all of them have theirs, and `forget_former` is called. notes: read again as `resumed.notes`.
        """
        self._ensure_in_place()
        self._flush_arrays(step)
        more = dict(notes or {})
        if together:
            self._has_former = keep_former(self.directory) if self._is_shared else self._has_former
            more |= {"together": list(together), "first": not self._has_former}
            self._is_shared = False
        path = self._checkpoints / RESUME
        words: dict[str, Any] = {"of": self._label(path), "notes": more, "needs": self._needs(step)}
        Checkpoint.save(path, model, optimiser, step=step, seconds=self.seconds, **words)

    def forget_former(self) -> None:
        """All runs of the population have their new checkpoint."""
        (self._checkpoints / FORMER).unlink(missing_ok=True)
        self._is_shared = True

    def leave_stage(self, step: int, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]) -> None:
        """What a stage that ended at `step` left, for a run that is cut off in a later one."""
        self._ensure_in_place()
        path = self._stage_file(step)
        Checkpoint.save(path, model, optimiser, of=self._label(path), step=step)
        self._remember(path)

    def stage(self, step: int) -> Checkpoint:
        """What the stage that ended at `step` left."""
        return Checkpoint(self._stage_file(step))

    def keep(
        self,
        step: int,
        model: Mapping[str, Tensor],
        optimiser: Mapping[str, Tensor] | None = None,
        *,
        updates: int | None = None,
    ) -> None:
        """A checkpoint for good, with the optimiser's state where it is given; equal runs have equal files.

        updates: how many the optimiser has made, where that isn't `step`.
        """
        self._ensure_in_place()
        more: dict[str, Any] = {"updates": updates} if optimiser and updates not in (None, step) else {}
        path = self._checkpoints / f"step_{step:08d}.safetensors"
        Checkpoint.save(path, model, optimiser or {}, of=self._label(path), step=step, **more)
        self._remember(path)

    def finish(self, status: str, **info: Any) -> None:
        """Puts everything in its final form; run.json, written last, makes it count."""
        self.prepare(status, **info)
        self.conclude()

    def prepare(self, status: str, *, together: Sequence[str] = (), **info: Any) -> None:
        """Everything in its final form, which doesn't count yet. together: as in `checkpoint`."""
        self._ensure_in_place()
        self._log.close()
        table = metrics_table(self._rows)
        write_atomically(self.directory / "metrics.parquet", partial(_write_parquet, table))
        for name in self._array_names():
            write_stacked(self.array_file(self.directory, name), self._steps(name), self._values(name))
        self.info.update(info, status=status, wall_seconds=round(self.seconds, 3), files=self._files())
        self.info.pop("resumes", None)
        if together:
            ready = {"of": self._label(self.directory / READY), "together": list(together), "info": self.info}
            write_sealed(self.directory / READY, ready)

    def conclude(self) -> None:
        """Makes what was prepared count."""
        self._ensure_in_place()
        self._write_info()
        clean_up(self.directory)
        self.close()

    def interrupt(self, **info: Any) -> None:
        """Leaves the run as it is, to be gone on with."""
        self._ensure_in_place()
        files = {"config.yaml": entry(self.directory / "config.yaml")}
        resumes = resume_file(self.directory) is not None
        self._write_info(**info, wall_seconds=round(self.seconds, 3), files=files, resumes=resumes)
        self.close()

    def close(self) -> None:
        """Writes nothing more and lets others have the directory."""
        with suppress(OSError):  # of a full disk, which has been said
            self._log.close()
        self._release()

    def _release(self) -> None:
        if self._is_own_lock:
            self._lock.release()

    def _ensure_in_place(self) -> None:
        """Before a write, which would make a folder anew. TakenAwayError, see above."""
        if not (self._lock.is_in_place() and (self.directory / "run.json").is_file()):
            raise TakenAwayError.of(self.directory)

    def _write_info(self, **info: Any) -> None:
        self.info.update(info)
        write_sealed(self.directory / "run.json", self.info)

    def _label(self, path: Path) -> str:
        return label(self.info, path.relative_to(self.directory).as_posix())

    def _remember(self, path: Path) -> None:
        """A checkpoint that stays."""
        name = path.relative_to(self.directory).as_posix()
        if name not in self._there:
            self._there.append(name)

    def _needs(self, step: int) -> dict[str, Any]:
        """What a resume from `step` needs besides the checkpoint."""
        rows = bisect_left(self._rows, step, key=lambda row: row[0])
        crc = self._crcs[rows - 1] if rows else 0
        return {"rows": rows, "crc": crc, "arrays": dict(self._counts), "checkpoints": list(self._there)}

    def _files(self) -> dict[str, Any]:
        """Size and digest of each file of a run that has ended. DamagedRunError for a checkpoint that isn't."""
        kept = sorted(name for name in self._there if Path(name).name.startswith("step_"))
        for name in kept:
            check_sealed(self.directory, name, self.info)
        arrays = [self.array_file(self.directory, name) for name in self._array_names()]
        arrays_there = [path.relative_to(self.directory).as_posix() for path in arrays]
        names = ["config.yaml", "metrics.parquet", *arrays_there, *kept]
        return {name: entry(self.directory / name) for name in names}

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def _stage_file(self, step: int) -> Path:
        return self._checkpoints / f"stage_{step:08d}.safetensors"

    @property
    def _chunks(self) -> Path:
        return self.directory / "arrays" / "chunks"

    def _read_resume(self) -> Checkpoint | None:
        path = settle(self.directory)
        return None if path is None else Checkpoint(path)

    def _drop_from(self, step: int) -> None:
        """Forgets what was recorded at `step` or later, and a torn last line."""
        path, run = self.directory / LOG, self.info["run_id"]
        with reading(path):
            self._rows = [row for row in read_log(path, run)[0] if row[0] < step]
        text, self._crcs = log_lines(self._rows, run)
        write_atomically(path, lambda p: p.write_bytes(text.encode()))
        for chunk in self._chunks.glob("*/[0-9]*.npz"):
            if int(chunk.stem) > step:
                chunk.unlink()
        for leftover in self.directory.rglob(".*.partial"):
            leftover.unlink()

    def _flush_arrays(self, step: int) -> None:
        for name in self._arrays:
            self._flush(name, step)

    def _flush(self, name: str, step: int) -> None:
        """A chunk is named by a step, as is the checkpoint that it may belong to, and holds what came before.

        Ctrl-C in here leaves the records in memory and uncounted: written again, the chunk is the same.
        """
        records = self._arrays[name]
        before = [record for record in records if record[0] < step]
        if before:
            self._ensure_in_place()
            steps, values = zip(*before, strict=True)
            path = self._folder(name) / f"{step:08d}.npz"
            after = self._counts.get(path.parent.name, 0)
            left, count = records[len(before) :], after + len(before)  # of the step itself: recorded anew
            write_chunk(path, np.array(steps), np.stack(values), of=self._label(path), after=after)
            self._arrays[name], self._counts[path.parent.name] = left, count

    def _array_names(self) -> list[str]:
        on_disk = {d.name.replace(".", "/", 1) for d in self._chunks.glob("*") if d.is_dir()}
        return sorted(on_disk | set(self._arrays))

    def _folder(self, name: str) -> Path:
        return self._chunks / name.replace("/", ".", 1)

    def _steps(self, name: str) -> np.ndarray:
        """At which steps an array was recorded, (T,)."""
        in_memory = np.array([step for step, _ in self._arrays.get(name, ())], dtype=np.int64)
        return np.concatenate([*self._stored(name, "steps"), in_memory])

    def _values(self, name: str) -> Iterator[np.ndarray]:
        """What was recorded then, chunk by chunk, (…, …)."""
        yield from self._stored(name, "values")
        if records := self._arrays.get(name):
            yield np.stack([value for _, value in records])

    def _stored(self, name: str, which: str) -> Iterator[np.ndarray]:
        for chunk in sorted(self._folder(name).glob("*.npz")):
            with reading(chunk), np.load(chunk, allow_pickle=False) as file:
                yield file[which]


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Into an open file: pyarrow would take a path such as `s3:/bucket/…` for a place elsewhere."""
    with path.open("wb") as file:
        pq.write_table(table, file)
