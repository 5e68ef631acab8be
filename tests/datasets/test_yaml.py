"""Every dataset's YAML states exactly the options of its function, at their defaults, and vice versa."""

from pathlib import Path

import pytest

from atml_exp.contract import check_options

FOLDER = Path(__file__).parents[2] / "configs" / "dataset"
FILES = sorted(FOLDER.rglob("*.yaml"))


def test_every_dataset_and_wrapper_has_a_yaml():
    code = Path(__file__).parents[2] / "atml_exp" / "datasets"
    shared = {"__init__", "corruption", "groups", "image_files", "remembered", "sampling", "splitting"}
    shared |= {"table_files"}
    names = {path.stem for path in code.glob("*.py")} - shared
    assert {path.stem for path in FILES if path.parent == FOLDER} >= names
    wrappers = {path.stem for path in (code / "wrappers").glob("*.py")} - {"__init__"}
    assert {path.stem for path in FILES if path.parent.name == "wrapper"} >= wrappers
    assert len(names) >= 13
    assert len(wrappers) >= 7


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_options_are_the_signatures(path):
    check_options(path, path.parent.relative_to(FOLDER.parent).as_posix())
