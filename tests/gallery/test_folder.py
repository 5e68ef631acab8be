import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atml_exp.gallery.folder import file_names, folders, read


def test_a_complete_folder_is_read(make_figure: Callable[..., Path]) -> None:
    folder = read(make_figure())
    assert (folder.name, folder.about.title, folder.about.papers[0].doi[:8]) == (
        "edge_of_stability",
        "The edge of stability",
        "10.48550",
    )
    assert [claim.verdict for claim in folder.claims] == ["holds"]
    assert folder.size == (800, 600)


@pytest.mark.parametrize("name", file_names("edge_of_stability"))
def test_a_missing_or_empty_file_is_named(
    make_figure: Callable[..., Path], figures: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    make_figure("another")
    path = make_figure() / name
    path.write_bytes(b"")
    assert [folder.name for folder in folders(figures)] == ["another"]
    path.unlink()
    assert [folder.name for folder in folders(figures)] == ["another"]
    empty, missing = (record.getMessage() for record in caplog.records)
    assert empty.startswith(f"figure edge_of_stability is left out of the gallery: {name}")
    assert missing == f"figure edge_of_stability is left out of the gallery: {name} is missing"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("figure.json", '{"name": ', "figure.json: Invalid JSON"),
        ("figure.json", '{"name": "edge_of_stability"}', "figure.json: title: Field required"),
        ("figure.json", "[]", "figure.json: "),
        ("claims.json", "null", "claims.json: "),
        ("claims.json", '[{"paper": 3}]', "claims.json: 0.paper: "),
        ("edge_of_stability.svg", "<svg><path d=", "edge_of_stability.svg is damaged"),
        ("edge_of_stability.png", "not a picture", "edge_of_stability.png is damaged"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(
    make_figure: Callable[..., Path],
    figures: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    text: str,
    said: str,
) -> None:
    (make_figure() / name).write_text(text)
    assert folders(figures) == []
    assert said in caplog.text


def test_a_folder_under_another_name_is_damaged(make_figure: Callable[..., Path], figures: Path) -> None:
    make_figure(name="mine").rename(figures / "yours")
    with pytest.raises(ValueError, match="name is 'mine', but the folder is 'yours'"):
        read(figures / "yours")


def test_files_and_hidden_folders_are_no_figures(
    make_figure: Callable[..., Path], figures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_figure()
    (figures / "notes.txt").touch()
    (figures / ".partial").mkdir()
    assert len(folders(figures)) == 1
    assert not caplog.records


def test_without_a_folder_there_are_no_figures(tmp_path: Path) -> None:
    assert folders(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("changes", "verdict", "seeds"),
    [
        ({}, "holds", 4),
        ({"relation": ">="}, "holds", 1),
        ({"holds": False}, "does not hold", 4),
        ({"measured": None, "holds": False, "values": [1.0, None]}, "not measured", 1),
        ({"measured": float("nan"), "holds": True, "values": []}, "not measured", 0),
        ({"threshold": None, "holds": False}, "does not hold", 0),
    ],
)
def test_verdict_and_seeds(
    make_figure: Callable[..., Path], claim: Callable[..., Any], changes: dict[str, Any], verdict: str, seeds: int
) -> None:
    (found,) = read(make_figure(claims=[claim(**changes)])).claims
    assert (found.verdict, found.seeds_holding) == (verdict, seeds)


def test_what_claims_write_is_what_the_gallery_reads(make_figure: Callable[..., Path]) -> None:
    from atml_exp.figures.claim import Claim

    written = [Claim("We", "it is", (1.0, 3.0), "<=", 2), Claim("We", "it is", (), ">=", 2, "s", "no seed")]
    path = make_figure(claims=[c.as_dict() for c in written])
    assert json.loads((path / "claims.json").read_text())[1]["reason"] == "no seed"
    for theirs, ours in zip(written, read(path).claims, strict=True):
        for key in ("verdict", "seeds_holding", "measured", "spread", "unit"):
            assert getattr(ours, key) == getattr(theirs, key)
