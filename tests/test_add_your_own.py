"""The page 'Add your own' shows nothing that isn't run by other tests: its blocks are parts of tested files."""

import re
from pathlib import Path

import pytest

from atml_exp import testing
from atml_exp.commands import figure_cli, list_cli, new_cli, probe_cli
from atml_exp.commands.catalogue import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "scripts" / "documentation" / "add_your_own.md"
TEMPLATES = ROOT / "atml_exp" / "templates" / "project"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(.*?)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
FILES = [(PAGE.parent / head.partition(" ")[2]).resolve() for head, _ in BLOCKS]


def test_every_block_is_included_from_a_file():
    assert len(BLOCKS) == TEXT.count("\n```") / 2 > 15
    assert all(head.startswith("{literalinclude} ../../") for head, _ in BLOCKS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_file_is_there_and_tested(path):
    """Templates by the project that is made of them, our code by the test of its name or the contracts."""
    assert path.exists()
    if path.is_relative_to(TEMPLATES):
        return
    group = path.relative_to(ROOT).parts[1]
    assert path.suffix == ".yaml" or group in ("models", "losses", "optimisers", "recipes")


@pytest.mark.parametrize(("head", "options"), BLOCKS, ids=[path.name for path in FILES])
def test_what_a_block_begins_and_ends_with_is_in_the_file(head, options):
    text = (PAGE.parent / head.partition(" ")[2]).read_text(encoding="utf-8")
    for mark in re.findall(r":(?:start-after|start-at|end-before): \"(.*)\"", options):
        assert mark in text


def test_all_of_the_project_is_on_the_page_but_what_says_nothing():
    shown = {path for path in FILES if path.is_relative_to(TEMPLATES)}
    left_out = {path.name for path in TEMPLATES.rglob("*") if path.is_file()} - {path.name for path in shown}
    assert left_out == {"__init__.py.template", ".gitignore.template"}


def test_the_commands_named_in_the_text_are_there():
    mains = {
        "atml-exp-new": new_cli,
        "atml-exp-list": list_cli,
        "atml-exp-probe": probe_cli,
        "atml-figures": figure_cli,
    }
    named = set(re.findall(r"`(atml-[a-z-]+)", TEXT)) - {"atml-exp"}
    assert named == set(mains)
    assert all(callable(module.main) for module in mains.values())


def test_the_checks_named_in_the_text_are_public():
    named = set(re.findall(r"\bcheck_\w+", TEXT))
    assert named == {name for name in testing.__all__ if name.startswith("check_")}


def test_every_kind_of_thing_has_its_section():
    sections = re.findall(r"^## An? (\w+)$", TEXT, re.MULTILINE)
    assert set(sections) | {"logger"} == {group for group in KINDS.values() if "/" not in group}
