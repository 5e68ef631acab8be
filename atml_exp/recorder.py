"""Writes a run directory: whole or absent, nothing overwritten, nothing pickled.

While a run goes on, metrics are appended to `metrics.jsonl`, and arrays lie in chunks, each of what was recorded
before a step: that of a checkpoint, or one at which memory held enough of it. `checkpoints/resume.safetensors` is
the state that a resume goes on from; `stage_*.safetensors` what the trainings before it left, where a run has
several. What was written after that checkpoint is dropped on resuming and comes out
again, bit for bit. At the end metrics.parquet and one .npz for each array take their place, and `status` in
run.json, written last, says that all is there.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from atml_exp.files import write_arrays, write_atomically, write_json, write_stacked, write_text
from atml_exp.lock import Lock
from atml_exp.runs import metrics_table
from atml_exp.sparse import packed, unpacked

__all__ = ["Checkpoint", "RunWriter"]

FORMAT_VERSION = 1
"""Of the run directory; a reader for each former version stays."""

LIMIT = 2**23
"""Bytes of an array that are kept in memory; a population of 100 runs then keeps less than 1 GB of each."""


class Checkpoint:
    """A file of named tensors: `model.<name>` as in a state_dict, `optimiser.<name>`, and the step.

    A tensor that is mostly zeros, a pruned net's, takes up a bit for each entry and its other entries; see
    `packed`.
    """

    def __init__(self, path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = unpacked({key: file.get_tensor(key) for key in file.keys()}, metadata)  # noqa: SIM118 (not a dict)
        self.step = int(metadata["step"])
        self.updates = int(metadata.get("updates", self.step))
        self.seconds = float(metadata.get("seconds", 0))
        self.model = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        self.optimiser = {k.removeprefix("optimiser."): v for k, v in tensors.items() if k.startswith("optimiser.")}

    @staticmethod
    def save(path: Path, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor], **metadata: float) -> None:
        """Writes it atomically. Tensors that share memory are written each for itself."""
        tensors = {f"model.{n}": t for n, t in model.items()} | {f"optimiser.{n}": t for n, t in optimiser.items()}
        stored, shapes = packed({n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()})
        words = {key: repr(value) for key, value in metadata.items()} | shapes
        write_atomically(path, lambda p: p.write_bytes(save(stored, words)))


class RunWriter:
    """The one writer of one run directory.

    >>> RunWriter.array_file(Path("run"), "trajectory/weights").as_posix()
    'run/arrays/trajectory.weights.npz'
    """

    def __init__(self, directory: Path, info: Mapping[str, Any], config_yaml: str) -> None:
        """Takes the directory over, new or cut off; RunBusyError where another process is writing it."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._lock = Lock(directory)
        self._began = time.monotonic()
        self._rows: list[tuple[int, float, str, float]] = []
        self._arrays: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.info: dict[str, Any] = {**info, "format_version": FORMAT_VERSION, "status": "running"}
        self.resumed = self._read_resume()
        self.seconds_before = self.resumed.seconds if self.resumed else 0.0
        self._drop_from(self.resumed.step if self.resumed else 0)
        write_text(directory / "config.yaml", config_yaml)
        write_json(directory / "run.json", self.info)
        self._log = (directory / "metrics.jsonl").open("a", encoding="utf-8")

    @staticmethod
    def array_file(directory: Path, name: str) -> Path:
        return directory / "arrays" / f"{name.replace('/', '.', 1)}.npz"

    @staticmethod
    def resume_step(directory: Path) -> int:
        """The step that a cut-off run goes on from: 0 where there is no checkpoint."""
        path = directory / "checkpoints" / "resume.safetensors"
        return Checkpoint(path).step if path.exists() else 0

    @property
    def seconds(self) -> float:
        """Wall time so far, over all sittings."""
        return self.seconds_before + time.monotonic() - self._began

    def scalars(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """One row for each value, appended to the log at once."""
        rows = [(step, epoch, name, float(value)) for name, value in values.items()]
        self._rows += rows
        self._log.writelines(json.dumps(row) + "\n" for row in rows)
        self._log.flush()

    def values(self, name: str) -> list[float]:
        """All values of a metric so far."""
        return [value for _, _, metric, value in self._rows if metric == name]

    def arrays(self, step: int, values: Mapping[str, Tensor]) -> None:
        """One record for each array, kept in memory until the next checkpoint or until it is `LIMIT` bytes."""
        for name, value in values.items():
            records = self._arrays.setdefault(name, [])
            if records and len(records) * records[0][1].nbytes >= LIMIT:
                self._flush(name, step)
            records.append((step, value.numpy().copy()))

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

    def checkpoint(self, step: int, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]) -> None:
        """The state before `step` is measured; everything measured before lies on disk first."""
        self._flush_arrays(step)
        path = self._checkpoints / "resume.safetensors"
        Checkpoint.save(path, model, optimiser, step=step, seconds=self.seconds)

    def leave_stage(self, step: int, model: Mapping[str, Tensor], optimiser: Mapping[str, Tensor]) -> None:
        """What a stage that ended at `step` left, for a run that is cut off in a later one."""
        Checkpoint.save(self._stage_file(step), model, optimiser, step=step)

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
        more = {"updates": updates} if optimiser and updates not in (None, step) else {}
        path = self._checkpoints / f"step_{step:08d}.safetensors"
        Checkpoint.save(path, model, optimiser or {}, step=step, **more)

    def finish(self, status: str, **info: Any) -> None:
        """Puts everything in its final form; run.json, written last, makes it count."""
        self._log.close()
        table = metrics_table(self._rows)
        write_atomically(self.directory / "metrics.parquet", lambda p: pq.write_table(table, p))
        for name in self._array_names():
            write_stacked(self.array_file(self.directory, name), self._steps(name), self._values(name))
        self.info.update(info, status=status, wall_seconds=round(self.seconds, 3))
        write_json(self.directory / "run.json", self.info)
        self._clean_up()

    def interrupt(self, **info: Any) -> None:
        """Leaves the run as it is, to be gone on with."""
        self.info.update(info, wall_seconds=round(self.seconds, 3))
        write_json(self.directory / "run.json", self.info)
        self.close()

    def close(self) -> None:
        """Writes nothing more and lets others have the directory."""
        self._log.close()
        self._lock.release()

    @property
    def _checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def _stage_file(self, step: int) -> Path:
        return self._checkpoints / f"stage_{step:08d}.safetensors"

    @property
    def _chunks(self) -> Path:
        return self.directory / "arrays" / "chunks"

    def _read_resume(self) -> Checkpoint | None:
        path = self._checkpoints / "resume.safetensors"
        return Checkpoint(path) if path.exists() else None

    def _drop_from(self, step: int) -> None:
        """Forgets what was recorded at `step` or later, and a torn last line."""
        path = self.directory / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        rows = [tuple(json.loads(line)) for line in lines if line.endswith("\n")]
        self._rows = [row for row in rows if row[0] < step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in self._rows))
        for chunk in self._chunks.glob("*/*.npz"):
            if int(chunk.stem) > step:
                chunk.unlink()
        for leftover in self.directory.rglob(".*.partial"):
            leftover.unlink()

    def _flush_arrays(self, step: int) -> None:
        for name in self._arrays:
            self._flush(name, step)

    def _flush(self, name: str, step: int) -> None:
        """A chunk is named by a step, as is the checkpoint that it may belong to, and holds what came before."""
        records = self._arrays[name]
        before = [record for record in records if record[0] < step]
        if before:
            steps, values = zip(*before, strict=True)
            write_arrays(
                self._folder(name) / f"{step:08d}.npz", {"steps": np.array(steps), "values": np.stack(values)}
            )
            records[:] = records[len(before) :]  # what was recorded at the step itself is recorded anew

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

    def _stored(self, name: str, entry: str) -> Iterator[np.ndarray]:
        for chunk in sorted(self._folder(name).glob("*.npz")):
            with np.load(chunk, allow_pickle=False) as file:
                yield file[entry]

    def _clean_up(self) -> None:
        """What served only a resume."""
        shutil.rmtree(self._chunks, ignore_errors=True)
        (self.directory / "metrics.jsonl").unlink(missing_ok=True)
        for path in [self._checkpoints / "resume.safetensors", *self._checkpoints.glob("stage_*.safetensors")]:
            path.unlink(missing_ok=True)
        self.close()
