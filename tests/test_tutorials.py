"""Each tutorial runs from an empty kernel, says nothing on stderr, and is stored with its outputs."""

import importlib.util
import resource
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "scripts/documentation/tutorials").glob("*.ipynb"))
SECONDS, KILOBYTES, CHARACTERS = 120, 400, 90
"""At most: of processor time, generously, as machines differ; of the file; of a line of code on a page."""

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The command that executes notebooks."""
    path = ROOT / "scripts/documentation/execute_notebooks.py"
    spec = importlib.util.spec_from_file_location("execute_notebooks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kinds(notebook):
    """What each code cell shows: streams by name, other outputs by their richest type."""
    shown = []
    for cell in (c for c in notebook.cells if c.cell_type == "code"):
        rich = [
            next(iter(sorted(o.data, key=lambda kind: kind == "text/plain")), "")
            for o in cell.outputs
            if "data" in o
        ]
        shown.append((sorted({o.name for o in cell.outputs if o.output_type == "stream"}), rich))
    return shown


def test_there_are_tutorials():
    assert len(NOTEBOOKS) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_tutorial_is_stored_executed_and_tidy(path, script):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert path.stat().st_size <= KILOBYTES * 1024
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert dict(notebook.metadata.kernelspec) == script.KERNEL
    assert [cell.id for cell in notebook.cells] == [f"cell-{k:02d}" for k in range(len(notebook.cells))]
    assert all(not cell.metadata for cell in notebook.cells)
    assert notebook.cells[0].source.startswith("# ")
    for cell in code:
        if "plt.subplots" in cell.source:
            assert any("image/png" in o.get("data", {}) for o in cell.outputs), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_line_of_code_is_wider_than_its_page(path):
    code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert [line for source in code for line in source.splitlines() if len(line) > CHARACTERS] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_outputs_hold_no_error_no_warning_and_no_path_of_a_machine(path):
    outputs = [o for c in nbformat.read(path, 4).cells if c.cell_type == "code" for o in c.outputs]
    assert {o.output_type for o in outputs} <= {"stream", "display_data", "execute_result"}
    assert {o.name for o in outputs if o.output_type == "stream"} <= {"stdout"}
    texts = "".join(
        o.get("text", "") + "".join(o.get("data", {}).get(k, "") for k in ("text/plain", "text/html"))
        for o in outputs
    )
    assert not any(word in texts for word in ("/tmp/", "/home/", "/root/", "Warning", "<progress "))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_tutorial_runs(path, script, tmp_path, monkeypatch):
    """Numbers are those of a processor: kinds of outputs are compared, and asserts in the cells say what holds."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stored = nbformat.read(path, 4)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    fresh = script.execute(nbformat.read(path, 4), str(tmp_path))
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert kinds(fresh) == kinds(stored)
    assert list(tmp_path.iterdir()) == []
    assert seconds < SECONDS, f"{path.name} took {seconds:.0f} s"
    sys.stdout.write(f"{path.name}: {seconds:.0f} s\n")
