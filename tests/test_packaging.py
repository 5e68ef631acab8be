"""The wheel holds the configs and runs from anywhere; importing the package is light and changes nothing."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import atml_exp

ROOT = Path(__file__).parents[1]


def python(*args: str, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    result = subprocess.run(
        [sys.executable, *args], cwd=cwd, env={**os.environ, **env}, text=True, capture_output=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the working tree, without a network."""
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    (path,) = out.glob("atml_exp-*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed in a directory of its own."""
    target = tmp_path_factory.mktemp("site")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check")
    python(*pip, "--target", str(target), str(wheel), cwd=target)
    return target


def test_the_wheel_holds_every_config_and_module_and_nothing_else_at_the_top(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = [p.relative_to(ROOT).as_posix() for p in (ROOT / "configs").rglob("*.yaml")]
    modules = [p.relative_to(ROOT).as_posix() for p in (ROOT / "atml_exp").rglob("*.py")]
    assert "configs/config.yaml" in configs
    assert {f"atml_exp/{c}" for c in configs} | set(modules) <= names
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"atml_exp"}


def test_what_the_package_reads_at_run_time_is_in_the_wheel(wheel: Path) -> None:
    kept = {".css", ".html", ".js", ".json", ".svg", ".mplstyle", ".txt", ".typed", ".template"}
    files = {p.relative_to(ROOT).as_posix() for p in (ROOT / "atml_exp").rglob("*") if p.suffix in kept}
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_an_installed_wheel_composes_from_another_directory(site: Path, tmp_path: Path) -> None:
    result = python("-m", "atml_exp", "--cfg", "job", cwd=tmp_path, PYTHONPATH=str(site))
    assert "_target_: atml_exp.datasets.digits.digits" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_installed_console_script_helps_without_torch(site: Path, tmp_path: Path) -> None:
    script = str(site / "bin/atml-exp")
    result = python("-X", "importtime", script, "--help", cwd=tmp_path, PYTHONPATH=str(site))
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "optimiser" in result.stdout
    assert "atml_exp.cli" in imported
    assert imported.isdisjoint({"torch", "matplotlib", "pandas", "sklearn"})
    assert list(tmp_path.iterdir()) == []


def test_the_installed_package_is_the_one_under_test(site: Path, tmp_path: Path) -> None:
    result = python("-c", "import atml_exp; print(atml_exp.__file__)", cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(result.stdout.strip()) == site / "atml_exp/__init__.py"


def test_importing_the_package_imports_nothing_but_typing(tmp_path: Path) -> None:
    code = "import sys, typing; before = set(sys.modules); import atml_exp; print(*(set(sys.modules) - before))"
    imported = python("-c", code, cwd=tmp_path).stdout.split()
    assert imported == ["atml_exp"]


def test_public_names_are_found_when_asked_for() -> None:
    assert {"load"} <= set(atml_exp.__all__)
    assert all(callable(getattr(atml_exp, name)) for name in atml_exp.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'sharpnes'"):
        _ = atml_exp.sharpnes


GLOBAL_STATE = """
import importlib, json, logging, os, pkgutil, random, sys, threading, warnings
import matplotlib, numpy, torch
import atml_exp

def state():
    return [
        dict(os.environ), os.getcwd(), sys.path[:], len(warnings.filters), threading.active_count(),
        logging.root.level, len(logging.root.handlers), len(logging.getLogger("atml_exp").handlers),
        torch.initial_seed(), torch.get_rng_state().sum().item(), str(torch.get_default_dtype()),
        torch.get_num_threads(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
        hash(random.getstate()), str(numpy.random.get_state()[1].sum()),
        dict(matplotlib.rcParams.items()).__repr__(),
    ]

for third_party in sys.argv[1:]:
    importlib.import_module(third_party)
before = state()
modules = [m.name for m in pkgutil.walk_packages(atml_exp.__path__, "atml_exp.") if "__main__" not in m.name]
for name in modules:
    importlib.import_module(name)
print(json.dumps([len(modules), [str((a, b)) for a, b in zip(before, state()) if a != b]]))
"""


def test_importing_any_module_changes_nothing_global(tmp_path: Path) -> None:
    """Other people's packages, which have side effects of their own, are imported before the comparison."""
    others = ("pandas", "pyarrow.parquet", "sklearn.datasets", "matplotlib.pyplot", "hydra", "pydantic")
    result = python("-c", GLOBAL_STATE, *others, cwd=tmp_path)
    count, changes = json.loads(result.stdout)
    assert count > 50
    assert changes == []
    assert list(tmp_path.iterdir()) == []
