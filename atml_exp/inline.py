"""What a notebook shows of runs and figures: short HTML, every text in it escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol

from atml_exp.nodes import flatten

__all__ = ["figure_html", "run_html", "runs_table"]

_FINAL = ("train/loss", "test/loss", "train/error", "test/error", "train/r_squared", "test/r_squared")
_MOST = 40
"""Runs that a table shows."""
_SILENT = ("output_dir", "device", "force", "progress", "wait")
"""Keys that change no result."""


class Shown(Protocol):
    """What of a run is shown."""

    directory: Path

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def info(self) -> dict[str, Any]: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def final(self) -> dict[str, float]: ...


def runs_table(runs: Sequence[Shown]) -> str:
    """A row for each run: id, what its config differs in from the others', status, last losses and errors."""
    unique = list({run.id: run for run in runs}.values())
    configs = [flatten(run.config) for run in unique]
    keys = _differing(configs)
    names = [name for name in _FINAL if any(name in run.final for run in unique[:_MOST])]
    rows = [
        [run.id, *(str(config.get(key, "")) for key in keys), run.status, *_values(run.final, names)]
        for run, config in zip(unique[:_MOST], configs, strict=False)
    ]
    more = f"<p>… and {len(unique) - _MOST} more runs</p>" if len(unique) > _MOST else ""
    return _table(["run", *keys, "status", *names], rows) + more


def run_html(run: Shown) -> str:
    """A run's id, status, learning system and last losses and errors, and where its report is."""
    rows = [["run", run.id], ["status", run.status]]
    if run.info.get("error"):
        rows.append(["why", str(run.info["error"])])
    rows += [[key.replace("_", " "), str(text)] for key, text in (run.info.get("system") or {}).items()]
    names = [name for name in _FINAL if name in run.final]
    rows += [list(pair) for pair in zip(names, _values(run.final, names), strict=True)]
    rows.append(["directory", str(run.directory)])
    if (run.directory / "report.html").exists():
        rows.append(["report", str(run.directory / "report.html")])
    return _table([], rows)


def figure_html(picture: Path, said: str) -> str:
    """A lecture figure's PNG, within the page, with what else is to be said of it as its other text."""
    data = base64.b64encode(picture.read_bytes()).decode()
    return f'<img alt="{escape(said)}" style="max-width:100%" src="data:image/png;base64,{data}">'


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values aren't the same in all configs; of a choice its name, without what only it has."""
    keys = dict.fromkeys(key for config in configs for key in config if not key.endswith("._target_"))
    kept = [key for key in keys if key not in _SILENT and len({str(config.get(key)) for config in configs}) > 1]
    return [key for key in kept if key.partition(".")[0] == key or key.partition(".")[0] not in kept]


def _values(final: Mapping[str, float], names: Sequence[str]) -> list[str]:
    return [_number(name, final[name]) if name in final else "" for name in names]


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("/error") else f"{value:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = f"<thead><tr>{''.join(f'<th>{escape(text)}</th>' for text in head)}</tr></thead>" if head else ""
    cell = '<td style="text-align:left">'
    body = "".join(f"<tr>{''.join(f'{cell}{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"
