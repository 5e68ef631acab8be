"""A run's directory that is taken away while the run trains: one message, and nothing is made in its place."""

import shutil

import pytest

from atml_exp import runner
from atml_exp.compose import compose_each
from atml_exp.errors import TakenAwayError
from atml_exp.observer import Observer
from atml_exp.runner import run
from atml_exp.runs import Run, find_runs
from atml_exp.store.lock import Lock

pytest.importorskip("fcntl", reason="Windows lets nobody take away a folder in which a file is open")

SMALL = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.steps=12", "recipe.batch_size=16", "probe=[trajectory]",
    "recipe.evaluate_every=4it", "checkpoint.keep=4it", "progress=false", "device=cpu",
)  # fmt: skip


def configs(folder, *seeds, interval=0):
    words = (*SMALL, f"checkpoint.interval={interval}", f"output_dir={folder.as_posix()}")
    return compose_each([[*words, f"seed={seed}"] for seed in seeds])


def removed(directory):
    shutil.rmtree(directory)


def emptied(directory):
    removed(directory)
    directory.mkdir()


def renamed(directory):
    directory.rename(directory.with_name("elsewhere"))


def folder_renamed(directory):
    directory.parents[1].rename(directory.parents[1].with_name("elsewhere"))


def exchanged(directory):
    """Another process has made it anew, and trains the run there."""
    kept = (directory / "run.json").read_bytes()
    renamed(directory)
    directory.mkdir()
    (directory / "run.json").write_bytes(kept)


def once(monkeypatch, step, action):
    """Lets something happen once, when that step is reached."""
    tick, done = Observer.tick, []

    def ticked(self, population):
        if population.step == step and not done:
            done.append(self)
            action([r.writer.directory for r in self.recordings])
        tick(self, population)

    monkeypatch.setattr(Observer, "tick", ticked)


def listed(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


@pytest.mark.parametrize("interval", [0, 1000], ids=["at-a-checkpoint", "at-the-end"])
@pytest.mark.parametrize("take", [removed, emptied, renamed, folder_renamed, exchanged])
def test_it_is_said_and_nothing_is_made_in_its_place(command, tmp_path, monkeypatch, take, interval):
    left = []

    def taken(directories):
        take(directories[0])
        left.extend([directories[0], listed(tmp_path)])

    with monkeypatch.context() as patch:
        once(patch, 10, taken)
        ended = command(*SMALL, f"checkpoint.interval={interval}", "checkpoint.keep=never")
    directory, there = left
    assert ended.code == 1
    assert ended.err.startswith(f"atml-exp: {directory}: has been taken away (removed, emptied or renamed) while")
    assert len(ended.err.splitlines()) == 1
    assert listed(tmp_path) == there


def test_with_its_directory_back_the_run_goes_on_and_ends_in_the_same_bytes(tmp_path, monkeypatch):
    (whole,) = run(configs(tmp_path / "whole", 0), reports=False)
    with monkeypatch.context() as patch:
        once(patch, 10, lambda directories: renamed(directories[0]))
        with pytest.raises(TakenAwayError):
            run(configs(tmp_path, 0), reports=False)
    (tmp_path / "runs" / "elsewhere").rename(tmp_path / "runs" / whole.id)
    (again,) = run(configs(tmp_path, 0), reports=False)
    for name in ("metrics.parquet", "arrays/trajectory.weights.npz"):
        assert (again.directory / name).read_bytes() == (whole.directory / name).read_bytes()


@pytest.mark.parametrize("interval", [0, 1000])
def test_the_others_of_its_population_go_on_where_a_sweep_does(tmp_path, monkeypatch, interval):
    once(monkeypatch, 10, lambda directories: removed(directories[1]))
    results = run(configs(tmp_path, 0, 1, 2, interval=interval), keep_going=True, reports=False)
    assert [r.status for r in results] == ["complete", "failed", "complete"]
    assert f"{results[1].directory}: has been taken away" in results[1].error
    assert not results[1].directory.exists()
    assert {r.status for r in find_runs(tmp_path)} == {"complete"}
    assert not list(tmp_path.rglob("checkpoints/resume*"))


def test_the_next_populations_of_a_sweep_are_trained_where_all_of_one_are_taken_away(tmp_path, monkeypatch):
    once(monkeypatch, 10, lambda directories: [removed(d) for d in directories])
    results = run(configs(tmp_path, 0, 1, 2), keep_going=True, reports=False, max_replicas=2)
    assert [r.status for r in results] == ["failed", "failed", "complete"]


@pytest.mark.parametrize("keep_going", [True, False])
def test_a_run_that_ended_before_the_others_and_was_then_taken_away(tmp_path, monkeypatch, keep_going):
    train_all = runner._train_all

    def then_removed(missing, terms):
        ended = train_all(missing, terms)
        removed(missing[0].entry.directory)
        return ended

    monkeypatch.setattr(runner, "_train_all", then_removed)
    if keep_going:
        results = run(configs(tmp_path, 0, 1), keep_going=True, reports=False)
        assert [r.status for r in results] == ["failed", "complete"]
    else:
        with pytest.raises(TakenAwayError, match="has been taken away"):
            run(configs(tmp_path, 0, 1), reports=False)


def test_ctrl_c_stops_a_sweep_whose_run_has_been_taken_away(tmp_path, monkeypatch, capsys):
    def stopped(directories):
        removed(directories[0])
        raise KeyboardInterrupt

    once(monkeypatch, 10, stopped)
    with pytest.raises(KeyboardInterrupt):
        run(configs(tmp_path, 0, 1, interval=1000), keep_going=True, reports=False)
    assert "Interrupted." in (said := "".join(capsys.readouterr()))
    assert "has been taken away" in said
    assert [Run(d).status for d in (tmp_path / "runs").iterdir()] == ["running"]


def test_a_lock_tells_whether_its_directory_is_in_place(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    lock = Lock(directory)
    assert lock.is_in_place()
    directory.rename(tmp_path / "elsewhere")
    assert not lock.is_in_place()
    directory.mkdir()
    assert not lock.is_in_place()
    directory.rmdir()
    directory.symlink_to(tmp_path / "elsewhere")
    assert lock.is_in_place()
    lock.release()
