"""What stands beside the code: licence, citation, changelog, contributing, hooks, stages of CI."""

import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TOP = {
    *("configs", "atml_exp", "scripts", "tests", "outputs", "pyproject.toml", "README.md"),
    *("LICENSE", "CHANGELOG.md", "CITATION.cff", "constraints.txt"),
}


@pytest.fixture
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked():
    """Files that git has; where there is no git, as in an archive, those that are there."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_nothing_else_stands_at_the_top():
    if not tracked():
        pytest.skip("not a git checkout: what is generated can't be told from what isn't")
    names = {path.split("/")[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP


def test_one_version_everywhere(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert project["version"] == citation["version"] == newest[1]


def test_the_citation_has_what_the_format_demands(project):
    """https://github.com/citation-file-format, version 1.2.0."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == project["license"] == "MIT"
    assert isinstance(citation["date-released"], date)


def test_every_hook_finds_nothing_to_say(tmp_path, monkeypatch):
    """Of the files as they are; the type checker, a stage of its own, is left out."""
    if not tracked():
        pytest.skip("pre-commit works on a git checkout")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{Path('/usr/bin')}:{Path('/bin')}")
    monkeypatch.setenv("SKIP", "mypy")
    words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 3


def test_the_stages_of_ci_are_those_that_contributing_names():
    script = (ROOT / "scripts" / "test").read_text(encoding="utf-8")
    stages = dict.fromkeys(re.findall(r'^stage "(\w+)', script, re.MULTILINE))
    said = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.search(r"prints a verdict for each: (.*?)\. A stage", said, re.DOTALL)[1]
    assert list(stages) == re.findall(r"\w+", re.sub(r"\(.*?\)", "", named, flags=re.DOTALL))


def test_ci_runs_the_readmes_test_command():
    assert "./scripts/test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "exec ./scripts/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
