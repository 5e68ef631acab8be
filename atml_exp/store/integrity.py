"""Whether the files of a run directory are what was written into it. Needs no torch.

Format 2: run.json carries a checksum of itself and, once the run has ended, size and SHA-256 of each file of the
run. What an unfinished run goes on from carries its own seal (`atml_exp.store.seals`), and the checkpoint says what
belongs to it: how many rows of the log, up to which checksum; how many records of each array; which other
checkpoints. So a file that was cut short, altered, exchanged or removed is found before anything of it is used,
while what a kill leaves (a torn last line; files later than the checkpoint, which are written anew) is no damage.

Format 1 knew no checksums: of its files it is known that they are there.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.open_files import is_too_many_open, too_many_open
from atml_exp.signals import deferred
from atml_exp.store.files import write_atomically
from atml_exp.store.seals import digest, plain, seal, sealed_json, unsealed_json

__all__ = [
    "FINISHED",
    "FORMAT_VERSION",
    "FORMER",
    "LOG",
    "READY",
    "RESUME",
    "check",
    "check_checkpoint",
    "check_sealed",
    "checked_bytes",
    "chunks",
    "entry",
    "entry_of",
    "label",
    "read_info",
    "read_ready",
    "reading",
    "write_sealed",
]

FORMAT_VERSION = 2
"""Of the run directories that are written; those of each former version are read."""

FINISHED = ("complete", "diverged")
"""What run.json says of a run of which nothing is left to train."""
LOG = "metrics.jsonl"
"""Of an unfinished run."""
RESUME, FORMER = "resume.safetensors", "resume_former.safetensors"
"""In checkpoints/: what a run goes on from; the one before it, until the others of its population have theirs."""
READY = "ready.json"
"""The run.json to be, until the others of the population have theirs."""

KNOWN_VERSIONS = range(1, FORMAT_VERSION + 1)

_KINDS = {"run_id": str, "status": str, "config": dict, "attempt": int, "files": dict, "format_version": int}
"""Of which type what run.json holds is, whoever reads it."""

_RUN_NAME = re.compile(r"([0-9a-f]{16})(-\d+)?")


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Readable JSON with its checksum, atomically."""
    write_atomically(path, lambda p: p.write_bytes(sealed_json(content)))


def read_info(directory: Path) -> dict[str, Any]:
    """run.json, found to be what was written.

    Raises FileNotFoundError where there is none, DamagedRunError, and ConfigError where a newer version wrote it.
    """
    path = directory / "run.json"
    if not path.exists():
        raise FileNotFoundError(f"{directory} is not a run directory: it holds no run.json")
    with reading(path):
        info = _sealed_info(path)
        name = _RUN_NAME.fullmatch(directory.name)
        if name and info.get("run_id", name[1]) != name[1]:
            raise ValueError(f"is that of another run, {info['run_id']}")
    return info


def read_ready(directory: Path) -> dict[str, Any] | None:
    """The run.json to be, with the names of the population's directories; None where there is none."""
    if not (directory / READY).exists():
        return None
    return dict(json.loads(check_sealed(directory, READY, read_info(directory)).read_bytes()))


def check(directory: Path, name: str, info: Mapping[str, Any]) -> Path:
    """The path of a run's file, such as `arrays/spectrum.density.npz`, found to be what was written.

    Raises DamagedRunError. Of format 1 it is only known that the file is there.
    """
    path = directory / name
    with reading(path):
        _check(path, name, info)
    return path


def checked_bytes(directory: Path, name: str, info: Mapping[str, Any]) -> bytes:
    """The content of a small file that `check` finds to be what was written; read once."""
    path = directory / name
    with reading(path):
        listed = info.get("files", {})
        if name not in listed:
            _check(path, name, info)
        data = plain(path).read_bytes()
        if name in listed:
            _compare(len(data), lambda: hashlib.sha256(data).hexdigest(), listed[name])
    return data


def check_sealed(directory: Path, name: str, info: Mapping[str, Any]) -> Path:
    """The same of a file that carries its own seal, before or whether or not run.json says anything of it."""
    path = directory / name
    with reading(path):
        if not plain(path).exists():
            raise FileNotFoundError
        _check_label(seal(path).get("of"), label(info, name))
    return path


def check_checkpoint(path: Path) -> None:
    """DamagedRunError where a checkpoint isn't what was written, or isn't of the run in whose directory it lies."""
    directory = path.parent.parent
    if path.parent.name == "checkpoints" and (directory / "run.json").exists():
        check(directory, f"checkpoints/{path.name}", read_info(directory))
        return
    with reading(path):
        seal(path)


def chunks(directory: Path, name: str, info: Mapping[str, Any], step: int | None = None) -> list[Path]:
    """The files of an array of an unfinished run in order, each found to be what was written, with none missing.

    name: as in a file's name, `trajectory.weights`. step: those that the checkpoint of that step goes on from.
    """
    folder = f"arrays/chunks/{name}"
    paths = [p for p in sorted((directory / folder).glob("*.npz")) if re.fullmatch(r"\d{8}", p.stem)]
    chosen = [p for p in paths if step is None or int(p.stem) <= step]
    count = 0
    for path in chosen:
        check(directory, f"{folder}/{path.name}", info)
        with reading(path):
            count += _records(path, count)
    return chosen


def entry(path: Path) -> dict[str, Any]:
    """What run.json says of a file."""
    return {"bytes": path.stat().st_size, "sha256": digest(path)}


def entry_of(data: bytes) -> dict[str, Any]:
    """The same of a file to be."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def label(info: Mapping[str, Any], name: str) -> str:
    """What a sealed file says that it is."""
    return f"{info['run_id']}/{name.replace(FORMER, RESUME)}"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within it, whatever says that a file can't be read as what it should be is a DamagedRunError."""
    try:
        with deferred():  # torch would take Ctrl-C for a file that it can't read
            yield
    except ConfigError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise DamagedRunError.of(path, "is missing") from error
    except OSError as error:
        if is_too_many_open(error):
            raise too_many_open(error) from error
        if isinstance(error, PermissionError) or error.errno is not None:
            raise ConfigError(f"{path} can't be read: {error.strerror}") from error
        raise DamagedRunError.of(path, _in_a_line(error)) from error
    except Exception as error:  # readers of file formats raise whatever they stumble over
        raise DamagedRunError.of(path, _in_a_line(error)) from error


def _in_a_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if type(error) is ValueError and text else f"can't be read ({type(error).__name__}: {text[:200]})"


def _sealed_info(path: Path) -> dict[str, Any]:
    data = plain(path).read_bytes()
    try:
        info = unsealed_json(data)
    except ValueError:
        _refuse_newer(path, data)
        raise
    if info.get("format_version", 1) not in KNOWN_VERSIONS:
        _refuse_newer(path, data)
        raise ValueError(f"isn't that of a run: format_version = {str(info['format_version'])[:40]}")
    _check_types(info)
    return info


def _check_types(info: Mapping[str, Any]) -> None:
    """ValueError for a run.json that another program wrote: any may use this name."""
    for key, kind in _KINDS.items():
        if not isinstance(info.get(key, kind()), kind):
            raise ValueError(f"isn't that of a run: {key} = {str(info[key])[:40]}")


def _refuse_newer(path: Path, data: bytes) -> None:
    """ConfigError where run.json is of a version that is still to come, unless a flipped bit made it so."""
    content = None
    with suppress(ValueError):
        content = json.loads(data)
    version = content.get("format_version", 1) if isinstance(content, dict) else 1
    if not isinstance(version, int) or version <= FORMAT_VERSION:
        return
    as_ours = data.replace(f'"format_version": {version}'.encode(), f'"format_version": {FORMAT_VERSION}'.encode())
    if sealed_json(json.loads(as_ours)) == as_ours:
        return
    known = " and ".join(map(str, KNOWN_VERSIONS))
    raise ConfigError(
        f"{path.parent}: made by a newer atml_exp: format {version}; this one reads {known}; "
        "to read it: a newer version of atml_exp"
    )


def _check(path: Path, name: str, info: Mapping[str, Any]) -> None:
    if not plain(path).exists():
        raise FileNotFoundError
    listed, version = info.get("files", {}), info.get("format_version", 1)
    if name in listed:
        _compare(path.stat().st_size, lambda: digest(path), listed[name])
    elif version == 1:
        if path.suffix in (".npz", ".safetensors"):
            seal(path)  # there is one where a run is being brought to format 2
    elif info.get("status") in FINISHED:
        raise ValueError("isn't among the files that the run has written")
    else:
        _check_label(seal(path).get("of"), label(info, name))


def _compare(size: int, sha256: Callable[[], str], listed: Mapping[str, Any]) -> None:
    accepted = [one for one in (listed, listed.get("before")) if one is not None]
    if size not in [one["bytes"] for one in accepted]:
        raise ValueError(f"has {size} bytes instead of {listed['bytes']}")
    if sha256() not in [one["sha256"] for one in accepted]:
        raise ValueError("isn't what was written: its SHA-256 is another")


def _check_label(found: str | None, expected: str) -> None:
    if found is None:
        raise ValueError("has lost its checksum")
    if found != expected:
        raise ValueError(f"is another file, {found}")


def _records(path: Path, before: int) -> int:
    """How many records a chunk holds. ValueError where others than `before` come before it."""
    metadata = seal(path)
    if metadata and metadata["after"] != before:
        raise ValueError(f"follows {metadata['after']} records, but there are {before} before it")
    return int(metadata.get("count", 0))
