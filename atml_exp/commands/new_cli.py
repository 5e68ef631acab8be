"""`atml-exp-new NAME`: a project folder of one's own that installs beside atml_exp and works at once."""

import keyword
import os
import re
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from atml_exp.commands.arguments import Parser
from atml_exp.commands.entry import enter
from atml_exp.errors import ConfigError

__all__ = ["check_name", "main", "new_project"]

EXAMPLES = """examples:
  atml-exp-new my_project                       a folder my_project with one dataset, probe and figure, and tests
  atml-exp-new group_seven --directory projects  the same below the folder projects
"""
TEMPLATES = Path(__file__).parents[1] / "templates" / "project"
SUFFIX = ".template"
"""Of files that are no code of ours; `my_project` in them, and in their paths, stands for the project's name."""
MOST_LETTERS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """0: the folder is there. 2: a name or place that can't be, said in one message; nothing is written then."""
    return enter("atml-exp-new", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        folder = new_project(arguments.name, Path(arguments.directory))
    except ConfigError as error:
        sys.stderr.write(f"atml-exp-new: {error}\n")
        return 2
    print(_next_steps(folder))
    return 0


def new_project(name: str, directory: Path) -> Path:
    """Makes the folder `directory/name`, whole or not at all, and returns it.

    Raises ConfigError for a name that `check_name` refuses, for a directory that isn't there or can't be written,
    and where something stands in the folder's place; an empty folder may.
    """
    check_name(name)
    if not directory.is_dir():
        raise ConfigError(f"--directory {directory}: there is no such folder")
    folder = directory / name
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "there already, and isn't empty" if folder.is_dir() else "a file"
        raise ConfigError(f"{folder} is {what}: nothing is written; allowed: another name, or another --directory")
    try:
        _write(name, folder)
    except OSError as error:
        raise ConfigError(f"{folder} can't be written: {error}; allowed: another --directory") from error
    return folder


def check_name(name: str) -> None:
    """ConfigError, with a name like it that can be, for one under which a package couldn't be imported.

    >>> check_name("my_project")
    """
    reason = _reason(name)
    if reason:
        raise ConfigError(f"{name!r}: {reason}; allowed: lower-case letters, digits and _; try {_like(name)}")


def _reason(name: str) -> str:
    """Why a name can't be; empty where it can."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return "not a name that Python can import in lower case"
    if len(name) > MOST_LETTERS:
        return f"longer than {MOST_LETTERS} letters"
    if keyword.iskeyword(name):
        return "a word of Python's own"
    if name in ("configs", "outputs", "tests", "test") or name in sys.stdlib_module_names:
        return "the name of something else in every Python, or in every project"
    return "a package of this name is installed" if _is_installed(name) else ""


def _is_installed(name: str) -> bool:
    """Folders without code, as that of a project in the working directory, are not meant."""
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def _like(name: str) -> str:
    """A name that can be, as near as may be.

    >>> _like("my-project"), _like("2 Layers"), _like("torch")
    ('my_project', 'layers', 'torch_project')
    """
    words = re.sub(r"[^a-z0-9]+", "_", name.lower())
    near = re.sub(r"^[0-9_]+", "", words).rstrip("_")[:MOST_LETTERS] or "my_project"
    return near if not _reason(near) else f"{near[:30]}_project"


def _write(name: str, folder: Path) -> None:
    """In a folder beside it first, which then gets the name."""
    made = folder.with_name(f".{name}-{os.getpid()}")
    try:
        made.mkdir()
        for template in sorted(TEMPLATES.rglob(f"*{SUFFIX}")):
            relative = template.relative_to(TEMPLATES).as_posix().removesuffix(SUFFIX)
            path = made / _named(relative, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_named(template.read_text(encoding="utf-8"), name), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _named(text: str, name: str) -> str:
    """A template's text with the project's name, in code and as a title."""
    return text.replace("my_project", name).replace("My project", name.replace("_", " ").capitalize())


def _next_steps(folder: Path) -> str:
    return f"""{folder} is there. Now, in this environment:

  pip install -e "{folder}[test]"
  pytest {folder}
  atml-exp experiment=balanced_layers
  atml-figures make conservation_law scale=smoke

{folder / "README.md"} says what each file is, and how to make it yours."""


def _parser() -> Parser:
    parser = Parser(
        "atml-exp-new",
        description="Makes a project folder of your own beside atml_exp: a dataset, a probe, a figure with claims, "
        "their configs and tests, all of which work as they stand.",
        epilog=EXAMPLES,
    )
    parser.add_argument("name", metavar="NAME", help="of the folder and of the Python package in it")
    parser.add_argument("--directory", metavar="DIR", default=".", help="the folder to make it in (default: .)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
