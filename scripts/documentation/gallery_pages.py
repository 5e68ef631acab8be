"""Figures that were made, as parts of pages: cards with thumbnails by course topic, a picture with its claims."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docstrings import escaped, prose
from library import Choice

from atml_exp.figures.claim import with_spread
from atml_exp.gallery.folder import Claim, Folder
from atml_exp.gallery.page import TOPICS
from atml_exp.pictures.recorded import number

__all__ = ["cards", "picture", "with_formulas"]

WIDTH = 560
"""Of a thumbnail, in pixels: a card's width on a screen of twice the density, about."""


def with_formulas(text: str) -> str:
    """Text that is escaped but for formulas between dollar signs."""
    parts = re.split(r"\$([^$]+)\$", text)
    return "".join(f"{{math}}`{part}`" if i % 2 else prose(part) for i, part in enumerate(parts))


def cards(choices: Sequence[Choice], made: Mapping[str, Folder], target: Path) -> str:
    """All figures by topic. A figure that isn't there yet has a card without a picture."""
    topics = [*TOPICS, *sorted({c.said["topic"] for c in choices} - set(TOPICS))]
    parts = [_missing(len(choices), sum(c.name in made for c in choices))]
    for topic in topics:
        several = [choice for choice in choices if choice.said["topic"] == topic]
        if several:
            grid = "\n".join(_card(choice, made.get(choice.name), target) for choice in several)
            parts.append(f"## {escaped(topic)}\n\n:::::{{grid}} 1 2 2 3\n:gutter: 3\n\n{grid}\n:::::")
    return "\n\n".join(part for part in parts if part)


def _missing(every: int, there: int) -> str:
    if there == every:
        return ""
    how = "make one with `atml-figures make NAME`, and build this site anew with `scripts/docs`."
    return f"{there or 'None'} of the {every} figures {'is' if there == 1 else 'are'} in `outputs/figures`: {how}"


def _card(choice: Choice, folder: Folder | None, target: Path) -> str:
    image, foot = "", f"`{choice.name}`"
    if folder is not None:
        _thumbnail(folder, target / "concepts" / "figure" / "thumbnails" / f"{choice.name}.png")
        image = f":img-top: thumbnails/{choice.name}.png\n:img-alt: {choice.said['title']}\n"
        foot += f" · {_tally(folder)}"
    head = f"::::{{grid-item-card}} {escaped(choice.said['title'])}\n:link: {choice.page}\n:link-type: doc"
    return f"{head}\n{image}\n{foot}\n::::"


def _tally(folder: Folder) -> str:
    holding = sum(claim.verdict == "holds" for claim in folder.claims)
    verb = "holds" if len(folder.claims) == 1 else "hold"
    check = ", quick check" if folder.about.scale == "smoke" else ""
    return f"{holding} of {len(folder.claims)} claims {verb}{check}"


def _thumbnail(folder: Folder, path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(folder.path / f"{folder.name}.png") as image:
        size = (WIDTH, round(WIDTH * image.height / image.width))
        image.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path, optimize=True)


def picture(folder: Folder | None, target: Path) -> Iterator[str]:
    """The picture, its claims with what was measured, and its files; nothing where it wasn't made."""
    if folder is None:
        return
    files = target / "concepts" / "figure" / "files"
    files.mkdir(parents=True, exist_ok=True)
    for kind in ("png", "svg", "pdf", "csv"):
        shutil.copyfile(folder.path / f"{folder.name}.{kind}", files / f"{folder.name}.{kind}")
    name = f"files/{folder.name}"
    yield f":::{{image}} {name}.png\n:alt: {folder.about.title}\n:class: picture\n:::"
    links = ", ".join(f"{{download}}`{kind.upper()} <{name}.{kind}>`" for kind in ("png", "svg", "pdf", "csv"))
    runs = f"{folder.about.num_runs} runs at scale `{folder.about.scale}`"
    yield f"Made from {runs}. {links}"
    if folder.claims:
        rows = "\n".join(map(_row, folder.claims))
        head = "* - Claim\n  - Measured\n  - Threshold\n  - Verdict"
        yield f":::{{list-table}}\n:class: claims\n:header-rows: 1\n:widths: 6 2 2 2\n{head}\n{rows}\n:::"


def _row(claim: Claim) -> str:
    return (
        f"* - {with_formulas(claim.statement)} ({escaped(claim.paper)})\n  - {_measured(claim)}\n"
        f"  - {'≤' if claim.relation == '<=' else '≥'} {number(claim.threshold)} {with_formulas(claim.unit)}\n"
        f"  - {'**holds**' if claim.verdict == 'holds' else claim.verdict}"
    )


def _measured(claim: Claim) -> str:
    if claim.measured is None or claim.verdict == "not measured":
        return "–"
    return escaped(f"{with_spread(claim.measured, claim.spread)} ") + with_formulas(claim.unit)
