"""The report of one run: a single page that needs no network and no torch."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure

from atml_exp.build import check_target
from atml_exp.errors import ConfigError
from atml_exp.figures.style import svg
from atml_exp.pictures import curves, generic
from atml_exp.pictures.recorded import (
    last,
    num_examples,
    number,
    optimiser,
    percent,
    scalars,
    steps_per_epoch,
    wilson,
)
from atml_exp.runs import Run
from atml_exp.store.files import write_text
from atml_exp.system import TITLES
from atml_exp.typeset import math, typeset, update_rule

__all__ = ["Picture", "pictures", "pictures_of", "report", "write_report"]


@dataclass(frozen=True)
class Picture:
    """A figure with its caption (HTML); figure is None and `reason` says why where it couldn't be drawn."""

    name: str
    figure: Figure | None
    caption: str
    reason: str = ""


def write_report(run_directory: Path) -> Path:
    """Writes `report.html` into a run directory, whole or not at all; returns its path."""
    path = Path(run_directory) / "report.html"
    write_text(path, report(Run(run_directory)))
    return path


def pictures_of(run: Run) -> dict[str, Figure]:
    """The figures of a run by name: `curves`, then one for each probe; those that can't be drawn are left out."""
    return {picture.name: picture.figure for picture in pictures(run) if picture.figure is not None}


def pictures(run: Run) -> Iterator[Picture]:
    """The learning curves, then a picture for each probe in the config; drawing never raises."""
    yield _picture(run, "curves", f"{curves.__name__}.draw")
    for name, config in _probes(run).items():
        yield _picture(run, name, str(config.get("picture") or f"{generic.__name__}.draw"))


def report(run: Run) -> str:
    """The complete page as HTML: style, formulas (MathML) and pictures (SVG) within it, scripts none."""
    drawn = list(pictures(run))
    style = files("atml_exp").joinpath("report.css").read_text(encoding="utf-8")
    sections = [_summary(run), _system(run), *(_section(run, picture) for picture in drawn), _reproduce(run)]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(run))}</title>
<style>
{style}</style>
</head>
<body>
{_header(run, [picture.name for picture in drawn])}
<main>
{"".join(sections)}</main>
<footer>Run {escape(run.id)}, recorded {escape(str(run.info.get("created", "at an unknown time")))}.</footer>
</body>
</html>
"""


def _probes(run: Run) -> dict[str, Mapping[str, Any]]:
    """Without those that only record arrays for another one, which shows them."""
    probes = {name: config for name, config in (run.config.get("probe") or {}).items() if config}
    sources = {str(config.get("reads")).partition("/")[0] for config in probes.values()}
    return {n: c for n, c in probes.items() if n not in sources or c.get("picture") or scalars(run, n)}


def _picture(run: Run, name: str, path: str) -> Picture:
    try:
        module = _trusted_module(run, path)
        figure = getattr(module, path.rpartition(".")[2])(run, name)
        caption = getattr(module, "caption", generic.caption)(run, name)
        return Picture(name, figure, caption)
    except Exception as error:  # a picture, a user's too, must not cost the page
        if isinstance(error, KeyError) and "holds no array" in str(error):
            return Picture(name, None, "", "nothing was recorded for it: the run ended before it was due")
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Picture(name, None, "", f"{kind}{error}")


def _trusted_module(run: Run, path: str) -> Any:
    """The module of a dotted path in our package, one that offers configs, or one that the config trusts."""
    try:
        check_target(path, tuple(run.config.get("trusted_packages") or ()))
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("_target_ = ")) from error
    return import_module(path.rpartition(".")[0])


# Header and summary

_KNOWN = {
    "mlp": "MLP",
    "cnn": "CNN",
    "resnet18": "ResNet-18",
    "mnist": "MNIST",
    "mnist1d": "MNIST-1D",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "GD": "gradient descent",
    "Momentum": "SGD with momentum",
    "Nesterov": "Nesterov’s accelerated SGD",
}
"""Names that read better than the identifier with spaces; any other name stands as it is."""

_ICONS = {
    "complete": '<path d="M3 8.5l3.4 3.4L13 4.6"/>',
    "diverged": '<path d="M2 12.5c3.5 0 3-4 5-4s1 3 3 3 2-5 4-9.5"/>',
    "failed": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "running": '<path d="M8 4v4l3 2M14 8A6 6 0 1 1 8 2"/>',
}

_MEANINGS = {
    "diverged": "The loss grew beyond all bounds; what was recorded until then is shown.",
    "failed": "The run stopped with an error; what was recorded until then is shown.",
    "running": "The run has not ended: it is going on, or was interrupted and can be resumed.",
}


def _words(target: Any) -> str:
    last_part = str(target or "").rpartition(".")[2]
    return _KNOWN.get(last_part, last_part.replace("_", " ")) or "unknown"


def _title(run: Run) -> str:
    model, data = (_words((run.config.get(group) or {}).get("_target_")) for group in ("model", "dataset"))
    kind, config = optimiser(run)
    method = f"torch.optim.{config.get('name')}" if kind == "TorchOptim" else _words(kind)
    wrappers = ", ".join(name.replace("_", " ") for name in (run.config.get("dataset") or {}).get("wrapper") or ())
    return f"{model} on {data}{f' ({wrappers})' if wrappers else ''}, {method}"


def _header(run: Run, names: list[str]) -> str:
    anchors = [("summary", "Summary"), ("system", "Learning system"), *((n, _heading(n)) for n in names)]
    links = "".join(f'<a href="#{_anchor(n)}">{escape(t)}</a>' for n, t in [*anchors, ("reproduce", "Reproduce")])
    return f"""<header>
<p class="over">atml_exp · run {escape(run.id)}</p>
<h1>{escape(_title(run))}</h1>
<p class="lead">{escape(_lead(run))}</p>
{_status(run)}
{_tiles(run)}
<nav aria-label="Sections">{links}</nav>
</header>"""


def _status(run: Run) -> str:
    status = run.status if run.status in _ICONS else "failed"
    icon = (
        '<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_ICONS[status]}</svg>'
    )
    place = run.info.get("diverged_at")
    detail = _found(run, int(place)) if place is not None else ""
    reason = str(run.info.get("error") or "")
    words = " ".join(part for part in (_MEANINGS.get(status, ""), detail, reason) if part)
    why = f'<p class="why {status}">{escape(words)}</p>' if words else ""
    return f'<span class="status {status}">{icon}{escape(run.status)}</span>{why}'


def _found(run: Run, step: int) -> str:
    """When it was seen, which is when it was next measured, and when it was last well."""
    steps, loss = run.series("train/loss")
    well = steps[np.isfinite(loss) & (steps < step)]
    before = f"; the last finite measurement is that of step {number(int(well[-1]))}" if len(well) else ""
    return f"Found at step {number(step)}{before}."


def _lead(run: Run) -> str:
    """The run in one sentence."""
    steps = int(run.metrics["step"].max()) if len(run.metrics) else 0
    epochs = number(steps / steps_per_epoch(run))
    text = f"After {number(steps)} steps ({epochs} {'epoch' if epochs == '1' else 'epochs'})"
    if run.info.get("diverged_at") is not None:
        return f"Training diverged. {_found(run, int(run.info['diverged_at']))}"
    if last(run, "test/error") is None:
        return (
            f"{text} the loss is {number(last(run, 'train/loss'))} on the training set "
            f"and {number(last(run, 'test/loss'))} on the test set."
        )
    train, test = percent(last(run, "train/error")), percent(last(run, "test/error"))
    return f"{text} the net misclassifies {train} of the training set and {test} of the test set."


def _tiles(run: Run) -> str:
    steps = int(run.metrics["step"].max()) if len(run.metrics) else 0
    values = {
        "test error": percent(last(run, "test/error")),
        "training error": percent(last(run, "train/error")),
        "test loss": number(last(run, "test/loss")),
        "training loss": number(last(run, "train/loss")),
        f"of {number(run.info['steps'])} steps" if "steps" in run.info else "steps": number(steps),
        "wall time": _duration(run.info.get("wall_seconds")),
        "device": str(run.info.get("device", "—")),
    }
    if last(run, "test/error") is None:
        del values["test error"], values["training error"]
    else:
        del values["training loss"]
    tiles = (f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in values.items())
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _duration(seconds: float | None) -> str:
    """Wall time as one says it.

    >>> _duration(41.27), _duration(192), _duration(None)
    ('41.3 s', '3 min 12 s', '—')
    """
    if seconds is None:
        return "—"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


def _summary(run: Run) -> str:
    shown = {"loss": number, "error": percent}
    rows = []
    for quantity, written in shown.items():
        values = [last(run, f"{split}/{quantity}") for split in ("train", "test")]
        if any(value is not None for value in values):
            rows.append([f"final {quantity}", *map(written, values)])
    size = num_examples(run, "test")
    error = last(run, "test/error")
    if size and error is not None and np.isfinite(error):
        low, high = wilson(error, size)
        rows.append([f"its 95 % interval, from {size:,} examples", "", f"{percent(low)} to {percent(high)}"])
    best = curves.best_test_error(run)
    if best is not None:
        step = round(best[0] * steps_per_epoch(run))
        rows.append([f"best test error (step {number(step)}, epoch {number(best[0])})", "", percent(best[1])])
    left = _table(["", "train", "test"], rows)
    readings = "".join(f"<dt>{escape(_heading(n))}</dt><dd>{_readings(run, n)}</dd>" for n in _probes(run))
    probes = f"<h3>Last readings of the probes</h3><dl>{readings}</dl>" if readings else ""
    return f'<section id="summary"><h2>Summary</h2>{left}{probes}</section>\n'


def _readings(run: Run, probe: str, most: int = 18) -> str:
    """Last values, each after its name, as HTML; of long lists the first few."""
    names = scalars(run, probe)
    keys = [m.removeprefix(f"{probe}/").replace("_", " ") for m in names[:most]]
    items = [f"<span><i>{escape(k)}</i> {number(last(run, m))}</span>" for k, m in zip(keys, names, strict=False)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f'<div class="readings">{"".join(items)}{more}</div>' if items else "no scalars recorded"


def _table(head: list[str], rows: list[list[str]]) -> str:
    numeric = len(head) > 2
    cell = '<td class="n">' if numeric else "<td>"
    top = "".join(f"<th{' class=n' if numeric and i else ''}>{escape(h)}</th>" for i, h in enumerate(head))
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"{cell}{escape(v)}</td>" for v in row[1:])}</tr>'
        for row in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if any(head) else ''}<tbody>{body}</tbody></table>"


# The learning system

_LOSSES = {
    "cross_entropy": r"L(w) = \frac{1}{N} ∑_{i=1}^{N} −log \frac{exp o_{i,y_i}}{∑_{c} exp o_{i,c}}",
    "mse": r"L(w) = \frac{1}{N} ∑_{i=1}^{N} \frac{1}{2} ‖o_i − y_i‖^2",
    "logistic": r"L(w) = \frac{1}{N} ∑_{i=1}^{N} log(1 + exp(−m_i)), \text{ } m_i = (2y_i − 1) o_i",
    "hinge": r"L(w) = \frac{1}{N} ∑_{i=1}^{N} max(0, 1 − m_i), \text{ } m_i = (2y_i − 1) o_i",
}
"""What we can set in type; any other loss is described by its own words alone."""

_BRACES = str.maketrans({"{": r"\{", "}": r"\}", "<": "{", ">": "}"})


def _system(run: Run) -> str:
    system = run.info.get("system") or {}
    names = [*TITLES, *(key for key in system if key not in TITLES)]
    items = "".join(
        f"<dt>{escape(TITLES.get(key, _heading(key)))}</dt><dd>{_described(run, key, str(system[key]))}</dd>"
        for key in names
        if key in system
    )
    body = f"<dl>{items}</dl>" if items else '<p class="note">This run carries no description.</p>'
    return f'<section id="system"><h2>The learning system</h2>{body}</section>\n'


def _described(run: Run, key: str, text: str) -> str:
    if key == "loss":
        name = str((run.config.get("loss") or {}).get("_target_", "")).rpartition(".")[2]
        formula = f'<div class="formula">{math(_LOSSES[name], display=True)}</div>' if name in _LOSSES else ""
        return formula + typeset(text)
    if key == "domain":
        return math(re.sub(r"\^\(([^)]*)\)", r"^<\1>", text).translate(_BRACES)) if "ℝ" in text else typeset(text)
    return update_rule(text.replace(".; ", "; ")) if key == "algorithm" else typeset(text)


# Pictures


def _section(run: Run, picture: Picture) -> str:
    failure = (run.info.get("probe_failures") or {}).get(picture.name)
    notes = f'<p class="note">This probe stopped: {escape(str(failure))}</p>' if failure else ""
    if picture.figure is not None:
        body = _figure(picture)
    else:
        body = "" if failure else f'<p class="note">No picture: {escape(picture.reason)}</p>'
    heading = escape(_heading(picture.name))
    return f'<section id="{_anchor(picture.name)}"><h2>{heading}</h2>{notes}{body}</section>\n'


def _figure(picture: Picture) -> str:
    assert picture.figure is not None
    data = base64.b64encode(svg(picture.figure).encode()).decode()
    image = f'<img alt="{escape(_heading(picture.name))}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure class="picture">{image}<figcaption>{picture.caption}</figcaption></figure>'


def _heading(name: str) -> str:
    words = "learning curves" if name == "curves" else name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _anchor(name: str) -> str:
    return escape("picture-" + name if name not in {"summary", "system", "reproduce"} else name)


# How to do it again


def _reproduce(run: Run) -> str:
    place = f"{run.config.get('output_dir', 'outputs')}/runs/{run.directory.name}"
    probe = next(iter(_probes(run)), "sharpness")
    again = run.info.get("command") or (
        "from omegaconf import OmegaConf\nfrom atml_exp.runner import run\n"
        f"run([OmegaConf.load({place + '/config.yaml'!r})])"
    )
    measure = (
        ""
        if not run.checkpoints
        else (f"<h3>Measure its checkpoints</h3><pre>{escape(f'atml-exp-probe {place} probe={probe}')}</pre>")
    )
    machine = [[str(k), str(v)] for k, v in (run.info.get("machine") or {}).items() if v]
    versions = [*_flat(run.info.get("versions")), *machine, ["git", _git(run.info.get("git"))]]
    if run.info.get("determinism"):
        versions.append(["equal numbers", _determinism(run.info["determinism"])])
    rows = [["run", run.id], ["seed", str(run.config.get("seed", "—"))], *versions]
    config = yaml.safe_dump(json.loads(json.dumps(run.config)), sort_keys=False, allow_unicode=True)
    return f"""<section id="reproduce"><h2>Reproduce</h2>
<h3>Train it again</h3>
<p>A complete run is returned, not trained twice; <code>force=true</code> trains a new attempt.</p>
<pre>{escape(str(again))}</pre>
{measure}
<h3>Provenance</h3>
{_table(["", ""], rows)}
<details><summary>The whole configuration</summary><pre>{escape(config)}</pre></details>
</section>
"""


def _flat(versions: Mapping[str, Any] | None) -> list[list[str]]:
    return [[str(name), str(version)] for name, version in (versions or {}).items() if version]


def _git(git: Mapping[str, Any] | None) -> str:
    if not git or not git.get("commit"):
        return "not in a repository"
    return f"{str(git['commit'])[:12]}{' with uncommitted changes' if git.get('dirty') else ''}"


def _determinism(said: Any) -> str:
    """The level and where it holds; of older runs a sentence."""
    return f"{said.get('level')} on {said.get('for')}" if isinstance(said, Mapping) else str(said)
