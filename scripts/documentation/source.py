"""What stands in Python files, read and not imported: public names with their signatures and docstrings."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

__all__ = ["Module", "Thing", "modules"]

Node = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Thing:
    """A public function, class or value. parameters: their names."""

    name: str
    kind: str
    signature: str
    docstring: str
    parameters: frozenset[str] = frozenset()
    methods: list["Thing"] = field(default_factory=list)


@dataclass(frozen=True)
class Module:
    """A Python file. name: dotted."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @cached_property
    def public(self) -> list[str]:
        """The names in `__all__`."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                return list(ast.literal_eval(node.value))
        return []

    @cached_property
    def things(self) -> dict[str, Thing]:
        """Those of the public names that are defined here, in the order of the file."""
        return {thing.name: thing for thing in _things(self.tree) if thing.name in self.public}


def modules(package: Path, without: frozenset[str] = frozenset()) -> dict[str, Module]:
    """All modules with public names, but for folders of the names in `without`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package.parent)
        module = Module(".".join(inside.with_suffix("").parts).removesuffix(".__init__"), path)
        if not without & set(inside.parts) and module.public:
            found[module.name] = module
    return found


def _things(tree: ast.Module) -> Iterator[Thing]:
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            yield _function(node, "function")
        elif isinstance(node, ast.ClassDef):
            yield _class(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and _name(node).isidentifier():
            yield Thing(_name(node), "data", "", _attribute_docstring(following))


def _name(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)


def _attribute_docstring(node: ast.stmt | None) -> str:
    """The string below a value."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def _function(node: ast.FunctionDef, kind: str) -> Thing:
    arguments = node.args
    if kind != "function" and arguments.args and not _is(node, "staticmethod"):
        arguments.args.pop(0)
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = frozenset(argument.arg for argument in every)
    signature = f"({ast.unparse(arguments)}){returned}"
    if kind == "method" and (_is(node, "property") or _is(node, "cached_property")):
        kind, signature = "property", ""
    return Thing(node.name, kind, signature, ast.get_docstring(node) or "", names)


def _is(node: ast.FunctionDef, decorator: str) -> bool:
    return any(ast.unparse(d) == decorator for d in node.decorator_list)


def _class(node: ast.ClassDef) -> Thing:
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    made = next((_function(m, "method") for m in methods if m.name == "__init__"), None)
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    if made is None and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        names = frozenset(ast.unparse(f.target) for f in fields)
        made = Thing("", "", f"({', '.join(map(_field, fields))})", "", names)
    shown = [_function(m, "method") for m in methods if not m.name.startswith("_") and ast.get_docstring(m)]
    signature = made.signature.removesuffix(" -> None") if made else ""
    parameters = made.parameters if made else frozenset()
    return Thing(node.name, "class", signature, ast.get_docstring(node) or "", parameters, shown)


def _field(node: ast.AnnAssign) -> str:
    default = f" = {ast.unparse(node.value)}" if node.value and "field(" not in ast.unparse(node.value) else ""
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}{default}"
