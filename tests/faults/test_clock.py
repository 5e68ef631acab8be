"""The clock of the wall may be set back at any time: nothing but a date that is shown depends on it."""

import ast
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import atml_exp
from atml_exp import sitting
from atml_exp.compose import compose_each
from atml_exp.observer import Observer
from atml_exp.runner import run
from atml_exp.runs import Run

PACKAGE = Path(atml_exp.__file__).parent
WALL = {"time.time", "time.time_ns", "time.localtime", "time.gmtime", "datetime.now", "datetime.today",
        "date.today", "datetime.utcnow", "os.path.getmtime", "os.path.getctime"}  # fmt: skip
SHOWN = {"sitting.py", "figure_make.py", "store/quarantine.py"}
"""They write down when something was made, for people to read."""


def wall_clocks(path):
    """Where a module asks for the time of the wall, or for that of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and (
            ast.unparse(node) in WALL or node.attr.startswith(("st_mtime", "st_ctime"))
        ):
            yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"


def test_who_asks_for_the_time_of_the_wall_only_shows_it():
    paths = [p for p in PACKAGE.rglob("*.py") if "templates" not in p.parts]
    found = [place for path in paths for place in wall_clocks(path)]
    assert {place.partition(":")[0] for place in found} == SHOWN
    assert all(place.endswith("datetime.now") for place in found)


def config(tmp_path, *overrides):
    small = (
        "dataset=gaussian_mixture", "model.width=4", "recipe.steps=24", "recipe.batch_size=16", "progress=false",
        "recipe.evaluate_every=4it", "probe=[]", "checkpoint.interval=0.001", "device=cpu",
    )  # fmt: skip
    return compose_each([[*small, f"output_dir={tmp_path.as_posix()}", *overrides]])


def test_set_back_by_a_day_in_the_middle_a_run_is_as_ever(tmp_path, monkeypatch):
    (usual,) = run(config(tmp_path / "usual"), reports=False)
    tick, checkpoint, now, saved = Observer.tick, Observer.checkpoint, time.time, []

    def ticked(self, population):
        if population.step == 10:
            monkeypatch.setattr(time, "time", lambda: now() - 86400)
        time.sleep(0.002)
        tick(self, population)

    monkeypatch.setattr(Observer, "tick", ticked)
    monkeypatch.setattr(Observer, "checkpoint", lambda self: saved.append(self.latest_step) or checkpoint(self))
    (set_back,) = run(config(tmp_path / "set_back"), reports=False)
    assert saved == list(range(1, 25))  # by the clock that nobody sets
    a, b = Run(usual.directory), Run(set_back.directory)
    assert (a.directory / "metrics.parquet").read_bytes() == (b.directory / "metrics.parquet").read_bytes()
    assert 0.05 < b.info["wall_seconds"] < 600


def test_an_attempt_that_seems_older_than_the_one_before_it_is_still_the_latest(tmp_path, monkeypatch):
    run(config(tmp_path), reports=False)

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(days=1)

    monkeypatch.setattr(sitting, "datetime", Yesterday)
    (second,) = run(config(tmp_path, "force=true"), reports=False)
    created = datetime.fromisoformat(Run(second.directory).info["created"])
    assert datetime.now(UTC) - created > timedelta(hours=23)
    assert set(atml_exp.load(tmp_path).attempt) == {2}
    (third,) = run(config(tmp_path), reports=False)
    assert (third.reused, third.directory) == (True, second.directory)
