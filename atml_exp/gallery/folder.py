"""A figure's folder as the gallery reads it: `figure.json`, `claims.json`, and the files beside them."""

import logging
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

__all__ = ["KINDS", "About", "Claim", "Folder", "Paper", "file_names", "folders", "read"]

KINDS = ("png", "svg", "pdf", "csv")
"""The files that hold a picture or its data, NAME.png and so on."""

_BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF", "svg": b"<", "csv": b""}
_ENDS = {"png": b"IEND\xaeB`\x82", "pdf": b"%%EOF", "svg": b"</svg>", "csv": b""}

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """One claim as `claims.json` has it. values: one for each seed, None where a seed gave no number."""

    paper: str
    statement: str
    measured: float | None
    spread: float | None
    threshold: float | None
    relation: Literal["<=", ">="]
    unit: str
    values: Sequence[float | None]
    holds: bool
    reason: str = ""

    @property
    def verdict(self) -> str:
        """holds, does not hold, or not measured."""
        if self.measured is None or not math.isfinite(self.measured):
            return "not measured"
        return "holds" if self.holds else "does not hold"

    @property
    def seeds_holding(self) -> int:
        """For how many of the seeds it holds."""
        return sum(self._passes(value) for value in self.values)

    def _passes(self, value: float | None) -> bool:
        if value is None or self.threshold is None:
            return False
        return value <= self.threshold if self.relation == "<=" else value >= self.threshold


@dataclass(frozen=True)
class Paper:
    """A reference and where it is: doi without the resolver's address, or url where it has no DOI."""

    citation: str
    doi: str = ""
    url: str = ""


@dataclass(frozen=True)
class About:
    """What `figure.json` says."""

    name: str
    title: str
    topic: str
    text: str
    papers: Sequence[Paper]
    command: str
    scale: str
    created: str
    num_runs: int
    seeds: Sequence[int]
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class Folder:
    """A complete figure. size: width and height of its picture in pixels."""

    path: Path
    about: About
    claims: Sequence[Claim]
    size: tuple[int, int]

    @property
    def name(self) -> str:
        """Of the folder, and of the files in it."""
        return self.path.name


def folders(figures: Path) -> list[Folder]:
    """All figures by name; those that are incomplete or damaged are left out with a warning that says why."""
    paths = sorted(figures.iterdir()) if figures.is_dir() else []
    read_ones = [_read_or_warn(path) for path in paths if path.is_dir() and not path.name.startswith(".")]
    return [folder for folder in read_ones if folder is not None]


def read(path: Path) -> Folder:
    """OSError for a file that isn't there, ValueError for one that is damaged; both name it."""
    about = _read_json(path / "figure.json", TypeAdapter(About))
    if about.name != path.name:
        raise ValueError(f"figure.json: name is {about.name!r}, but the folder is {path.name!r}")
    claims = _read_json(path / "claims.json", TypeAdapter(list[Claim]))
    for kind in KINDS:
        _check_whole(path / f"{path.name}.{kind}", kind)
    return Folder(path, about, claims, _png_size(path / f"{path.name}.png"))


def file_names(name: str) -> list[str]:
    """The files of a figure, all of which its folder must hold.

    >>> file_names("x")
    ['x.png', 'x.svg', 'x.pdf', 'x.csv', 'claims.json', 'figure.json']
    """
    return [*(f"{name}.{kind}" for kind in KINDS), "claims.json", "figure.json"]


def _read_or_warn(path: Path) -> Folder | None:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        _log.warning("figure %s is left out of the gallery: %s", path.name, _said(error))
        return None


def _said(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Path(error.filename).name} is missing"
    return str(error)


def _read_json(path: Path, kind: "TypeAdapter[T]") -> T:
    try:
        return kind.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path.name}: {where + ': ' if where else ''}{first['msg']}") from error


def _check_whole(path: Path, kind: str) -> None:
    """ValueError unless the file begins and ends as its kind does."""
    data = path.read_bytes().strip()
    if not data.startswith(_BEGINNINGS[kind]) or not data.endswith(_ENDS[kind]) or not data:
        raise ValueError(f"{path.name} is {'damaged' if data else 'empty'}")


def _png_size(path: Path) -> tuple[int, int]:
    """From the header, where width and height always stand in the same place."""
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return width, height
