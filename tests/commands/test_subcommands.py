"""`atml-exp list` is `atml-exp-list`, and so for each other command."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from atml_exp.commands.subcommands import SUBCOMMANDS, run_subcommand

ROOT = Path(__file__).parents[2]


def test_every_command_of_ours_is_a_subcommand_too():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    named = {name.removeprefix("atml-exp-").removeprefix("atml-"): target for name, target in scripts.items()}
    assert named.pop("exp") == "atml_exp.cli:main"
    assert named == {name: f"{module}:main" for name, module in SUBCOMMANDS.items()}


def test_it_is_handed_the_other_words(command):
    ended = command("list", "--search", "neural_collapse_test")
    assert (ended.code, ended.err) == (0, "")
    assert "neural_collapse_test" in ended.out


@pytest.mark.parametrize("arguments", [[], ["list=1"], ["--multirun", "list"], ["model=mlp"]])
def test_what_names_none_is_left_alone(arguments):
    assert run_subcommand(arguments) is None


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_each_shows_examples(name, capsys):
    with pytest.raises(SystemExit) as stop:
        import_module(SUBCOMMANDS[name]).main(["--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "examples:\n  atml-" in out


def test_an_error_in_a_subcommand_is_its_own_message(command):
    ended = command("list", "prbes")
    assert ended.code == 2
    assert ended.err.startswith("atml-exp-list: prbes: ")


@pytest.mark.parametrize("name", ["doctor", "list", "new"])
def test_ctrl_c_in_each_is_130_without_a_traceback(name, monkeypatch, capsys):
    module = import_module(SUBCOMMANDS[name])
    monkeypatch.setattr(module, "_parser", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    assert module.main(["my_project"]) == 130
    assert capsys.readouterr() == ("", "")
