"""Nothing damaged is loaded: each file of a run directory, cut short, altered, exchanged or removed, is named; its
run goes to quarantine when it is asked for, and trains to the same numbers when it is asked for again.
"""

import json
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import atml_exp
from atml_exp import train
from atml_exp.compose import compose
from atml_exp.errors import ConfigError, DamagedRunError
from atml_exp.figure_make import num_missing
from atml_exp.figure_spec import figure_spec
from atml_exp.launchers.worker import outcome
from atml_exp.recorder import Checkpoint, RunWriter
from atml_exp.runner import groups_to_train, run
from atml_exp.runs import Run
from atml_exp.store.damage import damage
from atml_exp.store.integrity import read_info
from atml_exp.store.ledger import look_up
from atml_exp.store.lock import Lock
from atml_exp.store.seals import log_lines, read_log, sealed_json
from atml_exp.store.together import conclude_ready
from atml_exp.validate import validate

COMMON = [
    "dataset=two_moons",
    "dataset.num_train=24",
    "dataset.num_test=16",
    "model.width=4",
    "progress=false",
    "device=cpu",
    "recipe=iterative_pruning",
    "recipe.rounds=1",
    "recipe.steps=4it",
    "recipe.retrain=8it",
    "recipe.batch_size=8",
    "recipe.evaluate_every=4it",
    "checkpoint.keep=4it",
    "checkpoint.interval=0",
    "probe=[trajectory]",
    "probe.trajectory.start=0it",
]
"""Two trainings, so that there are files of stages; a checkpoint and a chunk of the trajectory at each step."""


def config(folder, seed=0, *more):
    composed = compose([*COMMON, f"seed={seed}", f"output_dir={Path(folder).as_posix()}", *more])
    validate(composed)
    return composed


def trained(folder, seed=0, *more):
    (result,) = run([config(folder, seed, *more)], reports=False)
    return result


def cut_off(folder, seed=0, updates=9):
    """Ctrl-C in the second training."""
    update, made = train.update, []

    def interrupted(*given):
        made.append(0)
        if len(made) == updates:
            raise KeyboardInterrupt
        return update(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "update", interrupted)
        with suppress(KeyboardInterrupt):
            run([config(folder, seed)], reports=False)
    (directory,) = (folder / "runs").iterdir()
    return directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("finished")).directory


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    return cut_off(tmp_path_factory.mktemp("unfinished"))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """The same two of another seed: their files are sound, and foreign here."""
    ended = trained(tmp_path_factory.mktemp("other_finished"), 1).directory
    return {"finished": ended, "unfinished": cut_off(tmp_path_factory.mktemp("other_unfinished"), 1)}


def files(directory):
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
NUM_FLIPS = 6


def damages(data, foreign, name):
    """(what was done, the damaged content; None: the file is gone)."""
    rng = random.Random(name)
    yield "removed", None
    yield "empty", b""
    yield "half", data[: len(data) // 2]
    yield "one byte less", data[:-1]
    yield "a byte more", data + b" "
    yield "a picture", PNG
    for _ in range(NUM_FLIPS):
        bit = rng.randrange(8 * len(data))
        yield f"bit {bit}", flipped(data, bit)
    if foreign is not None and foreign != data:
        yield "another run's", foreign


def flipped(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def each_damage(tmp_path, request, others):
    """(directory, file, what was done) for each damage of each file of a run, which is put back afterwards."""

    def each(kind):
        source = request.getfixturevalue(kind)
        directory = shutil.copytree(source, tmp_path / "runs" / source.name)
        for name in files(directory):
            path, whole, other = directory / name, (directory / name).read_bytes(), others[kind] / name
            for done, content in damages(whole, other.read_bytes() if other.exists() else None, name):
                path.unlink()
                if content is not None:
                    path.write_bytes(content)
                yield directory, name, done
                path.write_bytes(whole)

    return each


def read(directory, name):
    """Asks for what a file holds."""
    if name.startswith("checkpoints/"):
        Checkpoint(directory / name)
    elif name.startswith("arrays/"):
        Run(directory).array("trajectory/weights")
    elif name == "config.yaml":
        assert Run(directory).config_yaml
    else:
        Run(directory).table()


def test_each_damage_of_a_finished_run_is_found_by_the_ledger_and_by_whoever_reads(each_damage, finished):
    found, asked = [], 0
    for directory, name, done in each_damage("finished"):
        asked += 1
        entry = look_up(directory.parents[1], directory.name)
        missing_info = (name, done) == ("run.json", "removed")
        if entry.finished or not any(line.startswith(f"{name}: ") for line in entry.damage):
            found.append(("ledger", name, done, entry.damage))
        with pytest.raises(FileNotFoundError if missing_info else DamagedRunError, match=Path(name).name):
            read(directory, name)
    assert found == []
    assert set(files(finished)) == {*read_info(finished)["files"], "run.json"}
    assert asked >= 12 * len(files(finished))


def is_what_a_kill_leaves(directory, name):
    """A log with all the lines that the checkpoint goes on from; what comes after them is written anew."""
    needs = Checkpoint(directory / "checkpoints" / "resume.safetensors").needs
    return name == "metrics.jsonl" and (directory / name).read_bytes().count(b"\n") >= needs["rows"]


def test_each_damage_of_an_unfinished_run_is_found_before_it_is_gone_on_with(each_damage, unfinished):
    missed, asked, torn = [], 0, 0
    for directory, name, done in each_damage("unfinished"):
        asked += 1
        entry = look_up(directory.parents[1], directory.name)
        if not entry.damage and (directory / name).exists() and is_what_a_kill_leaves(directory, name):
            torn += 1
            continue
        named = Path(name).parent.as_posix() if "/chunks/" in name else name  # the next chunk is found to lack it
        if not any(line.startswith(named) for line in entry.damage):
            missed.append((name, done, entry.damage))
    assert missed == []
    assert asked >= 12 * len(files(unfinished))
    assert torn <= 3
    assert {p.split("/")[-1].split("_")[0] for p in files(unfinished)} >= {"stage", "step", "resume.safetensors"}


def test_what_is_read_of_an_unfinished_run_is_checked_as_well(each_damage, unfinished):
    """A log or an array that is shorter at its end is that of an earlier moment."""
    loaded = []
    for directory, name, done in each_damage("unfinished"):
        try:
            read(directory, name)
            loaded.append((name, done))
        except (DamagedRunError, FileNotFoundError):
            pass
    shorter = {"removed", "empty", "half", "one byte less", "a byte more"}
    last = max(name for name in files(unfinished) if "/chunks/" in name)
    assert [pair for pair in loaded if pair[0] != "metrics.jsonl"] == [(last, "removed")]
    assert {done for name, done in loaded if name == "metrics.jsonl"} <= shorter


def test_a_log_of_the_same_run_that_the_checkpoint_does_not_know_is_found(tmp_path, unfinished):
    directory = shutil.copytree(unfinished, tmp_path / "runs" / unfinished.name)
    rows, _ = read_log(directory / "metrics.jsonl", unfinished.name)
    changed = [(*row[:3], row[3] + 1) for row in rows]
    (directory / "metrics.jsonl").write_text(log_lines(changed, unfinished.name)[0])
    assert damage(directory) == ["metrics.jsonl: isn't the log that the checkpoint goes on from"]


@pytest.mark.parametrize("name", ["metrics.parquet", "run.json", "checkpoints/*.safetensors", "arrays/*.npz"])
def test_a_damaged_run_goes_to_quarantine_and_trains_to_the_same_numbers(tmp_path, finished, name):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    path = sorted(directory.glob(name))[-1]
    path.write_bytes(flipped(path.read_bytes(), 8 * 100 + 1))
    with pytest.raises(DamagedRunError, match="the same command now trains it again") as refused:
        trained(tmp_path)
    assert path.relative_to(directory).as_posix() in str(refused.value)
    aside = tmp_path / "quarantine" / finished.name
    assert not directory.exists()
    assert files(aside) == sorted([*files(finished), "damaged.txt"])
    assert path.name in (aside / "damaged.txt").read_text()
    again = trained(tmp_path)
    assert not again.reused
    assert_equal(again.directory, finished)


def test_a_damaged_unfinished_run_goes_to_quarantine_and_trains_to_the_same_numbers(tmp_path, unfinished, finished):
    directory = shutil.copytree(unfinished, tmp_path / "runs" / unfinished.name)
    path = sorted(directory.glob("arrays/chunks/*/*.npz"))[0]
    path.unlink()
    with pytest.raises(DamagedRunError, match="arrays/chunks/trajectory"):
        trained(tmp_path)
    assert_equal(trained(tmp_path).directory, finished)


def test_an_unfinished_run_that_is_whole_goes_on_bit_for_bit(tmp_path, unfinished, finished):
    shutil.copytree(unfinished, tmp_path / "runs" / unfinished.name)
    assert_equal(trained(tmp_path).directory, finished)


def assert_equal(directory, expected):
    """Bit for bit; the archives' own times of day apart."""
    assert files(directory) == files(expected)
    for name in files(expected):
        if name.endswith((".parquet", ".safetensors")):
            assert (directory / name).read_bytes() == (expected / name).read_bytes(), name
    mine, theirs = (Run(d).array("trajectory/weights") for d in (directory, expected))
    np.testing.assert_array_equal(mine[0], theirs[0])
    np.testing.assert_array_equal(mine[1], theirs[1])


def test_all_damaged_runs_of_a_sweep_are_said_at_once_and_nothing_in_quarantine_is_written_over(tmp_path):
    configs = [config(tmp_path, seed, "recipe.retrain=1it") for seed in range(3)]
    results = run(configs, reports=False)
    for result in results[:2]:
        (result.directory / "metrics.parquet").unlink()
    (tmp_path / "quarantine" / results[0].id).mkdir(parents=True)
    with pytest.raises(DamagedRunError) as refused:
        groups_to_train(configs)
    lines = str(refused.value).splitlines()
    assert lines[0] == "2 runs are damaged, and moved to quarantine; the same command now trains them again:"
    assert lines[2] == lines[4] == "  metrics.parquet: is missing"
    assert not list((tmp_path / "quarantine" / results[0].id).iterdir())
    assert (tmp_path / "quarantine" / f"{results[0].id}-2" / "run.json").exists()
    assert [r.reused for r in run(configs, reports=False)] == [False, False, True]


def test_force_takes_no_damaged_run_for_granted_either(tmp_path, finished):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    (directory / "metrics.parquet").write_bytes(b"")
    with pytest.raises(DamagedRunError, match=r"metrics\.parquet: has 0 bytes instead of \d+"):
        trained(tmp_path, 0, "force=true")
    assert trained(tmp_path, 0, "force=true").directory == directory


def test_who_only_looks_moves_nothing(tmp_path, finished):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    (directory / "metrics.parquet").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    said = outcome(config(tmp_path))
    assert said.status == "failed"
    assert "is damaged: metrics.parquet: has 0 bytes" in said.error
    missing, total = num_missing(figure_spec("edge_of_stability"), "smoke", str(tmp_path))
    assert missing == total
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_is_being_trained_is_never_called_damaged(tmp_path, unfinished):
    directory = shutil.copytree(unfinished, tmp_path / "runs" / unfinished.name)
    (directory / "config.yaml").unlink()
    lock = Lock(directory)
    assert look_up(tmp_path, directory.name).damage == ()
    lock.release()
    assert look_up(tmp_path, directory.name).damage == ("config.yaml: is missing",)


def test_files_of_a_user_are_no_damage_and_are_never_loaded(tmp_path, finished):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    (directory / "notes.txt").write_text("mine")
    shutil.copy(directory / "arrays" / "trajectory.weights.npz", directory / "arrays" / "mine.npz")
    kept = Run(directory).checkpoints
    extra = "checkpoints/step_99999999.safetensors"
    shutil.copy(kept[0], directory / extra)
    shutil.copy(kept[0], directory / "checkpoints" / "resume.safetensors")
    assert trained(tmp_path).reused
    assert Run(directory).checkpoints == kept
    assert Run(directory).array_names == ["trajectory/weights"]
    for unlisted in (lambda: Run(directory).array("mine"), lambda: Checkpoint(directory / extra)):
        with pytest.raises(DamagedRunError, match="isn't among the files that the run has written"):
            unlisted()


def test_the_table_of_all_runs_leaves_a_damaged_one_out_and_says_so(tmp_path, finished, others):
    for source in (finished, others["finished"]):
        shutil.copytree(source, tmp_path / "runs" / source.name)
    shutil.copy(others["finished"] / "metrics.parquet", tmp_path / "runs" / finished.name)
    with pytest.warns(UserWarning, match=r"metrics\.parquet is damaged: it .*; the run is left out"):
        table = atml_exp.load(tmp_path)
    assert set(table["run_id"]) == {others["finished"].name}


def test_another_runs_run_json_is_not_taken_for_this_ones(tmp_path, finished, others):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    shutil.copy(others["finished"] / "run.json", directory)
    with pytest.raises(DamagedRunError, match="is that of another run"):
        assert Run(directory).info


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/step_00000004.safetensors", "run.json"])
def test_commands_say_it_in_one_message(tmp_path, finished, probe_command, export_command, name):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    path = directory / name
    path.write_bytes(flipped(path.read_bytes(), 8 * 300 + 2))
    refused = [export_command(directory, "model.pt"), probe_command(directory, "probe=pruning")]
    for ended in refused[name == "config.yaml" :]:
        assert f"{name} is damaged: it " in ended.message
        assert "quarantine" in ended.message


def test_a_damaged_array_is_no_probes_fault(tmp_path, finished, probe_command):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    path = directory / "arrays" / "trajectory.weights.npz"
    path.write_bytes(path.read_bytes()[:-3])
    message = probe_command(directory, "probe=fractal_dimension").message
    assert "trajectory.weights.npz is damaged: it has" in message


def test_the_command_says_it_in_one_message_and_then_trains(tmp_path, command):
    overrides = [*COMMON, "recipe.retrain=1it", f"output_dir={tmp_path.as_posix()}"]
    assert command(*overrides).code == 0
    (parquet,) = tmp_path.glob("runs/*/metrics.parquet")
    parquet.write_bytes(PNG)
    assert "metrics.parquet: has" in command(*overrides).message
    ended = command(*overrides)
    assert (ended.code, parquet.exists()) == (0, True), ended.err


def test_a_sweep_over_any_launcher_says_all_of_them_at_once(tmp_path, command):
    overrides = [*COMMON, "recipe.retrain=1it", f"output_dir={tmp_path.as_posix()}"]
    directories = [
        r.directory for r in run([config(tmp_path, s, "recipe.retrain=1it") for s in (0, 1)], reports=False)
    ]
    for directory in directories:
        (directory / "run.json").write_bytes(b"")
    message = command("--multirun", *overrides, "seed=0,1").message
    assert message.count("run.json: is empty") == 2
    assert sorted(p.name for p in (tmp_path / "quarantine").iterdir()) == sorted(d.name for d in directories)
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("file", ["ready.json", "metrics.parquet", "checkpoints/resume.safetensors"])
def test_of_a_population_that_was_killed_while_it_ended_only_the_damaged_run_is_set_aside(tmp_path, file):
    def killed(writer):
        raise Killed

    configs = [config(tmp_path, seed, "recipe.retrain=1it", "dtype=float64") for seed in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunWriter, "conclude", killed)
        with pytest.raises(Killed):
            run(configs, reports=False)
    damaged, sound = sorted((tmp_path / "runs").iterdir())
    (damaged / file).write_bytes(flipped((damaged / file).read_bytes(), 8 * 200))
    with pytest.raises(DamagedRunError, match=f"{damaged.name}(.|\n)*{file}: "):
        run(configs, reports=False)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [sound.name]
    assert {r.status for r in run(configs, reports=False)} == {"complete"}
    alone = [trained(tmp_path / "alone", seed, "recipe.retrain=1it", "dtype=float64") for seed in (0, 1)]
    for mine, theirs in zip(run(configs, reports=False), alone, strict=True):
        assert mine.reused
        assert mine.final == pytest.approx(theirs.final, rel=1e-9)


def stopped(directory, at):
    """A writer that a kill stops before it replaces or removes the `at`-th file; True where it came to its end."""
    count = [0]

    def counted(change):
        def changed(*given, **options):
            count[0] += not str(given[0]).endswith(".partial") or len(given) == 2  # not the tidying of an error
            if count[0] == at:
                count[0] += 1
                raise Killed
            return change(*given, **options)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", counted(os.replace))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        writer = None
        try:
            if (directory / "run.json").exists() and conclude_ready(directory):  # as the runner asks first
                return True
            writer = RunWriter(directory, {"run_id": "abc", "config": {}}, f"at: {at % 2}\n")
            write_all(writer)
        except Killed:
            if writer is not None:
                writer.close()
            return False
    return True


class Killed(BaseException):
    """Nothing but the death of the process: no handler sees it."""


def write_all(writer):
    import torch

    begin = writer.resumed.step if writer.resumed else 0
    for step in range(begin, 6):
        writer.scalars(step, step / 10, {"train/loss": 1 / (step + 1), "test/loss": float(step)})
        writer.arrays(step, {"trajectory/weights": torch.full((2,), float(step))})
        writer.keep(step, {"w": torch.arange(3.0)})
        if step in (2, 4):
            writer.leave_stage(step, {"w": torch.zeros(2)}, {})
            writer.checkpoint(step, {"w": torch.ones(3)}, {})
    writer.finish("complete")


def test_a_kill_at_any_change_of_a_file_leaves_nothing_that_is_called_damaged(tmp_path):
    """Also of a writer that takes over what the last one left, with another config.yaml each time."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert stopped(whole, -1)
    kills, at = 0, 0
    while True:
        at += 1
        directory = cut / f"{at}"
        if stopped(directory, at):
            break
        kills += 1
        for second in range(1, 8):
            assert damage(directory) == [], (at, second)
            again = shutil.copytree(directory, cut / f"{at}-{second}")
            stopped(again, second)
            assert damage(again) == [], (at, second)
        assert stopped(directory, -1)
        assert damage(directory) == []
        for name in ("metrics.parquet", "checkpoints/step_00000003.safetensors"):
            assert (directory / name).read_bytes() == (whole / name).read_bytes()
        assert Run(directory).array("trajectory/weights")[0].tolist() == list(range(6))
    assert kills > 15


def test_a_newer_format_is_refused_by_name_and_not_taken_for_damage(tmp_path, finished):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    info = json.loads((directory / "run.json").read_bytes())
    (directory / "run.json").write_text(json.dumps({**info, "format_version": 3, "checksum": "0" * 64}))
    with pytest.raises(ConfigError, match="made by a newer atml_exp: format 3; this one reads 1 and 2"):
        trained(tmp_path)
    assert directory.exists()
    with pytest.warns(UserWarning, match=r"made by a newer atml_exp: format 3.*; the run is left out"):
        assert len(atml_exp.load(tmp_path)) == 0


@pytest.mark.parametrize("version", [0, -3, "two", None, 1.5])
@pytest.mark.parametrize("sealed", [True, False])
def test_a_format_that_never_was_is_no_newer_one_but_damage(tmp_path, finished, version, sealed):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    info = json.loads((directory / "run.json").read_bytes())
    info["format_version"] = version
    if sealed:
        (directory / "run.json").write_bytes(sealed_json(info))
    else:
        (directory / "run.json").write_text(json.dumps(info))
    with pytest.raises(DamagedRunError, match=r"run\.json is damaged"):
        assert Run(directory).info
    with pytest.warns(UserWarning, match="the run is left out"):
        assert len(atml_exp.load(tmp_path)) == 0


def test_a_flipped_digit_of_the_format_is_damage(tmp_path, finished):
    directory = shutil.copytree(finished, tmp_path / "runs" / finished.name)
    text = (directory / "run.json").read_text()
    for other in "0136":
        (directory / "run.json").write_text(text.replace('"format_version": 2', f'"format_version": {other}'))
        with pytest.raises(DamagedRunError, match="its checksum doesn't fit"):
            assert Run(directory).info
