import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from atml_exp.gallery.folder import folders
from atml_exp.gallery.page import TOPICS, page

VOID = {"meta", "img", "path"}


class Page(HTMLParser):
    """Collects tags with attributes, and text; fails where tags don't nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, attribute: str, tag: str = "") -> list[str]:
        return [str(a[attribute]) for t, a in self.tags if attribute in a and tag in ("", t)]


@pytest.fixture
def html(figures: Path) -> Callable[[], str]:
    return lambda: page(folders(figures))


def test_a_figure_has_all_its_parts(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    make_figure()
    found = Page(html())
    for said in (
        "1 figure puts 1 published claim to the test: 1 of 1 holds",
        "The edge of stability",
        "There it stays.",
        "Cohen et al. 2021",
        "1.8 ±\u00a01.0 %",
        "≤\u00a05 %",
        "4 of 5 seeds",
        "atml-figures make edge_of_stability scale=laptop",
        "30 Oct 2026, 14:05 UTC",
        "laptop",
        "0–4",
        "torch 2.9.0",
    ):
        assert said in found.text
    assert "torchvision" not in found.text
    files = [f"edge_of_stability/edge_of_stability.{kind}" for kind in ("png", "svg", "pdf", "csv")]
    assert {*files, "edge_of_stability/claims.json"} < set(found.all("href"))
    assert found.all("src") == ["edge_of_stability/edge_of_stability.svg"]
    assert "https://doi.org/10.48550/arXiv.2103.00065" in found.all("href")


def test_a_paper_without_doi_links_to_its_address(
    make_figure: Callable[..., Path], html: Callable[[], str]
) -> None:
    make_figure(papers=[{"citation": "Johnson & Zhang (2013)", "url": "https://papers.nips.cc/a?b&c"}])
    assert '<li><a href="https://papers.nips.cc/a?b&amp;c">Johnson &amp; Zhang (2013)</a></li>' in html()


def test_formulas_are_mathml(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    make_figure()
    assert html().count("<math>") == 3
    assert "$" not in Page(html()).text


def test_it_can_be_read_by_ear(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    make_figure()
    make_figure("random_labels", topic="ML basics", title="Random labels")
    found = Page(html())
    assert ("html", {"lang": "en"}) in found.tags
    levels = [int(t[1]) for t, _ in found.tags if t in {"h1", "h2", "h3", "h4"}]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all("its numbers are in" in alt for alt in found.all("alt", "img"))
    assert len(found.all("scope", "th")) == sum(t == "th" for t, _ in found.tags)
    assert sum(t == "caption" for t, _ in found.tags) == 2
    ids = found.all("id")
    assert len(ids) == len(set(ids))
    assert set(found.all("aria-labelledby")) <= set(ids)


def test_it_needs_no_network_and_no_script(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    make_figure()
    text = html()
    assert not {"script", "link", "iframe", "object", "base"} & {t for t, _ in Page(text).tags}
    assert not [a for _, a in Page(text).tags if any(key.startswith("on") for key in a)]
    assert "url(" not in text
    assert "@import" not in text


def test_topics_stand_in_the_order_of_the_course(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    topics = ["Zebras", "Explainability", "ML basics", "Astrology", "Neural nets"]
    for i, topic in enumerate(topics):
        make_figure(f"figure_{i}", topic=topic)
    found = [i for i in Page(html()).all("id") if i.startswith("topic-")]
    assert found == [f"topic-{t}" for t in ("ML-basics", "Neural-nets", "Explainability", "Astrology", "Zebras")]
    assert len(TOPICS) == 8


def test_contents_lead_to_each_topic_and_figure(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    for name, topic in (("a b", "A-B"), ("a-b", "A B"), ('"<', '"<')):
        make_figure(name, topic=topic)
    found = Page(html())
    ids = [i for i in found.all("id") if i.startswith(("topic-", "figure-")) and not i.endswith("-title")]
    assert len(ids) == 6
    assert sorted(ids) == sorted(h[1:] for h in found.all("href") if h.startswith(("#topic-", "#figure-")))


EVIL = '</title></style></pre><script>alert("1")</script><img src=x onerror=alert(1)>$<script>$ $x_<u>$'


def test_what_files_say_is_escaped(
    make_figure: Callable[..., Path], html: Callable[[], str], claim: Callable[..., Any]
) -> None:
    texts = dict.fromkeys(("title", "topic", "text", "command", "scale", "created"), EVIL)
    papers = [{"citation": EVIL, "doi": EVIL + '" onclick="alert(1)'}, {"citation": EVIL, "doi": ""}]
    papers += [{"citation": EVIL, "url": url} for url in (f'https://x"onclick="{EVIL}', "javascript:alert(1)")]
    evil = claim(**dict.fromkeys(("paper", "statement", "unit", "reason"), EVIL))
    make_figure(
        "<script>'\"&", claims=[evil, {**evil, "measured": None}], papers=papers, versions={EVIL: EVIL}, **texts
    )
    make_figure("script", title="<script>")
    text = html()
    found = Page(text)
    assert "&lt;script&gt;alert(" in text
    assert text.count("</style>") == text.count("</title>") == 1
    assert not {"script", "u"} & {t for t, _ in found.tags}
    assert all(source != "x" for source in found.all("src"))
    assert not [a for _, a in found.tags if any(key.startswith("on") for key in a)]
    assert not [link for link in found.all("href") if link.startswith("javascript:")]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "holds"),
        ({"holds": False, "measured": 7.0}, "does not hold"),
        ({"measured": None, "spread": None, "holds": False, "reason": "it $x_1$ diverged"}, "not measured"),
    ],
)
def test_a_verdict_is_word_symbol_and_colour(
    make_figure: Callable[..., Path],
    html: Callable[[], str],
    claim: Callable[..., Any],
    changes: dict[str, Any],
    word: str,
) -> None:
    make_figure(claims=[claim(**changes)])
    text = html()
    cell = text[text.index('<span class="verdict ') :].partition("</span>")[0]
    assert cell.startswith(f'<span class="verdict {word.replace(" ", "-")}"><svg')
    assert cell.endswith(f"</svg>{word}")
    assert ("Not measured: it <math>" in text) == (word == "not measured")


@pytest.mark.parametrize(
    ("values", "said"), [([1.0], "1 of 1 seed"), ([1.0, None, 9.0], "1 of 3 seeds"), ([None], "—"), ([], "—")]
)
def test_for_how_many_seeds_it_holds(
    make_figure: Callable[..., Path],
    html: Callable[[], str],
    claim: Callable[..., Any],
    values: list[float | None],
    said: str,
) -> None:
    make_figure(claims=[claim(values=values)])
    assert f'data-column="Seeds">{said}</td>' in html()


def test_the_summary_counts(
    make_figure: Callable[..., Path], html: Callable[[], str], claim: Callable[..., Any]
) -> None:
    failing, unmeasured = claim(holds=False), claim(measured=None, holds=False)
    make_figure("one", claims=[claim(), claim(), failing])
    make_figure("two", claims=[failing, unmeasured], scale="smoke")
    text = Page(html()).text
    assert "2 figures put 5 published claims to the test: 2 of 5 hold." in text
    assert "That counts 2 claims of 1 figure made at smoke scale: a quick check, not a result." in text
    assert "2 hold2 do not hold1 not measured" in text


def test_a_smoke_figure_says_so_at_its_picture(make_figure: Callable[..., Path], html: Callable[[], str]) -> None:
    make_figure("quick", scale="smoke")
    assert "A quick check, not a result." in html()
    make_figure("quick", scale="full")
    assert "quick check" not in html()


def test_a_figure_without_claims_papers_or_versions(
    make_figure: Callable[..., Path], html: Callable[[], str]
) -> None:
    make_figure(claims=[], papers=[], versions={}, seeds=[], created="yesterday")
    text = Page(html()).text
    assert "1 figure, no claims." in text
    assert "This figure states no claims." in text
    assert "yesterday" in text
    assert "Read on" not in text


def test_no_figures_at_all_says_what_to_do(html: Callable[[], str]) -> None:
    found = Page(html())
    assert "No figures yet" in found.text
    assert "atml-figures list" in found.text
    assert "#figures" in found.all("href")
    assert "figures" in found.all("id")


def test_the_gallery_imports_no_torch() -> None:
    code = (
        "import sys, atml_exp.gallery.site; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
