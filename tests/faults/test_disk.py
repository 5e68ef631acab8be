"""A disk that is full, or becomes read-only: one message, nothing torn, and with room the same command goes on."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from atml_exp.compose import compose_each
from atml_exp.errors import ConfigError, DiskError
from atml_exp.observer import Observer
from atml_exp.runner import run
from atml_exp.runs import Run, find_runs
from atml_exp.store import disk

SMALL = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.steps=24", "recipe.batch_size=16",
    "recipe.evaluate_every=4it", "probe=[trajectory]", "probe.trajectory.start=0it", "checkpoint.keep=8it",
    "checkpoint.interval=0", "progress=false", "device=cpu",
)  # fmt: skip
SEEDS = {"run": ["seed=0"], "fused": ["seed=0", "seed=1"]}


def trained(folder, kind):
    configs = compose_each([[*SMALL, seed, f"output_dir={folder.as_posix()}"] for seed in SEEDS[kind]])
    return run(configs, keep_going=kind == "fused", reports=False)


def contents(folder):
    """What doesn't name the folder or tell the time."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in ("run.json", "config.yaml")]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module", params=["run", "fused"])
def whole(request, tmp_path_factory):
    """A kind of training, and what it leaves where there is room."""
    folder = tmp_path_factory.mktemp("whole")
    trained(folder, request.param)
    return request.param, contents(folder)


def nothing_is_complete(folder):
    for found in find_runs(folder):
        assert found.status == "running"
        assert found.metrics is not None
    return not list(folder.rglob("*.partial"))


@pytest.fixture
def small_disk(tmp_path):
    """An empty file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", folder):
        pytest.skip("needs the right to mount a tmpfs; full disks are tested by injected errors too")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def mount(*arguments):
    """Its exit code; 1 where there is no such command."""
    try:
        return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode
    except OSError:
        return 1


def fill(folder):
    with (folder / "filler").open("wb", buffering=0) as file:
        while written(file):
            pass


def written(file):
    """How much more there was room for."""
    try:
        return file.write(bytes(4096))
    except OSError:
        return 0


def at_step(monkeypatch, step, action):
    """Lets something happen once, when that step is reached."""
    tick, done = Observer.tick, []

    def ticked(self, population):
        if population.step == step and not done:
            done.append(action())
        tick(self, population)

    monkeypatch.setattr(Observer, "tick", ticked)


@pytest.mark.parametrize("step", [1, 8, 13, 24])
def test_a_disk_that_fills_up_is_said_and_with_room_all_goes_on(whole, small_disk, monkeypatch, step):
    kind, expected = whole
    outputs = small_disk / "outputs"
    at_step(monkeypatch, step, lambda: fill(small_disk))
    with pytest.raises(DiskError) as caught:
        trained(outputs, kind)
    (small_disk / "filler").unlink()
    message = str(caught.value)
    assert message.startswith(
        f"{outputs / 'runs'}: can't be written any more: No space left on device (0.0 MB free)"
    )
    assert f"the same command goes on from step {max(step - 1, 0)} once the folder can be written" in message
    assert nothing_is_complete(outputs)
    assert {r.status for r in trained(outputs, kind)} == {"complete"}
    assert contents(outputs) == expected


def test_a_disk_that_is_full_from_the_start_is_said(small_disk):
    fill(small_disk)
    with pytest.raises(DiskError, match=r"No space left on device \(0\.0 MB free\).* goes on from step 0 once"):
        trained(small_disk / "outputs", "run")


def test_a_disk_that_is_read_only_from_the_start_is_said(small_disk, command):
    assert mount("-o", "remount,ro", small_disk) == 0
    message = command(*SMALL, f"output_dir={small_disk}/outputs").message
    assert f"output_dir = {small_disk}/outputs: [Errno 30] Read-only file system" in message
    assert "allowed: a folder that can be written" in message


def failing_from(monkeypatch, write, code, *, once=False):
    """From the given write on all fail, or that one only; returns how many there have been."""
    replace, calls = os.replace, []

    def refused(source, target):
        calls.append(target)
        if write is not None and (len(calls) == write + 1 if once else len(calls) > write):
            raise OSError(code, os.strerror(code))
        return replace(source, target)

    monkeypatch.setattr(os, "replace", refused)
    return calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_whichever_write_is_the_first_to_fail(whole, tmp_path, code):
    """Also those of run.json: it may be impossible to say that a run has stopped."""
    kind, expected = whole
    with pytest.MonkeyPatch.context() as patch:
        calls = failing_from(patch, None, code)
        trained(tmp_path / "counted", kind)
    tried = range(0, len(calls), len(calls) // (5 if code == errno.ENOSPC else 2))
    assert len(tried) >= (5 if code == errno.ENOSPC else 2)
    for write in tried:
        outputs = tmp_path / str(write)
        with pytest.MonkeyPatch.context() as patch:
            failing_from(patch, write, code)
            with pytest.raises(DiskError, match=os.strerror(code)):
                trained(outputs, kind)
        assert not list(outputs.rglob("*.partial"))
        assert {r.status for r in trained(outputs, kind)} == {"complete"}
        assert contents(outputs) == expected


@pytest.mark.parametrize("kind", SEEDS)
def test_where_there_is_room_for_run_json_it_says_cut_off_and_not_failed(tmp_path, kind):
    """Else a fused sweep, which leaves alone what has failed, wouldn't go on with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Observer, "begin", beginning(Observer.begin, patch))
        with pytest.raises(DiskError):
            trained(tmp_path, kind)
    found = list(find_runs(tmp_path))
    assert [r.status for r in found] == len(SEEDS[kind]) * ["running"]
    assert all("wall_seconds" in r.info for r in found)


def beginning(begin, patch):
    """The first write after the beginning of a training fails."""

    def begun(self, *arguments, **options):
        failing_from(patch, 0, errno.ENOSPC, once=True)
        return begin(self, *arguments, **options)

    return begun


def test_the_command_says_it_in_one_message_and_goes_on(command, tmp_path, monkeypatch):
    with pytest.MonkeyPatch.context() as patch:
        failing_from(patch, 20, errno.ENOSPC)
        ended = command(*SMALL)
    assert ended.code == 1
    first, *rest = ended.err.splitlines()
    assert first.startswith("atml-exp: outputs/runs: can't be written any more: No space left on device (")
    assert rest == []
    (directory,) = (tmp_path / "outputs" / "runs").iterdir()
    assert Run(directory).status == "running"
    assert f"run {directory.name}: complete" in command(*SMALL).out


def test_a_fused_sweep_says_it_once_and_goes_on(command, tmp_path):
    sweep = ("--multirun", *SMALL, "seed=0,1", "hydra/launcher=fused", "hydra.launcher.max_replicas=1")
    with pytest.MonkeyPatch.context() as patch:
        failing_from(patch, 20, errno.ENOSPC)
        ended = command(*sweep)
    assert (ended.code, ended.err.count("can't be written any more"), len(ended.err.splitlines())) == (1, 1, 1)
    assert "sweep of 2 jobs: 2 complete" in command(*sweep).out


def test_an_error_of_somebody_elses_file_is_none_of_the_output_folders(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    assert disk.is_of_disk(full, tmp_path)
    assert disk.is_of_disk(PermissionError(errno.EACCES, "", str(tmp_path / "runs" / "x")), tmp_path)
    assert not disk.is_of_disk(PermissionError(errno.EACCES, "", "/elsewhere/data"), tmp_path)
    assert not disk.is_of_disk(FileNotFoundError(errno.ENOENT, "", str(tmp_path / "x")), tmp_path)
    assert not disk.is_of_disk(ValueError("full"), tmp_path)


def test_a_folder_that_cannot_be_made_is_what_the_config_is_blamed_for(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="allowed: a folder that can be written"):
        trained(Path(tmp_path / "file" / "outputs"), "run")
