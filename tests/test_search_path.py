"""Where our configs are found; those of other packages are tested in test_external_package.py."""

import os
import sys

from atml_exp.search_path import add_working_directory, configs_directory


def test_our_configs_are_found():
    assert configs_directory().is_absolute()
    assert (configs_directory() / "config.yaml").exists()


def test_the_working_directory_is_searched_for_code_last_and_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/first"])
    add_working_directory()
    add_working_directory()
    assert sys.path == ["/first", os.getcwd()]
