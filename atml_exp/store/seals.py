"""Files that carry a digest of their own content, and a log whose lines each carry a checksum. Needs no torch.

A sealed file says in its metadata what it is (`of`: run id and path in the run's directory) and, as `checksum`, the
SHA-256 of all its bytes with zeros in place of these 64 digits: no bit of it can change unseen, and no other file
can take its place. Where the metadata stands depends on the kind: in the header of .safetensors, in the archive's
comment of .npz, as the last key of .json.

A line of the log ends in the CRC-32 of it and of all lines before it, begun with the run's id: a flipped digit, a
missing line and another run's log are found, and a last line that a kill has torn is told apart from them.
"""

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from atml_exp.store.files import json_text

__all__ = [
    "Row",
    "digest",
    "first_crc",
    "log_line",
    "log_lines",
    "plain",
    "read_log",
    "seal",
    "seal_archive",
    "sealed_json",
    "sealed_tensors",
    "tensors_metadata",
    "unsealed_json",
]

Row = tuple[int, float, str, float]
"""Step, epoch, name and value of what was measured."""

_ZEROS = "0" * 64
_CHECKSUM = re.compile(rb'"checksum": ?"([0-9a-f]{64})"')
_COMMENT = 4096
"""Bytes at the end of an archive within which its comment lies."""
_FORMER = re.compile(r"step|updates|seconds|shape\..*", re.DOTALL)
"""Keys of a checkpoint's metadata before there were seals."""


def plain(path: Path) -> Path:
    """The path of a file that is to be opened, a link to one included, or where there is nothing.

    ValueError where something else lies there: to open a FIFO takes for ever, to read a device too.
    """
    if path.exists() and not path.is_file():
        raise ValueError("is no plain file")
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with plain(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """Readable JSON with the seal as its last key; numbers that aren't finite become null.

    >>> print(sealed_json({"a": 1}).decode())
    {
     "a": 1,
     "checksum": "b31f88d89f8d13b8f4ffe98c8b2ad34aa3c61bf55f55130d48b999f65490004b"
    }
    <BLANKLINE>
    """
    unsealed = {key: entry for key, entry in value.items() if key != "checksum"}
    return _sealed(json_text({**unsealed, "checksum": _ZEROS}).encode())


def unsealed_json(data: bytes) -> dict[str, Any]:
    """What a sealed .json says, which is what was sealed; or one that was made before seals were.

    Raises ValueError that says what is wrong with it.

    >>> unsealed_json(sealed_json({"a": 1}))["a"]
    1
    """
    if not data:
        raise ValueError("is empty")
    places = list(_CHECKSUM.finditer(data))
    if places:
        start, end = places[-1].span(1)
        hashed = hashlib.sha256(data[:start] + _ZEROS.encode() + data[end:])
        _refuse_other(hashed.hexdigest(), places[-1][1].decode())
    content = _object(data)
    if not places and not _is_former(content, ".json"):
        raise ValueError("has lost its checksum")
    return content


def sealed_tensors(data: bytes, metadata: Mapping[str, str]) -> tuple[bytes, memoryview]:
    """(header, tensors) of a .safetensors with this metadata in place of its own, to be written end to end.

    The metadata stands in order, so that equal content makes equal files. The tensors aren't copied.
    """
    size, header = _header(data)
    tensors = {key: value for key, value in header.items() if key != "__metadata__"}
    words = dict(sorted({**metadata, "checksum": _ZEROS}.items()))
    text = json.dumps({"__metadata__": words, **tensors}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    tensors_bytes = memoryview(data)[8 + size :]
    return _sealed(struct.pack("<Q", len(text)) + text, tensors_bytes), tensors_bytes


def seal_archive(path: Path, metadata: Mapping[str, Any]) -> None:
    """Gives a zip without a comment, such as an .npz, the seal as its comment."""
    comment = json.dumps({**metadata, "checksum": _ZEROS}).encode()
    with path.open("r+b") as file:
        start = file.seek(-2, os.SEEK_END) + 2
        file.write(struct.pack("<H", len(comment)) + comment)
        file.seek(0)
        found = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(start + comment.index(_ZEROS.encode()))
        file.write(found.encode())


def seal(path: Path) -> dict[str, Any]:
    """The metadata of a sealed file whose content is that which was sealed; {} where it was made before seals were.

    Raises ValueError that says what is wrong with the file, and OSError where it can't be read.
    """
    read = {".json": _json_metadata, ".npz": _archive_metadata, ".safetensors": tensors_metadata}[path.suffix]
    with plain(path).open("rb") as file:
        start, part = _where(file, path.suffix)
        places = list(_CHECKSUM.finditer(part))
        if places:
            _compare(file, start + places[-1].start(1), places[-1][1].decode())
        metadata = read(path)
        if not places and not _is_former(metadata, path.suffix):
            raise ValueError("has lost its checksum")
    return metadata if places else {}


def tensors_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors, unchecked. ValueError where there is none."""
    with plain(path).open("rb") as file:
        metadata = _header(_where(file, ".safetensors")[1])[1].get("__metadata__")
    if not isinstance(metadata, dict):
        raise ValueError("holds no metadata of a checkpoint")
    return metadata


def log_line(row: Row, crc: int) -> tuple[str, int]:
    """The line of a row, and its checksum, from that of the line before it.

    >>> log_line((0, 0.0, "train/loss", 0.5), zlib.crc32(b"1f0c"))
    ('[0, 0.0, "train/loss", 0.5, "4db0833c"]\\n', 1303413564)
    """
    text = json.dumps(row)[:-1]
    crc = zlib.crc32(text.encode(), crc)
    return f'{text}, "{crc:08x}"]\n', crc


def read_log(path: Path, run_id: str, *, former: bool = False) -> tuple[list[Row], list[int]]:
    """(rows, the checksum of each) of a run's log, without a torn last line; both empty where there is none.

    former: lines without a checksum are taken as well. Raises ValueError that says which line is wrong.
    """
    data = plain(path).read_bytes() if path.exists() else b""
    whole = data.split(b"\n")[:-1]
    rows, crcs, crc = [], [], first_crc(run_id)
    for number, line in enumerate(whole, start=1):
        try:
            row, said = _parsed(line)
            text, crc = log_line(row, crc)
            if said != f"{crc:08x}" and not (former and said is None):
                raise ValueError("its checksum doesn't fit")
            if said is not None and text.encode() != line + b"\n":
                raise ValueError("it isn't as it was written")
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number} of {len(whole)} isn't what was written ({error})") from error
        rows.append(row)
        crcs.append(crc)
    return rows, crcs


def first_crc(run_id: str) -> int:
    """What the checksums of a run's log begin with."""
    return zlib.crc32(run_id.encode())


def log_lines(rows: Iterable[Row], run_id: str) -> tuple[str, list[int]]:
    """The text of a log from its beginning, and the checksum of each line."""
    lines, crcs, crc = [], [], first_crc(run_id)
    for row in rows:
        line, crc = log_line(row, crc)
        lines.append(line)
        crcs.append(crc)
    return "".join(lines), crcs


def _parsed(line: bytes) -> tuple[Row, str | None]:
    values: Sequence[Any] = json.loads(line)
    step, epoch, name, value = values[:4]
    if not isinstance(step, int) or not isinstance(name, str) or len(values) > 5:
        raise ValueError("it is no row")
    return (step, float(epoch), name, float(value)), values[4] if len(values) == 5 else None


def _sealed(head: bytes, rest: bytes | memoryview = b"") -> bytes:
    """The head with the digest of it and of the rest where it has zeros for that, the last such place."""
    start = list(_CHECKSUM.finditer(head))[-1].start(1)
    hashed = hashlib.sha256(head)
    hashed.update(rest)
    return head[:start] + hashed.hexdigest().encode() + head[start + len(_ZEROS) :]


def _where(file: BinaryIO, suffix: str) -> tuple[int, bytes]:
    """(offset, bytes) of the part of a file in which its metadata stands."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise ValueError("is empty")
    if suffix == ".npz":
        start = file.seek(max(0, size - _COMMENT))
        return start, file.read()
    if suffix == ".json":
        return 0, file.read()
    head = file.read(8)
    length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
    if length > size - 8:
        raise ValueError("has no whole header of a safetensors file")
    return 0, head + file.read(length)


def _compare(file: BinaryIO, start: int, expected: str) -> None:
    file.seek(0)
    hashed = hashlib.sha256(file.read(start))
    hashed.update(_ZEROS.encode())
    file.seek(start + len(_ZEROS))
    while block := file.read(2**20):
        hashed.update(block)
    _refuse_other(hashed.hexdigest(), expected)


def _refuse_other(found: str, expected: str) -> None:
    if found != expected:
        raise ValueError("isn't what was written: its checksum doesn't fit")


def _header(data: bytes) -> tuple[int, dict[str, Any]]:
    """(length, content) of the header of a .safetensors."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("has no header of a safetensors file")
    return size, header


def _json_metadata(path: Path) -> dict[str, Any]:
    return _object(path.read_bytes())


def _object(data: bytes) -> dict[str, Any]:
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError("holds no JSON object")
    return content


def _archive_metadata(path: Path) -> dict[str, Any]:
    """Of the comment; {} of an archive without one."""
    with path.open("rb") as file:
        tail = _where(file, ".npz")[1]
    end = tail.rfind(b"PK\5\6")  # of the record whose last two bytes before the comment are the comment's length
    if end < 0 or len(tail) < end + 22:
        raise ValueError("is no whole .npz")
    comment = tail[end + 22 :]
    return json.loads(comment) if comment else {}


def _is_former(metadata: Mapping[str, Any], suffix: str) -> bool:
    """Whether a file without a seal is one that was written without."""
    if suffix == ".safetensors":
        return all(_FORMER.fullmatch(key) for key in metadata)
    return not metadata if suffix == ".npz" else metadata.get("format_version", 1) == 1
