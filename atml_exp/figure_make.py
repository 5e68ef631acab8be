"""Makes a figure: asks the ledger for its runs, trains what is missing, draws, and checks the claims."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from atml_exp.compose import compose_each
from atml_exp.errors import BuildError, ConfigError
from atml_exp.figure_module import claimed, drawn, figure_module, of_module
from atml_exp.figure_spec import FigureSpec
from atml_exp.figures.claim import Claim, with_spread
from atml_exp.figures.style import GREEN, GREY, VERMILLION, pdf, png, slide, svg
from atml_exp.inline import figure_html
from atml_exp.pictures.recorded import num_examples, number
from atml_exp.runner import RunResult, run
from atml_exp.runs import Run, table_of
from atml_exp.store.environment import environment
from atml_exp.store.files import write_atomically, write_json, write_text
from atml_exp.store.identity import run_id
from atml_exp.store.ledger import later_attempts, look_up
from atml_exp.validate import validate

__all__ = ["Made", "Outcome", "draw", "figure_jobs", "make", "num_missing", "table_of_figure", "verdict_lines"]


@dataclass(frozen=True)
class Made:
    """A figure's folder, its claims, and how many of its runs were there already."""

    folder: Path
    claims: list[Claim]
    num_runs: int
    num_reused: int

    @property
    def png(self) -> Path:
        """The picture; .svg, .pdf and .csv lie beside it."""
        return self.folder / f"{self.folder.name}.png"

    def __str__(self) -> str:
        """The claims with their verdicts, as `atml-figures make` prints them."""
        return "\n".join(line for claim in self.claims for line in verdict_lines(claim))

    def _repr_html_(self) -> str:
        said = (f"{claim.verdict}: {claim.statement} {measured(claim)}" for claim in self.claims)
        return figure_html(self.png, "; ".join(said))


@dataclass(frozen=True)
class Outcome:
    """results: of each job, in order; made: None where one of them failed."""

    jobs: list[tuple[str, list[str]]]
    results: list[RunResult]
    made: Made | None


def make(
    name: str,
    spec: FigureSpec,
    *,
    scale: str = "laptop",
    overrides: Sequence[str] = (),
    output_dir: str = "outputs",
) -> Outcome:
    """Trains what the ledger lacks of the figure's runs, and writes `<output_dir>/figures/NAME/`.

    Raises ConfigError before any training where the figure's module or one of its functions isn't there, or a job's
    config can't run; BuildError where, once all is trained, the module doesn't draw or claim what it should. Where
    a run fails nothing is drawn, since a figure of what is left would look whole.
    """
    began = time.monotonic()
    figure_module(name, spec.module)
    jobs, configs = figure_jobs(spec, scale, overrides, output_dir)
    results = run(configs, group=f"figures/{name}", keep_going=True, reports=False)
    if any(r.status == "failed" for r in results):
        return Outcome(jobs, results, None)
    table = table_of_figure(jobs, results)
    command = " ".join(["atml-figures make", name, f"scale={scale}", *overrides])
    about = _about(name, spec, scale, command, table, time.monotonic() - began)
    folder = Path(output_dir) / "figures" / name
    try:
        claims = draw(spec, table, about, folder)
    except BuildError as error:
        kept = "what was trained for it is there, and isn't trained again"
        raise BuildError(f"{error}; {kept}") from error.__cause__
    return Outcome(jobs, results, Made(folder, claims, len(results), sum(r.reused for r in results)))


def figure_jobs(
    spec: FigureSpec, scale: str, overrides: Sequence[str], output_dir: str
) -> tuple[list[tuple[str, list[str]]], list[Any]]:
    """(sweep, overrides) and the validated config of each job."""
    jobs = spec.jobs(scale, [*overrides, f"output_dir={output_dir}"])
    configs = compose_each([job for _, job in jobs])
    sound: set[str] = set()
    for (sweep, _), config in zip(jobs, configs, strict=True):
        try:
            validate(config, sound)
        except ConfigError as error:
            raise ConfigError(f"sweep {sweep}: {error}") from error
    return jobs, configs


def num_missing(spec: FigureSpec, scale: str, output_dir: str) -> tuple[int, int]:
    """(how many of the figure's runs aren't there, how many there are to be)."""
    _, configs = figure_jobs(spec, scale, (), output_dir)
    ids = {run_id(config) for config in configs}
    later = later_attempts(output_dir)
    return sum(not look_up(output_dir, i, later=later).finished for i in ids), len(ids)


def draw(spec: FigureSpec, table: pd.DataFrame, about: dict[str, Any], folder: Path) -> list[Claim]:
    """Draws the table and writes the figure's files; figure.json, which makes them count, comes last.

    Raises BuildError where the module fails, or returns what it should not: then no file has been changed.
    """
    name = about["name"]
    claims, pictures = _drawn(spec, table, about)
    (folder / "figure.json").unlink(missing_ok=True)
    write_text(folder / f"{name}.csv", without_idle_columns(table).to_csv(index=False))
    for kind, data in pictures.items():
        _write_bytes(folder / f"{name}.{kind}", data)
    write_json(folder / "claims.json", [claim.as_dict() for claim in claims])
    write_json(folder / "figure.json", about)
    return claims


def _drawn(spec: FigureSpec, table: pd.DataFrame, about: Mapping[str, Any]) -> tuple[list[Claim], dict[str, bytes]]:
    """The claims, and the framed picture as files of each kind. BuildError, with the figure's name."""
    module = figure_module(about["name"], spec.module)
    note = _note(about, getattr(module, "SEEDS", "lines: mean over seeds; bands: their range"))
    try:
        claims = claimed(module, table)
        figure = drawn(module, table)
        with of_module(module, f"{spec.module}: what draw and claims returned can't be put on a page"):
            frame(figure, spec.title, claims, note)
            return claims, {"svg": svg(figure).encode(), "png": png(figure), "pdf": pdf(figure)}
    except BuildError as error:
        raise BuildError(f"figure {about['name']}: {error}") from error.__cause__


WIDTH, HEAD, LINE = 13.333, 0.6, 0.3
"""Inches: of a slide, and what the title and a line of the verdicts take on it."""


@slide()
def frame(figure: Figure, title: str, claims: Sequence[Claim], note: str) -> None:
    """Adds the title above a figure, and below it what each claim measured and whether it holds: in word, mark and
    colour. The figure grows by them, so that what was laid out before stays where it was. On one that isn't as wide
    as a slide, they have the size that fills a slide once it is shown as wide as one.
    """
    rows = [_verdict_row(claim) for claim in claims]
    unit = figure.get_figwidth() / WIDTH
    head, line, size = HEAD * unit, LINE * unit, 15 * unit
    strip = line * (sum(row[1].count("\n") + 1 for row in rows) + 1.4)
    total = head + figure.get_figheight() + strip
    _grow(figure, strip, head)
    figure.text(0.012, 1 - 0.12 * unit / total, title, va="top", size=23 * unit, weight="bold")
    y = (strip - 0.1 * unit) / total
    for mark, statement, value, colour in rows:
        figure.text(0.012, y, mark, color=colour, weight="bold", va="top", size=size)
        figure.text(0.17, y, statement, va="top", size=size, linespacing=1.15)
        figure.text(0.988, y, value, color=colour, va="top", ha="right", size=size)
        y -= line * (statement.count("\n") + 1) / total
    figure.text(0.012, y, note, color=GREY, va="top", size=14 * unit)


def _grow(figure: Figure, below: float, above: float) -> None:
    """Makes the figure so many inches higher, with what is in it where it was in between.

    A figure without a layout engine is given the one that keeps the labels of any subplots inside, bars of colours
    among them; axes that were placed by hand stay so.
    """
    width, height = figure.get_size_inches()
    total = below + height + above
    if figure.get_layout_engine() is None and all(axes.get_subplotspec() for axes in figure.axes):
        figure.set_layout_engine("tight")
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine) and not (figure.texts or figure.legends):
        engine.set(rect=(0, below / total, 1, height / total))
        figure.set_size_inches(width, total)
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it would put a heading or a legend of the whole figure above the title
    figure.set_size_inches(width, total)
    _move(figure, below / total, height / total)


def _move(figure: Figure, bottom: float, share: float) -> None:
    """Everything that is placed in the figure, from its height to such a share of it, above its bottom."""
    bounds = [axes.get_position(original=True).bounds for axes in figure.axes]  # all before twins move together
    for axes, (left, low, width, height) in zip(figure.axes, bounds, strict=True):
        axes.set_position((left, bottom + share * low, width, share * height))
    for text in figure.texts:
        text.set_y(bottom + share * text.get_position()[1])
    for legend in figure.legends:
        legend.set_bbox_to_anchor(Bbox.from_bounds(0, bottom, 1, share), transform=figure.transFigure)


def _note(about: Mapping[str, Any], several: str) -> str:
    """What a picture by itself wouldn't tell. several: how it shows more seeds than one, the module's `SEEDS`."""
    seeds = "one seed" if len(about["seeds"]) == 1 else several
    return seeds + (" · smoke scale: a quick check, not a result" if about["scale"] == "smoke" else "")


def _verdict_row(claim: Claim) -> tuple[str, str, str, str]:
    """Mark and verdict, the statement in lines, what was measured against the threshold, colour."""
    mark, colour = {"holds": ("✓", GREEN), "does not hold": ("✗", VERMILLION)}.get(claim.verdict, ("–", GREY))
    value = measured(claim)
    room = 72 * WIDTH * (0.988 - 0.17) - _width(value) - 20
    return f"{mark} {claim.verdict}", "\n".join(_lines(_upright(claim.statement), room)), value, colour


def _lines(statement: str, points: float) -> list[str]:
    """Broken between words, never within a formula, so that no line is wider than so many points."""
    held = re.sub(r"\$[^$]*\$", lambda formula: formula[0].replace(" ", "\0"), statement)
    lines: list[str] = []
    for word in held.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer.replace("\0", " ")) <= points:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line.replace("\0", " ") for line in lines]


def _upright(statement: str) -> str:
    """With the names of functions in formulas as matplotlib sets them."""
    named = r"(?<![A-Za-z\\])(log|max|exp|cos)(?![A-Za-z])"
    return re.sub(r"\$[^$]*\$", lambda formula: re.sub(named, r"\\mathrm{\1}\\,", formula[0]), statement)


def _width(text: str) -> float:
    """In points, at the size of the verdicts."""
    return float(TextPath((0, 0), text, size=15).get_extents().width)


def measured(claim: Claim) -> str:
    """The measured value, its spread over seeds and the threshold, in a line.

    >>> measured(Claim("we", "it is small", (1.0, 2.0), "<=", 3.0))
    '1.50 ± 0.71  (≤ 3)'
    """
    relation = {"<=": "≤", ">=": "≥"}[claim.relation]
    unit = f" {claim.unit}" if claim.unit else ""
    return f"{with_spread(claim.measured, claim.spread)}{unit}  ({relation} {number(claim.threshold)}{unit})"


def verdict_lines(claim: Claim) -> tuple[str, str]:
    """What was measured of a claim, and what it claims, as plain text.

    >>> print(*verdict_lines(Claim("We 2026", "$x^{2}$ is small", (1.0, 2.0), "<=", 1.0)), sep="\\n")
     does not hold  1.50 ± 0.71  (≤ 1), 1 of 2 seeds
                    x^2 is small We 2026
    """
    seeds = f", {claim.seeds_holding} of {len(claim.values)} seeds" if len(claim.values) > 1 else ""
    return f"{claim.verdict:>14}  {measured(claim)}{seeds}", f"{'':16}{plain(claim.statement)} {claim.paper}"


def plain(statement: str) -> str:
    """A formula as it reads in plain text."""
    return statement.replace("$", "").replace("{", "").replace("}", "")


def table_of_figure(jobs: Sequence[tuple[str, list[str]]], results: Sequence[RunResult]) -> pd.DataFrame:
    """All rows of the figure's runs, as of `atml_exp.load`.

    Beside the columns of the config: `sweep`, which sweep a run belongs to; num_classes, num_train, num_test; and
    `directory`, for what isn't a metric.
    """
    parts = []
    for sweep in dict(jobs):
        directories = [r.directory for (s, _), r in zip(jobs, results, strict=True) if s == sweep]
        runs = {run.id: run for run in map(Run, directories)}
        part = table_of(list(runs.values()))
        part.insert(0, "sweep", sweep)
        for column, of in _DESCRIPTION.items():
            part[column] = part["run_id"].map({i: of(run) for i, run in runs.items()})
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


_DESCRIPTION: Mapping[str, Callable[[Run], Any]] = {
    "num_classes": lambda run: run.info.get("num_classes"),
    "num_train": lambda run: num_examples(run, "train"),
    "num_test": lambda run: num_examples(run, "test"),
    "directory": lambda run: str(run.directory),
}


def without_idle_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Of the config's columns only those that differ between the runs, and the seed."""
    kept = ("sweep", "run_id", "status", "seed", "step", "epoch", "name", "value")
    idle = [c for c in table.columns if c not in kept and table[c].astype(str).nunique() < 2]
    return table.drop(
        columns=[*idle, *(c for c in ("attempt", "output_dir", "directory") if c in table and c not in idle)]
    )


def _about(
    name: str, spec: FigureSpec, scale: str, command: str, table: pd.DataFrame, seconds: float
) -> dict[str, Any]:
    return {
        "name": name,
        "title": spec.title,
        "topic": spec.topic,
        "text": " ".join(spec.text.split()),
        "papers": [{key: text for key, text in asdict(p).items() if text is not None} for p in spec.papers],
        "command": command,
        "scale": scale,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_runs": int(table["run_id"].nunique()),
        "seeds": sorted(int(s) for s in table["seed"].unique()),
        "versions": environment()["versions"],
        "seconds": round(seconds, 1),
    }


def _write_bytes(path: Path, data: bytes) -> None:
    write_atomically(path, lambda p: p.write_bytes(data))
