"""Files are read without running what they hold: no pickle, no eval, no unsafe YAML."""

import ast
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import atml_exp
from atml_exp.recorder import Checkpoint
from atml_exp.runs import Run, metrics_table

PACKAGE = Path(atml_exp.__file__).parent
SOURCES = sorted(p for p in PACKAGE.rglob("*.py"))
CALLS = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "np.loads", "os.system"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
PROCESSES = {"Parallel", "cpu_count", "delayed"}
"""What joblib is there for: it hands work to processes of our own, and reads no file."""


def _problems(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node)
        elif isinstance(node, ast.Call):
            name, said = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in CALLS:
                yield f"calls {name}"
            if name in ("np.load", "numpy.load") and said.get("allow_pickle") != "False":
                yield "calls np.load without allow_pickle=False"
            if name.endswith("read_pickle") or said.get("allow_pickle") == "True":
                yield "unpickles"


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Of joblib, whose `load` unpickles, only what starts processes, by name."""
    names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    allowed = isinstance(node, ast.ImportFrom) and node.module == "joblib"
    allowed = allowed and {a.name for a in node.names} <= PROCESSES
    banned = MODULES if allowed else MODULES | {"joblib"}
    yield from (f"imports {n}" for n in names if n.split(".")[0] in banned)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_file_of_ours_unpickles_or_evaluates(path: Path) -> None:
    assert list(_problems(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import joblib",
        "from joblib import Parallel, load",
        "from joblib.numpy_pickle import load",
        "np.load(f)",
        "torch.load(f)",
        "eval(s)",
        "yaml.load(s)",
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert list(_problems(ast.parse(code)))


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize(
    "name", ["arrays/a.b.npz", "checkpoints/step_00000000.safetensors", "metrics.parquet", "run.json"]
)
def test_a_pickle_under_another_name_is_not_run(tmp_path: Path, name: str) -> None:
    mark, path = tmp_path / "mark", tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    if name != "run.json":
        (tmp_path / "run" / "run.json").write_text('{"run_id": "a", "status": "complete", "config": {}}')
    path.write_bytes(pickle.dumps(Evil(mark)))
    run = Run(tmp_path / "run")
    for read in (lambda: run.array("a/b"), lambda: Checkpoint(path), lambda: run.metrics, lambda: run.info):
        with suppress(Exception):  # what is read besides this file
            read()
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # it would have been run


def test_an_object_array_in_an_npz_is_refused(tmp_path: Path) -> None:
    import numpy as np

    mark = tmp_path / "mark"
    (tmp_path / "arrays").mkdir()
    (tmp_path / "run.json").write_text('{"run_id": "a", "status": "complete", "config": {}}')
    values = np.array([Evil(mark)], dtype=object)
    np.savez(tmp_path / "arrays" / "a.b.npz", steps=np.zeros(1), values=values)
    with pytest.raises(ValueError):  # noqa: PT011 (a damaged file's message, or NumPy's)
        Run(tmp_path).array("a/b")
    assert not mark.exists()


def test_metrics_are_a_table_of_plain_columns() -> None:
    assert {str(f.type) for f in metrics_table([(0, 0.0, "a", 1.0)]).schema} <= {
        "int64",
        "double",
        "string",
        "dictionary<values=string, indices=int32, ordered=0>",
    }
