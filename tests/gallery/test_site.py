import json
import logging
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from atml_exp.errors import ConfigError
from atml_exp.gallery.site import MARK, write_gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def broken_links(index: Path) -> list[str]:
    """Of links within the gallery, those whose file or id isn't there."""
    html = index.read_text(encoding="utf-8")
    links = [unescape(link) for link in re.findall(r'(?:href|src)="([^"]*)"', html)]
    assert len(links) > 2
    ids = {f"#{unescape(i)}" for i in re.findall(r'\sid="([^"]*)"', html)}
    local = [link for link in links if not link.startswith("https://doi.org/")]
    return [link for link in local if link not in ids and not (index.parent / unquote(link)).is_file()]


def test_the_gallery_holds_all_it_shows(make_figure: Callable[..., Path], figures: Path, gallery: Path) -> None:
    made = make_figure()
    index = write_gallery(figures, gallery)
    assert index == gallery / "index.html"
    copied = contents(gallery / "edge_of_stability")
    assert copied.pop(MARK)
    assert copied == contents(made)


@pytest.mark.parametrize("name", ["edge_of_stability", "ä b#c?d%20", "<i>&'\""])
def test_every_link_leads_somewhere_wherever_the_gallery_is(
    make_figure: Callable[..., Path], figures: Path, gallery: Path, tmp_path: Path, name: str
) -> None:
    make_figure(name)
    write_gallery(figures, gallery)
    shutil.rmtree(figures)
    moved = gallery.rename(tmp_path / "moved")
    assert broken_links(moved / "index.html") == []
    assert str(tmp_path) not in (moved / "index.html").read_text(encoding="utf-8")


def test_equal_figures_give_equal_bytes(
    make_figure: Callable[..., Path], figures: Path, gallery: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        make_figure(name)
    write_gallery(figures, gallery)
    first = contents(gallery)
    write_gallery(figures, gallery)
    assert contents(gallery) == first
    write_gallery(figures, tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == first


def test_what_changed_is_shown_anew(make_figure: Callable[..., Path], figures: Path, gallery: Path) -> None:
    make_figure()
    write_gallery(figures, gallery)
    make_figure(title="Another title", claims=[])
    assert "Another title" in write_gallery(figures, gallery).read_text(encoding="utf-8")
    assert json.loads((gallery / "edge_of_stability" / "claims.json").read_text()) == []


def test_figures_that_are_gone_or_damaged_leave(
    make_figure: Callable[..., Path], figures: Path, gallery: Path
) -> None:
    for name in ("kept", "gone", "damaged"):
        make_figure(name)
    write_gallery(figures, gallery)
    shutil.rmtree(figures / "gone")
    (figures / "damaged" / "claims.json").write_text("{")
    index = write_gallery(figures, gallery)
    assert sorted(p.name for p in gallery.iterdir()) == ["index.html", "kept"]
    assert broken_links(index) == []


def test_the_users_own_stays(make_figure: Callable[..., Path], figures: Path, gallery: Path) -> None:
    make_figure("gone")
    write_gallery(figures, gallery)
    shutil.rmtree(figures / "gone")
    (gallery / "gone" / "notes.txt").write_text("mine")
    (gallery / "mine").mkdir()
    (gallery / "mine" / "mine.png").write_text("mine")
    (gallery / "slides.pdf").write_text("mine")
    write_gallery(figures, gallery)
    assert set(contents(gallery)) == {"index.html", "gone/notes.txt", "mine/mine.png", "slides.pdf"}


def test_a_folder_that_isnt_ours_is_not_written_to(
    make_figure: Callable[..., Path], figures: Path, gallery: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_figure("taken")
    make_figure("linked")
    (gallery / "taken").mkdir(parents=True)
    (gallery / "taken" / "taken.png").write_text("mine")
    (gallery / "linked").symlink_to(figures / "linked")
    before = contents(figures)
    index = write_gallery(figures, gallery)
    assert "No figures yet" in index.read_text(encoding="utf-8")
    assert contents(gallery / "taken") == {"taken.png": b"mine"}
    assert contents(figures) == before
    assert [r.levelno for r in caplog.records] == [logging.WARNING] * 2
    assert "figure taken is left out of the gallery" in caplog.text


def test_an_index_that_isnt_ours_is_not_overwritten(
    make_figure: Callable[..., Path], figures: Path, gallery: Path
) -> None:
    make_figure()
    gallery.mkdir()
    (gallery / "index.html").write_text("<p>my own page")
    with pytest.raises(ConfigError, match=r"index\.html wasn't written by atml-figures"):
        write_gallery(figures, gallery)
    assert contents(gallery) == {"index.html": b"<p>my own page"}


def test_a_gallery_in_place_of_the_figures_harms_none(make_figure: Callable[..., Path], figures: Path) -> None:
    made = make_figure()
    before = contents(made)
    write_gallery(figures, figures)
    assert contents(made) == before


def test_a_figure_that_cannot_be_copied_is_left_out(
    make_figure: Callable[..., Path],
    figures: Path,
    gallery: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_figure("bad")
    make_figure("good")
    copy = shutil.copyfile

    def fails_for_bad(source: Path, target: Path) -> None:
        if source.name == "bad.pdf":
            raise OSError("gone meanwhile")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fails_for_bad)
    index = write_gallery(figures, gallery)
    assert "figure bad is left out of the gallery: gone meanwhile" in caplog.text
    assert broken_links(index) == []
    assert sorted(p.name for p in gallery.iterdir()) == ["good", "index.html"]


def test_no_figures_still_give_a_page(figures: Path, gallery: Path) -> None:
    assert "atml-figures list" in write_gallery(figures, gallery).read_text(encoding="utf-8")
