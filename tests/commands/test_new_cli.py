"""`atml-exp-new`: a project that is whole and clean, or not there at all; in an environment of its own it works."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from atml_exp import cli
from atml_exp.commands import new_cli

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "atml_exp" / "templates" / "project"


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """`refused("torch")` is the one message of `atml-exp-new torch`, which leaves tmp_path as it was."""
    monkeypatch.chdir(tmp_path)

    def message(*arguments):
        before = sorted(tmp_path.rglob("*"))
        assert new_cli.main(list(arguments)) == 2
        said = capsys.readouterr()
        assert sorted(tmp_path.rglob("*")) == before
        assert said.out == ""
        (line,) = said.err.splitlines()
        return line

    return message


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_project_is_the_templates_under_its_name(tmp_path, capsys):
    assert new_cli.main(["spiral_lab", "--directory", str(tmp_path)]) == 0
    folder = tmp_path / "spiral_lab"
    templates = {path.removesuffix(".template") for path in files(TEMPLATES)}
    assert files(folder) == {path.replace("my_project", "spiral_lab") for path in templates}
    assert len(templates) == 18
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())
    assert "my_project" not in texts
    assert "topic: Spiral lab" in texts
    assert [path.name for path in tmp_path.iterdir()] == ["spiral_lab"]
    assert f'pip install -e "{folder}[test]"' in capsys.readouterr().out


def test_every_template_is_known_as_one():
    assert all(path.endswith(".template") for path in files(TEMPLATES))


def test_an_empty_folder_is_filled_and_a_subcommand_does_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert cli.main(["new", "mine"]) == 0
    assert (tmp_path / "mine" / "mine" / "probes" / "balance.py").exists()


@pytest.mark.parametrize(
    ("name", "why", "near"),
    [
        ("my-project", "not a name that Python can import", "my_project"),
        ("2nd Group", "not a name that Python can import", "nd_group"),
        ("../x", "not a name that Python can import", "x"),
        ("", "not a name that Python can import", "my_project"),
        ("class", "a word of Python's own", "class_project"),
        ("json", "the name of something else", "json_project"),
        ("tests", "the name of something else", "tests_project"),
        ("torch", "a package of this name is installed", "torch_project"),
        ("atml_exp", "a package of this name is installed", "atml_exp_project"),
        ("a" * 41, "longer than 40 letters", "a" * 40),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(refused, name, why, near):
    message = refused(name)
    assert message.startswith(f"atml-exp-new: {name!r}: {why}")
    assert message.endswith(f"; allowed: lower-case letters, digits and _; try {near}")
    new_cli.check_name(near)


def test_nothing_is_written_where_something_is(refused, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    assert "full is there already, and isn't empty: nothing is written" in refused("full")
    assert "file is a file: nothing is written" in refused("file")
    assert "--directory nowhere: there is no such folder" in refused("mine", "--directory", "nowhere")


def test_it_is_whole_or_absent(refused, monkeypatch):
    written = []
    write_text = Path.write_text

    def until_the_disk_is_full(path, *args, **options):
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write_text(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", until_the_disk_is_full)
    assert "mine can't be written: [Errno 28] No space left on device" in refused("mine")
    assert len(written) == 5


def test_help_names_examples_and_needs_no_torch():
    code = "import sys; from atml_exp.commands.new_cli import main; print('torch' in sys.modules); main(['--help'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("False\n")
    assert "atml-exp-new my_project " in ran.stdout


@pytest.mark.parametrize("name", ["lab", "a_group_with_a_rather_long_name"])
def test_its_code_has_our_style_and_its_lines_our_length(tmp_path, name):
    folder = new_cli.new_project(name, tmp_path)
    for command in (["check"], ["format", "--check"]):
        sources = 'src=["."]'
        words = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(ROOT / "pyproject.toml")]
        ran = subprocess.run([*words, "--config", sources, "."], cwd=folder, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_its_types_are_right(tmp_path):
    folder = new_cli.new_project("lab", tmp_path)
    words = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"), "lab"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *words],
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout


def commands(readme):
    """The lines of the first block of commands."""
    return re.search(r"```sh\n(.*?)```", readme, re.DOTALL)[1].splitlines()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A virtual environment with our wheel, which finds our dependencies and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # whose own .pth files don't count there
    run(folder, tmp_path_factory.mktemp("build"), f"pip install {ROOT}")
    return folder


def run(environment, cwd, command):
    """One command of the README in an environment; `pip` without the network."""
    program, *words = command.replace('"', "").split()
    words = [environment / "bin" / program, *words]
    if program in ("pip", "pytest"):
        words[:1] = [environment / "bin" / "python", "-m", program]
    if program == "pip":
        offline = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet"]
        words[4:4] = [*offline, "--disable-pip-version-check"]
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ran = subprocess.run(list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


@pytest.mark.slow
def test_a_new_project_works_in_a_clean_environment(clean, tmp_path):
    """What its README says, word for word, beginning with the command that makes it."""
    run(clean, tmp_path, "atml-exp-new spiral_lab")
    readme = (tmp_path / "spiral_lab" / "README.md").read_text(encoding="utf-8")
    first, *others = commands(readme)
    assert first == 'pip install -e "spiral_lab[test]"'
    assert len(others) == 4
    run(clean, tmp_path, first)
    said = "".join(run(clean, tmp_path, command) for command in others)
    assert re.search(r"= 29 passed", said)
    assert said.count(" holds ") == 3
    assert "balance/layer_1" in said
    gallery = (tmp_path / "outputs" / "gallery" / "index.html").read_text(encoding="utf-8")
    assert "A conservation law of ReLU nets" in gallery
    where = "import atml_exp, spiral_lab; print(atml_exp.__file__, spiral_lab.__file__)"
    ran = subprocess.run([clean / "bin" / "python", "-c", where], cwd=clean, capture_output=True, text=True)
    ours, theirs = ran.stdout.split()
    assert Path(ours).is_relative_to(clean)
    assert Path(theirs).is_relative_to(tmp_path)
