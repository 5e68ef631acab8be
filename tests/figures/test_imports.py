"""Figures read tables: drawing one needs neither torch nor a model."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import atml_exp.figures

MODULES = sorted(p.stem for p in Path(atml_exp.figures.__file__).parent.glob("*.py") if p.stem != "__init__")
FIGURES = sorted(p.stem for p in (Path(__file__).parents[2] / "configs" / "figure").glob("*.yaml"))


def test_none_imports_torch():
    names = ", ".join(f"atml_exp.figures.{name}" for name in MODULES)
    code = f"import sys, {names}; print([m for m in sys.modules if m in ('torch', 'hydra', 'atml_exp.runner')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FIGURES)
def test_each_config_has_a_module_and_a_test_of_its_name(name):
    module = import_module(f"atml_exp.figures.{name}")
    assert callable(module.draw)
    assert callable(module.claims)
    assert (Path(__file__).parent / f"test_{name}.py").exists()
