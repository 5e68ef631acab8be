"""Too few open files allowed: the limit is raised, or populations are made smaller; else one message says so."""

import errno
import os
import re
import subprocess
import sys

import pytest

from atml_exp import open_files
from atml_exp.compose import compose_each
from atml_exp.errors import DamagedRunError, OpenFilesError
from atml_exp.open_files import is_too_many_open, room_for, too_many_open
from atml_exp.recorder import RunWriter
from atml_exp.runner import run
from atml_exp.runs import find_runs
from atml_exp.store import lock
from atml_exp.store.integrity import reading
from atml_exp.store.ledger import later_attempts

pytest.importorskip("resource", reason="Windows has no such limit")

SMALL = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.steps=3", "recipe.batch_size=16", "probe=[]",
    "checkpoint.interval=0", "progress=false", "device=cpu",
)  # fmt: skip

TRAIN = """
import resource, sys
soft, hard, num_seeds = map(int, sys.argv[1:4])
from atml_exp import runner
from atml_exp.compose import compose_each
train, sizes = runner.train_group, []

def noted(members, *rest):
    sizes.append(len(members))
    train(members, *rest)

runner.train_group = noted
configs = compose_each([[*sys.argv[4:], f"seed={seed}"] for seed in range(num_seeds)])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
results = runner.run(configs, keep_going=True, reports=False)
print(sizes, {r.status for r in results}, resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def trained(folder, soft, hard, num_seeds):
    """What a process with these limits says: the populations' sizes, the runs' status, its limits afterwards."""
    arguments = [str(number) for number in (soft, hard, num_seeds)] + [*SMALL, f"output_dir={folder.as_posix()}"]
    script = [sys.executable, "-c", TRAIN, *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout


def test_the_limit_is_raised_as_far_as_needed(tmp_path):
    said = trained(tmp_path, 64, 2000, 40)
    (limit,) = re.findall(r"^\[40\] {'complete'} \((\d+), 2000\)$", said, re.M)
    assert 2 * 40 + open_files.RESERVE < int(limit) < 2 * 40 + open_files.RESERVE + 64


def test_a_limit_that_suffices_stays(tmp_path):
    assert trained(tmp_path, 512, 2000, 4) == "[4] {'complete'} (512, 2000)\n"


@pytest.mark.parametrize(("limit", "num_seeds"), [(128, 40), (32, 3)])
def test_where_it_cannot_be_raised_fewer_train_together_and_one_always_does(tmp_path, limit, num_seeds):
    said = trained(tmp_path, limit, limit, num_seeds)
    sizes, rest = said.split("]")
    found = [int(size) for size in sizes[1:].split(",")]
    assert rest == f" {{'complete'}} ({limit}, {limit})\n"
    assert sum(found) == num_seeds
    assert len(found) > 1
    assert max(found) == 1 if limit < open_files.RESERVE else 1 < max(found) < limit // 2


def test_what_is_open_counts_and_one_always_fits(monkeypatch):
    monkeypatch.setattr(open_files, "_raised", lambda needed: 1024)
    monkeypatch.setattr(open_files, "_num_open", lambda: 24)
    fitting = (1024 - 24 - open_files.RESERVE) // 2
    assert [room_for(wanted, 2) for wanted in (1, fitting, fitting + 1, 512)] == [1, fitting, fitting, fitting]
    monkeypatch.setattr(open_files, "_num_open", lambda: 1024)
    assert room_for(512, 2) == 1
    monkeypatch.setattr(open_files, "_num_open", lambda: None)
    assert room_for(512, 2) == 512


def test_without_such_a_limit_as_on_windows_all_fit(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert room_for(100_000, 2) == 100_000
    assert "(ulimit -n) is too low for a run by itself" in str(too_many_open(OSError(errno.EMFILE, "")))


def refusing(monkeypatch, code, room):
    """No directory can be locked once so many are; none at all with room 0."""
    opened = []

    def refused(path, *rest):
        opened.append(path)
        if len(opened) > room:
            raise OSError(code, os.strerror(code), str(path))
        return os_open(path, *rest)

    os_open = os.open
    monkeypatch.setattr(lock.os, "open", refused)


def configs(folder, num_seeds):
    return compose_each([[*SMALL, f"seed={s}", f"output_dir={folder.as_posix()}"] for s in range(num_seeds)])


@pytest.mark.parametrize(
    ("code", "whose"),
    [(errno.EMFILE, r"\(ulimit -n\) allows [\d,]+ at once"), (errno.ENFILE, "by all of its")],
)
def test_the_message_blames_the_limit_and_not_the_folder(command, monkeypatch, code, whose):
    with monkeypatch.context() as patch:
        refusing(patch, code, 0)
        ended = command(*SMALL)
    assert ended.code == 1
    assert re.fullmatch(f"atml-exp: too many files are open.*{whose}.*the same command goes on\n", ended.err)
    assert "outputs" not in ended.err
    assert "complete" in command(*SMALL).out


def test_a_population_that_has_too_many_open_after_all_is_halved(tmp_path, monkeypatch):
    """Those of its loggers, for instance, which nobody can count."""
    take_over, tried = RunWriter._take_over, []

    def refused(self, config_yaml):
        tried.append(self.directory)
        if len(tried) == 3:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "somewhere else")
        take_over(self, config_yaml)

    monkeypatch.setattr(RunWriter, "_take_over", refused)
    results = run(configs(tmp_path, 4), keep_going=True, reports=False)
    assert {r.status for r in results} == {"complete"}
    assert len(tried) == 3 + 4


def test_a_single_run_that_has_too_many_open_is_left_to_be_gone_on_with(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "somewhere else")

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "scalars", refused)
        with pytest.raises(OpenFilesError, match="ulimit -n"):
            run(configs(tmp_path, 1), keep_going=True, reports=False)
    assert [r.status for r in find_runs(tmp_path)] == ["running"]
    assert {r.status for r in run(configs(tmp_path, 1), reports=False)} == {"complete"}


def test_neither_a_file_nor_a_folder_is_blamed_where_it_is_read(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(tmp_path))

    with pytest.raises(OpenFilesError, match="ulimit -n"), reading(tmp_path / "run.json"):
        refused()
    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(OpenFilesError, match="ulimit -n"):
        later_attempts(tmp_path)


def test_only_such_an_error_is_one():
    assert is_too_many_open(OSError(errno.EMFILE, ""))
    assert is_too_many_open(too_many_open(OSError(errno.ENFILE, "")))
    assert not any(map(is_too_many_open, (OSError(errno.ENOSPC, ""), ValueError("24"), DamagedRunError())))
