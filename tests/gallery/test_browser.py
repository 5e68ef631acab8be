"""The page as a browser shows it, light and dark, on a phone and on a desk."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from atml_exp.gallery.site import write_gallery

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

PHONE, DESK = 375, 1280
DARK, LIGHT = 0, 1

WRAPPER = """<!DOCTYPE html><title>test</title>
<iframe width=375 height=800 src="gallery/index.html"></iframe>
<iframe width=1280 height=800 src="gallery/index.html"></iframe>
<pre id="found"></pre>
<script>
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const luminance = colour => numbers(colour).slice(0, 3).map(c => c / 255)
  .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
function background(element) {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor, parts = numbers(colour);
    if (parts.length < 4 || parts[3] > 0) return colour;
  }
  return "rgb(255, 255, 255)";
}
function contrast(element) {
  const both = [getComputedStyle(element).color, background(element)].map(luminance).sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05);
}
function texts(page) {
  const own = e => [...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim());
  return [...page.body.querySelectorAll("*")].filter(e => own(e) && e.checkVisibility());
}
function measure(frame) {
  const page = frame.contentDocument, root = page.documentElement, shown = texts(page);
  const right = e => e.getBoundingClientRect().right;
  const named = e => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 40)}`;
  return {
    width: root.clientWidth,
    scrolls: root.scrollWidth,
    pictures: [...page.images].map(i => ({natural: i.naturalWidth, width: i.width, right: right(i)})),
    texts: shown.length,
    beyond: shown.filter(e => right(e) > root.clientWidth + 1 && !e.closest(".unseen, thead, math")).map(named),
    small: shown.filter(e => !e.closest("math") && parseFloat(getComputedStyle(e).fontSize) < 16).map(named),
    faint: shown.filter(e => contrast(e) < 4.5).map(named),
    paper: background(page.body),
  };
}
addEventListener("load", () => {
  found.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
});
</script>
"""


def browse(page: Path, scheme: int, tmp_path: Path) -> tuple[list[dict[str, Any]], str]:
    """What the wrapper measured, for phone and desk, and what the console said."""
    flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags += " disable-component-update disable-sync hide-scrollbars allow-file-access-from-files"
    flags += " enable-logging=stderr dump-dom"
    options = [f"--{flag}" for flag in flags.split()]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={scheme}"]
    command = [str(CHROMIUM), *options, "--window-size=1800,1000", page.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="found">(.+?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr[-2000:]
    return json.loads(unescape(found[1])), "\n".join(x for x in result.stderr.splitlines() if "CONSOLE" in x)


@pytest.fixture
def wrapper(make_figure: Callable[..., Path], claim: Callable[..., Any], figures: Path, tmp_path: Path) -> Path:
    """Around a gallery with an ordinary figure, and one whose texts are as long as they get."""
    word, formula = 80 * "ab", "$" + "+".join(f"x_{i}" for i in range(60)) + "$"
    verdicts = [claim(), claim(holds=False), claim(measured=None, holds=False, values=[], reason="it diverged")]
    long = claim(statement=f"{word} {formula}", paper=word, unit=word, measured=-1.23e-7, spread=1.5e-9)
    make_figure(claims=verdicts)
    make_figure(
        name="long",
        claims=[long],
        title=word,
        topic=word,
        text=f"{word} {formula} {formula}",
        command=word,
        scale="smoke",
        papers=[{"citation": word, "doi": "10.1/x"}],
        seeds=list(range(0, 100, 2)),
        versions={word: word},
    )
    write_gallery(figures, tmp_path / "gallery")
    path = tmp_path / "wrapper.html"
    path.write_text(WRAPPER, encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_page_is_readable(wrapper: Path, tmp_path: Path, scheme: int) -> None:
    views, console = browse(wrapper, scheme, tmp_path)
    assert console == ""
    for view, width in zip(views, (PHONE, DESK), strict=True):
        assert view["width"] == view["scrolls"] == width
        assert len(view["pictures"]) == 2
        for picture in view["pictures"]:
            assert picture["natural"] > 0
            assert 0.5 * view["width"] < picture["width"]
            assert picture["right"] <= view["width"]
        assert view["texts"] > 60
        assert (view["beyond"], view["small"], view["faint"]) == ([], [], [])
        assert view["paper"] == ("rgb(20, 24, 29)" if scheme == DARK else "rgb(255, 255, 255)")
