"""Files are fetched whole or not at all, and only when asked for."""

import pytest

from atml_exp.datasets.table_files import read_lines
from atml_exp.errors import ConfigError


def test_a_file_is_fetched_once_and_only_when_asked_for(tmp_path):
    source = tmp_path / "published.txt"
    source.write_text("one\ntwo\n")
    folder, url = tmp_path / "data", source.as_uri()
    with pytest.raises(ConfigError, match="is missing"):
        read_lines(str(folder), "table.txt", url, download=False)
    assert read_lines(str(folder), "table.txt", url, download=True) == ["one", "two"]
    source.unlink()
    assert read_lines(str(folder), "table.txt", url, download=True) == ["one", "two"]


def test_what_cannot_be_fetched_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"dataset\.download=true: .* couldn't be fetched"):
        read_lines(str(tmp_path / "data"), "table.txt", (tmp_path / "nowhere").as_uri(), download=True)
    assert list((tmp_path / "data").iterdir()) == []


def test_what_is_not_text_is_said(tmp_path):
    (tmp_path / "table.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't be read"):
        read_lines(str(tmp_path), "table.txt", "", download=False)
