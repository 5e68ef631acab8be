"""The gallery's page as HTML: everything from a file escaped, formulas as MathML, no script, no network."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from urllib.parse import quote

from atml_exp.figures.claim import with_spread
from atml_exp.gallery.folder import KINDS, Claim, Folder, Paper
from atml_exp.pictures.recorded import number
from atml_exp.typeset import cite, typeset

__all__ = ["GENERATOR", "TOPICS", "page"]

GENERATOR = '<meta name="generator" content="atml-figures gallery">'
"""Stands in each page that we write, so that another's page is told apart."""

TOPICS = (
    "ML basics",
    "Linear classifiers and convex optimisation",
    "Neural nets",
    "Why SGD works",
    "Neural collapse",
    "Overparameterisation and pruning",
    "Fairness",
    "Explainability",
)
"""In the order of the course."""

VERDICTS = ("holds", "does not hold", "not measured")

_ICONS = {
    "holds": '<path d="M3 8.5l3.4 3.4L13 4.6"/>',
    "does not hold": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "not measured": '<path d="M3.5 8h9"/>',
}

_RELATIONS = {"<=": "≤", ">=": "≥"}


def page(figures: Sequence[Folder]) -> str:
    """The complete page; its pictures and files are expected beside it, in a folder for each figure."""
    topics = _by_topic(figures)
    style = files("atml_exp.gallery").joinpath("site.css").read_text(encoding="utf-8")
    body = f"{_contents(topics)}\n{_main(topics)}" if topics else _EMPTY
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'; object-src 'none'; base-uri 'none'">
{GENERATOR}
<title>Why do neural networks work? · atml_exp</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#figures">Skip to the figures</a>
{_header(figures)}
<div class="columns">
{body}
</div>
<footer>Made with atml_exp. A claim holds when the mean over seeds is on the right side of its threshold.</footer>
</body>
</html>
"""


def _main(topics: Sequence[tuple[str, list[Folder]]]) -> str:
    return f'<main id="figures">\n{"".join(_topic(*topic) for topic in topics)}</main>'


def _by_topic(figures: Sequence[Folder]) -> list[tuple[str, list[Folder]]]:
    """Topics that have figures, in the order of the course, then those that it doesn't know, by name."""

    def place(figure: Folder) -> tuple[int, str, str]:
        topic = figure.about.topic
        return (TOPICS.index(topic) if topic in TOPICS else len(TOPICS), topic, figure.name)

    return [(t, list(g)) for t, g in groupby(sorted(figures, key=place), key=lambda figure: figure.about.topic)]


# Summary and contents

_EMPTY = """<main id="figures" class="empty">
<h2>No figures yet</h2>
<p>See which figures there are, and make one:</p>
<pre><code>atml-figures list</code></pre>
<pre><code>atml-figures make edge_of_stability</code></pre>
<p>Then <code>atml-figures gallery</code> writes this page anew.</p>
</main>"""


def _header(figures: Sequence[Folder]) -> str:
    return f"""<header>
<p class="over">atml_exp · gallery</p>
<h1>Why do neural networks work?</h1>
<p class="lead">{_lead(figures)}</p>
{_tally([claim for figure in figures for claim in figure.claims])}
</header>"""


def _lead(figures: Sequence[Folder]) -> str:
    if not figures:
        return "Figures that put published claims to the test will stand here."
    claims = [claim for figure in figures for claim in figure.claims]
    shown = _count(len(figures), "figure")
    if not claims:
        return f"{shown}, no claims."
    tests = f"{shown} put{'s' if len(figures) == 1 else ''} {_count(len(claims), 'published claim')} to the test"
    holding = sum(claim.verdict == "holds" for claim in claims)
    held = f"<strong>{holding} of {len(claims)} {_plural('holds', holding)}</strong>"
    return f"{tests}: {held}.{_checks([figure for figure in figures if figure.about.scale == 'smoke'])}"


def _checks(smoke: Sequence[Folder]) -> str:
    """What the summary counts though it isn't a result."""
    if not smoke:
        return ""
    claims = _count(sum(len(figure.claims) for figure in smoke), "claim")
    return (
        f" That counts {claims} of {_count(len(smoke), 'figure')} made at smoke scale: a quick check, not a result."
    )


def _tally(claims: Sequence[Claim]) -> str:
    """A bar in proportion, and the numbers in words."""
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}
    shown = {verdict: n for verdict, n in counts.items() if n}
    bar = "".join(f'<i class="{_class(verdict)}" style="flex-grow:{n}"></i>' for verdict, n in shown.items())
    items = "".join(f'<li class="{_class(v)}">{_icon(v)}<b>{n}</b> {_plural(v, n)}</li>' for v, n in shown.items())
    return f'<div class="bar" aria-hidden="true">{bar}</div>\n<ul class="tally">{items}</ul>' if shown else ""


def _contents(topics: Sequence[tuple[str, list[Folder]]]) -> str:
    parts = "".join(f"<li>{_topic_link(t)}<ul>{''.join(map(_figure_link, g))}</ul></li>\n" for t, g in topics)
    return f"""<nav id="contents" aria-labelledby="contents-heading">
<h2 id="contents-heading">Contents <span>claims that hold</span></h2>
<ol>
{parts}</ol>
</nav>"""


def _topic_link(topic: str) -> str:
    return f'<a class="topic" href="#{_anchor("topic", topic)}">{escape(topic)}</a>'


def _figure_link(figure: Folder) -> str:
    holding, total = sum(claim.verdict == "holds" for claim in figure.claims), len(figure.claims)
    check = '<em class="quick">quick check</em>' if figure.about.scale == "smoke" else ""
    link = f'<a href="#{_anchor("figure", figure.name)}">{escape(figure.about.title)}</a>'
    count = (
        f'<span class="count">{holding}<span class="unseen"> of </span><i aria-hidden="true">/</i>{total}</span>'
    )
    return f"<li><span>{link} {check}</span>{count}</li>"


# Figures


def _topic(topic: str, figures: Sequence[Folder]) -> str:
    anchor = _anchor("topic", topic)
    return f"""<section aria-labelledby="{anchor}">
<h2 id="{anchor}">{escape(topic)}</h2>
{"".join(_article(figure) for figure in figures)}</section>
"""


def _article(figure: Folder) -> str:
    anchor = _anchor("figure", figure.name)
    return f"""<article id="{anchor}" aria-labelledby="{anchor}-title">
<h3 id="{anchor}-title">{escape(figure.about.title)}</h3>
{_quick_check(figure)}{_picture(figure)}
<div class="beside">
<p class="text">{typeset(figure.about.text)}</p>
{_facts(figure)}
</div>
{_claims(figure)}
{_again(figure)}
<p class="up"><a href="#contents">Back to the contents</a></p>
</article>
"""


def _quick_check(figure: Folder) -> str:
    if figure.about.scale != "smoke":
        return ""
    make = f"<code>atml-figures make {escape(figure.name)}</code>"
    return (
        '<p class="note"><strong>A quick check, not a result.</strong> '
        f"This was made at smoke scale, to see that everything works; {make} makes it in earnest.</p>\n"
    )


def _picture(figure: Folder) -> str:
    width, height = figure.size
    alt = f"{figure.about.title}: what it shows is said below it, its numbers are in {figure.name}.csv"
    source = _href(figure, f"{figure.name}.svg")
    image = f'<img src="{source}" alt="{escape(alt)}" width="{width}" height="{height}">'
    return f'<a class="picture" href="{source}" title="Open it large">{image}</a>'


def _facts(figure: Folder) -> str:
    about = figure.about
    facts = {
        "Made": _when(about.created),
        "Scale": escape(about.scale) + (" (quick check)" if about.scale == "smoke" else ""),
        "Runs": number(about.num_runs),
        "Seeds": seed_ranges(about.seeds) or "—",
        "Files": _files(figure),
    }
    return f'<dl class="facts">{"".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())}</dl>'


def _files(figure: Folder) -> str:
    names = {kind.upper(): f"{figure.name}.{kind}" for kind in KINDS} | {"claims.json": "claims.json"}
    return " ".join(
        f'<a href="{_href(figure, name)}" aria-label="{escape(f"{shown} of {figure.about.title}")}">{shown}</a>'
        for shown, name in names.items()
    )


def _again(figure: Folder) -> str:
    about = figure.about
    papers = "".join(f"<li>{_paper(paper)}</li>" for paper in about.papers)
    versions = " · ".join(f"{escape(k)} {escape(str(v))}" for k, v in about.versions.items() if v)
    return f"""<div class="again">
<div><h4>Make it again</h4>
<pre><code>{escape(about.command)}</code></pre>
{f"<details><summary>Versions it was made with</summary><p>{versions}</p></details>" if versions else ""}</div>
{f"<div><h4>Read on</h4><ul>{papers}</ul></div>" if papers else ""}
</div>"""


def _paper(paper: Paper) -> str:
    """Its citation with a link to where it is, unless following that could run something, as `javascript:` does."""
    if paper.doi:
        return cite(paper.citation, paper.doi)
    if paper.url.startswith(("https://", "http://")):
        return f'<a href="{escape(paper.url)}">{escape(paper.citation)}</a>'
    return escape(paper.citation)


# Claims


def _claims(figure: Folder) -> str:
    if not figure.claims:
        return '<p class="plain">This figure states no claims.</p>'
    caption = "What the papers claim, and the mean ± standard deviation over seeds that was measured"
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in _COLUMNS)
    return f"""<table role="table">
<caption>{caption}</caption>
<thead role="rowgroup"><tr role="row">{head}</tr></thead>
<tbody role="rowgroup">
{"".join(map(_row, figure.claims))}</tbody>
</table>"""


_COLUMNS = ("Claim", "Measured", "Threshold", "Seeds", "Verdict")


def _row(claim: Claim) -> str:
    """A phone shows the cells below each other, for which each carries its role and the name of its column."""
    cells = (_measured(claim), _threshold(claim), _seeds(claim), _verdict(claim))
    rest = "".join(
        f'<td role="cell" data-column="{column}">{cell}</td>'
        for column, cell in zip(_COLUMNS[1:], cells, strict=True)
    )
    return f'<tr role="row"><th role="rowheader" scope="row">{_statement(claim)}</th>{rest}</tr>\n'


def _statement(claim: Claim) -> str:
    """What is claimed, by whom, and why it couldn't be measured where it couldn't."""
    unmeasured = claim.reason and claim.verdict == "not measured"
    why = f'<span class="why">Not measured: {typeset(claim.reason)}</span>' if unmeasured else ""
    by = f'<span class="paper">{escape(claim.paper)}</span>'
    return f'<div class="statement">{typeset(claim.statement)}</div>{by}{why}'


def _measured(claim: Claim) -> str:
    if claim.measured is None or claim.verdict == "not measured":
        return "—"
    return _unbroken(with_spread(claim.measured, claim.spread)).replace("\u00a0±", " ±") + _unit(claim)


def _threshold(claim: Claim) -> str:
    return _unbroken(f"{_RELATIONS[claim.relation]} {number(claim.threshold)}") + _unit(claim)


def _seeds(claim: Claim) -> str:
    if all(value is None for value in claim.values):
        return "—"
    return f"{claim.seeds_holding} of {_count(len(claim.values), 'seed')}"


def _verdict(claim: Claim) -> str:
    return f'<span class="verdict {_class(claim.verdict)}">{_icon(claim.verdict)}{claim.verdict}</span>'


def _unit(claim: Claim) -> str:
    return f" {typeset(claim.unit)}" if claim.unit else ""


# Small things


def seed_ranges(seeds: Iterable[int]) -> str:
    """Neighbours put together where there are many.

    >>> seed_ranges([0, 1, 2, 3, 4, 7]), seed_ranges([0, 1, 2])
    ('0–4, 7', '0, 1, 2')
    """
    ordered = sorted(set(seeds))
    groups = [[s for _, s in g] for _, g in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{g[0]}–{g[-1]}" if len(g) > 3 else ", ".join(map(str, g)) for g in groups)


def _when(created: str) -> str:
    """A date as one writes it; text that is no date as it stands."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return escape(created)
    shown = f"{time.day} {_MONTHS[time.month - 1]} {time.year}, {time:%H:%M} {time.tzname() or ''}".strip()
    return f'<time datetime="{escape(created)}">{escape(shown)}</time>'


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _anchor(kind: str, name: str) -> str:
    """An id that needs no escaping anywhere; different names, different ids.

    >>> _anchor("topic", "Why SGD works"), _anchor("figure", 'a"-b')
    ('topic-Why-SGD-works', 'figure-a~22~2db')
    """
    safe = "".join(c if c.isalnum() or c in "_. " else f"~{ord(c):x}" for c in name)
    return f"{kind}-{safe.replace(' ', '-')}"


def _href(figure: Folder, name: str) -> str:
    return escape(f"{quote(figure.name, safe='')}/{quote(name, safe='')}")


def _icon(verdict: str) -> str:
    return (
        '<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_ICONS[verdict]}</svg>'
    )


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _plural(verdict: str, n: int) -> str:
    """As it follows a number: 1 holds, 2 hold."""
    return {"holds": "hold", "does not hold": "do not hold"}.get(verdict, verdict) if n != 1 else verdict


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _unbroken(text: str) -> str:
    return text.replace(" ", "\u00a0")
