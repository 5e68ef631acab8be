"""How the modules of the package depend on each other."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import atml_exp

PACKAGE = Path(atml_exp.__file__).parent


def modules():
    """The files by their dotted names."""
    paths = [p for p in PACKAGE.rglob("*.py") if "templates" not in p.parts]
    return {
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in paths
    }


def imported(path, known):
    """The modules that a file imports, at its head, within a function or for its types alone."""
    nodes = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
    names = [(f"{n.module}.{alias.name}", n.module) for n in nodes for alias in n.names]
    found = {name if name in known else module for name, module in names}
    return {name for name in found if name in known}


def in_order(graph):
    """Names after all that they depend on. Where there is a circle, CycleError says which."""
    return list(TopologicalSorter(graph).static_order())


def test_no_module_depends_on_itself_through_others():
    known = modules()
    assert len(known) > 300
    graph = {name: imported(path, known) for name, path in known.items()}
    assert sum(map(len, graph.values())) > 1000
    order = in_order(graph)
    assert order.index("atml_exp.errors") < order.index("atml_exp.runner") < order.index("atml_exp.cli")


def test_a_circle_is_found(tmp_path):
    (tmp_path / "a.py").write_text("from atml_exp.b import f\n")
    (tmp_path / "b.py").write_text("def f():\n    from atml_exp import a\n")
    known = {f"atml_exp.{name}": tmp_path / f"{name}.py" for name in "ab"}
    with pytest.raises(CycleError):
        in_order({name: imported(path, known) for name, path in known.items()})
