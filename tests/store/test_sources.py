"""A change of a user's own code is said of the runs that were made by the former."""

import importlib
import sys
from textwrap import dedent

import pytest

from atml_exp.compose import compose
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.store.sources import changed, sources
from atml_exp.validate import validate

LOSS = """
    from torch.nn.functional import cross_entropy

    from homework.scale import scaled

    def louder(outputs, y):
        return scaled(cross_entropy(outputs, y))
"""
SCALE = """
    def scaled(value):
        return 2 * value
"""


@pytest.fixture
def homework(tmp_path, monkeypatch):
    """A package of somebody's; call it with changed files to have it imported anew."""
    folder = tmp_path / "code" / "homework"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "code")

    def written(**files):
        for name, text in files.items():
            (folder / f"{name}.py").write_text(dedent(text))
        for name in [name for name in sys.modules if name.partition(".")[0] == "homework"]:
            del sys.modules[name]
        importlib.invalidate_caches()

    written(__init__="", losses=LOSS, scale=SCALE, unused="x = 1\n")
    yield written
    for name in [name for name in sys.modules if name.partition(".")[0] == "homework"]:
        del sys.modules[name]


def trained(tmp_path, *overrides, seeds=(0,)):
    tiny = ["dataset=gaussian_mixture", "model=linear", "recipe.steps=3", "recipe.batch_size=16", "probe=[]"]
    own = ["loss._target_=homework.losses.louder", "~loss.label_smoothing", "trusted_packages=[homework]"]
    folder = f"output_dir={(tmp_path / 'outputs').as_posix()}"
    configs = [
        compose([*tiny, *own, folder, "progress=false", "device=cpu", *overrides, f"seed={s}"]) for s in seeds
    ]
    for config in configs:
        validate(config)
    return run(configs, reports=False)


def warned(caplog):
    return [r.getMessage() for r in caplog.records if "other code" in r.getMessage()]


def test_a_run_says_which_files_of_others_it_was_made_by(homework, tmp_path):
    (result,) = trained(tmp_path)
    found = Run(result.directory).info["sources"]
    assert list(found) == ["homework.losses", "homework.scale"]
    assert all(len(digest) == 64 for digest in found.values())


def test_runs_of_our_own_code_say_nothing(homework, tmp_path):
    (result,) = trained(
        tmp_path, "loss._target_=atml_exp.losses.cross_entropy.cross_entropy", "trusted_packages=[]"
    )
    assert Run(result.directory).info["sources"] == {}


@pytest.mark.parametrize(
    ("file", "text"), [("losses", LOSS + "\n    # a word\n"), ("scale", SCALE.replace("2", "3"))]
)
def test_a_run_of_former_code_is_reused_and_said_to_be(homework, tmp_path, caplog, file, text):
    first = trained(tmp_path, seeds=(0, 1))
    homework(**{file: text})
    again = trained(tmp_path, seeds=(0, 1))
    assert all(result.reused for result in again)
    (line,) = warned(caplog)
    assert line.startswith(f"run {first[0].id} is there already, and was made by other code")
    assert f"homework.{file} has changed since, and so were 1 more; force=true trains anew" in line
    (fresh,) = trained(tmp_path, "force=true")
    assert not fresh.reused
    assert changed(Run(fresh.directory), Run(fresh.directory).config) == []


def test_what_a_run_has_no_part_in_is_no_change(homework, tmp_path, caplog):
    trained(tmp_path)
    homework(unused="x = 2\n")
    assert all(result.reused for result in trained(tmp_path))
    assert warned(caplog) == []


def test_a_run_that_goes_on_with_other_code_is_said_to(homework, tmp_path, caplog):
    stops = """
        calls = []

        def scaled(value):
            calls.append(value)
            if len(calls) > 20:
                raise KeyboardInterrupt
            return 2 * value
    """
    homework(scale=stops)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "recipe.steps=40", "checkpoint.interval=0")
    homework(scale=SCALE)
    (result,) = trained(tmp_path, "recipe.steps=40", "checkpoint.interval=0")
    assert (result.status, result.reused) == ("complete", False)
    (line,) = warned(caplog)
    assert "homework.scale has changed since" in line


def test_of_a_former_run_without_a_note_nothing_is_known(homework, tmp_path):
    (result,) = trained(tmp_path)
    old = Run(result.directory)
    old.info.pop("sources")
    homework(scale=SCALE.replace("2", "3"))
    assert changed(old, old.config) == []


def test_a_module_that_is_no_file_is_left_out():
    assert sources({"_target_": "sys.exit"}) == {}
