"""Every dataset's YAML states exactly the options of its function, at their defaults, and vice versa."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pydantic import TypeAdapter

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
    node = OmegaConf.to_container(OmegaConf.load(path))
    if path.parent.name == "wrapper":
        node = node[path.stem]
        assert node.pop("_partial_") is True
    module, _, name = node.pop("_target_").rpartition(".")
    assert module.endswith(f".{path.stem}")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters.values()
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert node.keys() == options.keys()
    for key, p in options.items():
        assert p.default in (p.empty, node[key])
        TypeAdapter(p.annotation).validate_python(node[key])
