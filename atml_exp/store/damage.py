"""What is wrong with a run directory, file by file. Needs no torch.

Of format 1, which knew no checksums, it is checked that its files can be read as what they should be.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atml_exp.errors import DamagedRunError
from atml_exp.store.integrity import (
    FINISHED,
    FORMER,
    LOG,
    READY,
    RESUME,
    check,
    chunks,
    read_info,
    read_ready,
    reading,
)
from atml_exp.store.seals import read_log, seal, tensors_metadata
from atml_exp.store.together import resume_file

__all__ = ["damage", "refuse_damaged"]

_PATTERNS = ("metrics.parquet", READY, "arrays/**/*.npz", "checkpoints/*.safetensors")
"""What a run leaves, beside its run.json, its config and its log."""


def damage(directory: Path) -> list[str]:
    """What is wrong with a run directory, `<file>: <what>` for each file; empty where all is as it was written.

    Of an unfinished run, what it goes on from is looked at, so that nobody may be writing it. Raises ConfigError
    where a newer version wrote it.
    """
    try:
        info = read_info(directory)
    except FileNotFoundError:
        return _orphans(directory)
    except DamagedRunError as error:
        return [f"run.json: {error.what}"]
    if info.get("status") in FINISHED:
        return [*_problems(directory, info, _files(directory, info))]
    return list(dict.fromkeys([*_not_plain(directory), *_unfinished(directory, info)]))


def refuse_damaged(directory: Path) -> None:
    """DamagedRunError with all that is wrong with a run directory, which nobody else is writing."""
    if problems := damage(directory):
        name, _, what = problems[0].partition(": ")
        more = f" ({len(problems) - 1} more of its files are damaged)" if len(problems) > 1 else ""
        raise DamagedRunError.of(directory / name, what + more)


def _files(directory: Path, info: Mapping[str, Any]) -> list[str]:
    """Those of a finished run."""
    if "files" in info:
        return list(info["files"])
    found = [*directory.glob("arrays/*.npz"), *directory.glob("checkpoints/step_*.safetensors")]
    return ["config.yaml", "metrics.parquet", *sorted(p.relative_to(directory).as_posix() for p in found)]


def _problems(directory: Path, info: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        try:
            path = check(directory, name, info)
            if info.get("format_version", 1) == 1:
                with reading(path):
                    _READERS[path.suffix](path)
        except DamagedRunError as error:
            yield f"{name}: {error.what}"


def _unfinished(directory: Path, info: Mapping[str, Any]) -> Iterator[str]:
    found = [name for name in (f"checkpoints/{RESUME}", f"checkpoints/{FORMER}") if (directory / name).exists()]
    ready = [name for name in (READY,) if (directory / name).exists()]
    problems = [*_problems(directory, info, [*_config(directory, info), *found, *ready])]
    if info.get("resumes") and not found:
        problems.append(f"checkpoints/{RESUME}: is missing")
    yield from problems
    if ready and not problems:
        to_be = (read_ready(directory) or {})["info"]
        yield from _problems(directory, to_be, to_be["files"])
    path = resume_file(directory) if found and not problems else None
    metadata = tensors_metadata(path) if path else {}
    needs, step = json.loads(metadata.get("needs", "{}")), int(metadata.get("step", 0))
    yield from _problems_of_log(directory, info, needs)
    yield from _problems(directory, info, needs.get("checkpoints", _former_needs(directory, info, step)))
    yield from _problems_of_arrays(directory, info, needs.get("arrays", {}), step)


def _config(directory: Path, info: Mapping[str, Any]) -> list[str]:
    """config.yaml, unless the run was killed between run.json and it, before there was a log."""
    listed = info.get("files", {}).get("config.yaml", {})
    is_new = "before" in listed and listed["before"] is None
    has_begun = any((directory / name).exists() for name in ("config.yaml", LOG))
    return ["config.yaml"] if has_begun or not is_new else []


def _former_needs(directory: Path, info: Mapping[str, Any], step: int) -> list[str]:
    """Of format 1, what lies there: its checkpoints don't say what belongs to them."""
    if info.get("format_version", 1) != 1:
        return []
    kept = [p for kind in ("step", "stage") for p in directory.glob(f"checkpoints/{kind}_*.safetensors")]
    parts = [p for p in directory.glob("arrays/chunks/*/*.npz") if int(p.stem) <= step]
    return sorted(p.relative_to(directory).as_posix() for p in kept + parts)


def _problems_of_log(directory: Path, info: Mapping[str, Any], needs: Mapping[str, Any]) -> Iterator[str]:
    former = info.get("format_version", 1) == 1
    try:
        _, crcs = read_log(directory / LOG, str(info.get("run_id", "")), former=former)
    except (ValueError, OSError) as error:
        yield f"{LOG}: {error}"
        return
    rows = needs.get("rows", 0)
    if len(crcs) < rows:
        yield f"{LOG}: has {len(crcs)} whole lines, but the checkpoint goes on after {rows}"
    elif rows and crcs[rows - 1] != needs["crc"]:
        yield f"{LOG}: isn't the log that the checkpoint goes on from"


def _problems_of_arrays(
    directory: Path, info: Mapping[str, Any], counts: Mapping[str, int], step: int
) -> Iterator[str]:
    for name, expected in counts.items():
        try:
            count = sum(int(seal(p)["count"]) for p in chunks(directory, name, info, step))
            if count != expected:
                yield f"arrays/chunks/{name}: has {count} records, but the checkpoint goes on after {expected}"
        except DamagedRunError as error:
            yield f"{error.path.relative_to(directory).as_posix()}: {error.what}"


def _not_plain(directory: Path) -> list[str]:
    """Of an unfinished run, what lies where a file is or will be and is none: a FIFO, a folder, a device."""
    names = ("config.yaml", LOG, *_PATTERNS)
    found = [p for pattern in names for p in directory.glob(pattern) if p.exists() and not p.is_file()]
    return [f"{name}: is no plain file" for name in sorted(p.relative_to(directory).as_posix() for p in found)]


def _orphans(directory: Path) -> list[str]:
    """A directory in which a run has left something but no run.json, which is written first."""
    found = [p for pattern in _PATTERNS for p in directory.glob(pattern)]
    found += [p for p in [directory / LOG] if p.is_file() and p.stat().st_size]
    names = sorted(p.relative_to(directory).as_posix() for p in found)
    missing = [f"run.json: is missing, while there is {names[0]}"] if names else []
    return missing + _not_plain(directory)


def _read_parquet(path: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        names = file.read().column_names
    if names[:4] != ["step", "epoch", "name", "value"]:
        raise ValueError(f"holds no metrics but {', '.join(names)}")


def _read_archive(path: Path) -> None:
    import numpy as np

    with np.load(path, allow_pickle=False) as file:  # which compares the archive's own checksums
        if len(file["steps"]) != len(file["values"]):
            raise ValueError(f"holds {len(file['values'])} values for {len(file['steps'])} steps")


def _read_tensors(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        int(file.metadata()["step"])


def _read_yaml(path: Path) -> None:
    import yaml

    if not isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict):
        raise ValueError("holds no config")


_READERS = {
    ".json": lambda path: None,
    ".npz": _read_archive,
    ".parquet": _read_parquet,
    ".safetensors": _read_tensors,
    ".yaml": _read_yaml,
}
"""What stands in for digests in format 1, by a file's suffix."""
