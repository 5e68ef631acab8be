"""`atml-exp-list`."""

import subprocess
import sys

import pytest

from atml_exp.commands.list_cli import main


def test_without_a_kind_all_are_counted(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "\nlosses " in out
    assert "atml-exp-list KIND" in out


def test_one_kind_comes_with_the_command_that_uses_it(capsys):
    assert main(["probes"]) == 0
    out = capsys.readouterr().out
    assert "\n  sharpness " in out
    assert out.endswith("to use one: atml-exp probe=[NAME,…]\n")


def test_several_kinds_stand_under_their_names(capsys):
    assert main(["datasets", "wrappers"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dataset: atml-exp dataset=NAME\n")
    assert "\n\ndataset/wrapper: atml-exp +dataset/wrapper=NAME\n" in out


def test_search_finds_names_and_descriptions_of_all_kinds(capsys):
    assert main(["--search", "COLLAPSE"]) == 0
    out = capsys.readouterr().out
    assert "  neural_collapse " in out
    assert "  layerwise_collapse " in out
    assert "sharpness" not in out


def test_nothing_found_is_said_and_is_1(capsys):
    assert main(["--search", "zzz"]) == 1
    assert "nothing has 'zzz'" in capsys.readouterr().err


def test_a_folder_of_configs_that_is_not_there_is_one_message_and_2(capsys):
    assert main(["models", "--config-dir", "nowhere"]) == 2
    assert capsys.readouterr() == ("", "atml-exp-list: --config-dir nowhere: there is no such folder\n")


def test_no_such_kind_is_one_message_and_2(capsys):
    assert main(["optimzers"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("atml-exp-list: optimzers: not a kind of thing;")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("stops_reading", [True, False])
def test_a_reader_that_has_seen_enough_is_no_error(stops_reading):
    process = subprocess.Popen(
        [sys.executable, "-m", "atml_exp.commands.list_cli", "probes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if stops_reading:
        process.stdout.close()
        errors, code = process.stderr.read(), process.wait()
        process.stderr.close()
    else:
        _, errors = process.communicate()
        code = process.returncode
    assert (code, errors) == (0, b"")
