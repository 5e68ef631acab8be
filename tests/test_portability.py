"""Tested on Linux; nothing in the package stands in the way of macOS and Windows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "atml_exp"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts)
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_CALLS = {"fork", "geteuid", "getuid", "killpg", "mkfifo", "setsid", "uname"}
SHELL_CALLS = {"popen", "system", "spawnl", "spawnlp", "getoutput", "getstatusoutput"}


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path):
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def name_of(call):
    return ast.unparse(call.func)


def where(path, node):
    return f"{path.relative_to(PACKAGE)}, line {node.lineno}"


def test_modules_are_found():
    assert len(MODULES) > 200


def test_no_shell():
    for path in MODULES:
        for call in calls(path):
            name = name_of(call)
            assert not (name.startswith("os.") and name[3:] in SHELL_CALLS), where(path, call)
            if name.startswith("subprocess."):
                assert isinstance(call.args[0], ast.List), f"{where(path, call)}: a list of words, no command line"
                assert not any(k.arg == "shell" for k in call.keywords), where(path, call)


def test_paths_are_pathlibs():
    for path in MODULES:
        for node in ast.walk(tree(path)):
            is_os_path = isinstance(node, ast.Attribute) and ast.unparse(node).startswith("os.path")
            is_import = isinstance(node, ast.ImportFrom) and node.module == "os.path"
            assert True not in (is_os_path, is_import), where(path, node)


def test_text_files_have_their_encoding_named():
    """Windows' own is another one than UTF-8."""
    for path in MODULES:
        for call in calls(path):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "read_text":
                named = any(k.arg in ("encoding", "errors") for k in call.keywords)
                assert named or path.name == "memory.py", where(path, call)  # /proc and /sys are Linux's and ASCII


def test_what_only_posix_has_is_imported_where_it_may_be_missing():
    for path in MODULES:
        syntax = tree(path)
        guarded = {
            id(node)
            for block in ast.walk(syntax)
            if isinstance(block, ast.Try)
            and any("ImportError" in ast.unparse(h.type or block) for h in block.handlers)
            for node in ast.walk(block)
        }
        for node in ast.walk(syntax):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {a.name for a in node.names} if isinstance(node, ast.Import) else {str(node.module)}
                assert not names & POSIX_MODULES or id(node) in guarded, where(path, node)
            elif isinstance(node, ast.Call) and name_of(node).startswith("os."):
                assert name_of(node)[3:] not in POSIX_CALLS, where(path, node)


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    """Of a run in a Python that has no file locks, as on Windows."""
    folder = tmp_path_factory.mktemp("windows")
    code = "import sys; sys.modules['fcntl'] = None; from atml_exp.cli import main; sys.exit(main())"
    small = ("dataset.test_fraction=0.5", "model.width=4", "recipe.steps=60", "device=cpu", "progress=false")
    subprocess.run([sys.executable, "-c", code, *small], cwd=folder, check=True, capture_output=True)
    (directory,) = (folder / "outputs" / "runs").iterdir()
    return directory


def test_it_runs_without_file_locks(run_directory):
    assert (run_directory / "report.html").exists()


def test_names_of_files_are_allowed_everywhere(run_directory):
    outputs = run_directory.parents[1]
    for path in outputs.rglob("*"):
        relative = path.relative_to(outputs)
        assert not re.search(r'[<>:"|?*\\]', relative.as_posix()), relative
        assert len(relative.as_posix()) < 150, relative  # Windows allows 260, with the folder's own
        assert not any(part.endswith((" ", ".")) for part in relative.parts), relative
    assert len({str(p).casefold() for p in outputs.rglob("*")}) == len(list(outputs.rglob("*")))
