"""Brings an unfinished run of format 1 to the present format, so that it can be gone on with.

File by file, each atomically, the checkpoint last: cut off, it goes on where it was, since readers of format 1 take
sealed files as well. run.json, which says the format, is then written by who takes the run over. A finished run of
format 1 stays as it is.
"""

import json
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from atml_exp.store.chunks import seal_chunk
from atml_exp.store.files import write_atomically, write_parts
from atml_exp.store.integrity import FINISHED, LOG, RESUME, label, read_info, reading
from atml_exp.store.seals import log_lines, read_log, seal, sealed_tensors, tensors_metadata

__all__ = ["upgrade"]


def upgrade(directory: Path) -> None:
    """Seals what an unfinished run of format 1 goes on from; does nothing where there is none.

    The caller holds the directory's lock, and has found its files to be readable.
    """
    if not (directory / "run.json").exists():
        return
    info = read_info(directory)
    resume = directory / "checkpoints" / RESUME
    if info.get("format_version", 1) != 1 or info.get("status") in FINISHED or not resume.exists():
        return
    step = int(tensors_metadata(resume)["step"])
    kept = [p for kind in ("step", "stage") for p in sorted(resume.parent.glob(f"{kind}_*.safetensors"))]
    for path in kept:
        _seal_checkpoint(path, label(info, f"checkpoints/{path.name}"))
    needs = {
        **_upgraded_log(directory, info, step),
        "arrays": _upgraded_chunks(directory, info, step),
        "checkpoints": [f"checkpoints/{path.name}" for path in kept],
    }
    _seal_checkpoint(resume, label(info, f"checkpoints/{RESUME}"), needs=json.dumps(needs))


def _seal_checkpoint(path: Path, of: str, **metadata: str) -> None:
    if not seal(path):
        parts = sealed_tensors(path.read_bytes(), {**tensors_metadata(path), "of": of, **metadata})
        write_parts(path, parts)


def _upgraded_log(directory: Path, info: Mapping[str, Any], step: int) -> dict[str, int]:
    """Gives each line its checksum; how many rows come before the step, and the last one's checksum."""
    path = directory / LOG
    with reading(path):
        rows, _ = read_log(path, info["run_id"], former=True)
    text, crcs = log_lines(rows, info["run_id"])
    write_atomically(path, lambda p: p.write_bytes(text.encode()))
    before = sum(row[0] < step for row in rows)
    return {"rows": before, "crc": crcs[before - 1] if before else 0}


def _upgraded_chunks(directory: Path, info: Mapping[str, Any], step: int) -> dict[str, int]:
    """Seals the chunks up to the step; how many records of each array they hold."""
    counts = {}
    for folder in sorted(directory.glob("arrays/chunks/*")):
        paths = [p for p in sorted(folder.glob("[0-9]*.npz")) if int(p.stem) <= step]
        sizes = [_num_records(path) for path in paths]
        for path, size, end in zip(paths, sizes, accumulate(sizes), strict=True):
            if not seal(path):
                of = label(info, path.relative_to(directory).as_posix())
                seal_chunk(path, of=of, after=end - size, count=size)
        counts[folder.name] = sum(sizes)
    return counts


def _num_records(path: Path) -> int:
    with reading(path), np.load(path, allow_pickle=False) as file:
        return len(file["steps"])
