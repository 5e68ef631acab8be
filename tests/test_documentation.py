"""The documentation builds without a warning, has a page for all there is, and no link that leads nowhere."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from atml_exp.commands.catalogue import KINDS, catalogue
from atml_exp.compose import compose, sweep_jobs
from atml_exp.figure_spec import SCALES, figure_names, figure_spec
from atml_exp.figures.style import new_figure, pdf, png, svg
from atml_exp.launchers.fused import _options
from atml_exp.launchers.plugins import register_plugins
from atml_exp.search_path import configs_directory, register_search_path
from tests.launchers import cluster_page, test_fused, test_launchers, test_ray
from tests.sweepers import test_optuna

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "scripts" / "documentation"
SCRIPT = SOURCES / "build_documentation.py"
OWN = [
    (group, entry.name) for group in KINDS.values() for entry in catalogue(group) if entry.path.is_relative_to(ROOT)
]


class Page(HTMLParser):
    """What a page links to, what can be linked to in it, and its text outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text: list[str] = []
        self.apart = 0
        self.tags: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.apart += tag in ("code", "pre", "script", "style")
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)

    def handle_endtag(self, tag: str) -> None:
        self.apart -= tag in ("code", "pre", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self.apart:
            self.text.append(data)


def build(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def make_figure(folder: Path) -> Path:
    """A figure as `atml-figures make` leaves it."""
    folder.mkdir(parents=True)
    picture = new_figure(4, 3)
    picture.subplots().plot([0, 1], [1, 0])
    content = {"png": png(picture), "svg": svg(picture).encode(), "pdf": pdf(picture), "csv": b"step,value\n0,1\n"}
    for kind, data in content.items():
        (folder / f"{folder.name}.{kind}").write_bytes(data)
    (folder / "claims.json").write_text(json.dumps([CLAIM]), encoding="utf-8")
    (folder / "figure.json").write_text(json.dumps({"name": folder.name} | ABOUT), encoding="utf-8")
    return folder


CLAIM = {
    "paper": "Cohen et al. 2021",
    "statement": "$λ_{max}$ settles at $2/η$",
    "measured": 1.8034,
    "spread": 1.02,
    "threshold": 5.0,
    "relation": "<=",
    "unit": "%",
    "values": [0.5, 1.1],
    "holds": True,
}
ABOUT = {
    "title": "The edge of stability",
    "topic": "Why SGD works",
    "text": "The sharpness rises.",
    "papers": [],
    "command": "atml-figures make edge_of_stability",
    "scale": "smoke",
    "created": "2026-10-30T14:05:12+00:00",
    "num_runs": 13,
    "seeds": [0, 1],
    "versions": {},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, with one figure. A warning of Sphinx, as of a reference that leads nowhere, fails here."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    built = build(folder, "--figures", make_figure(folder.parent / "figures" / "edge_of_stability").parent)
    assert built.returncode == 0, built.stderr
    assert built.stdout.strip() == str(folder / "index.html")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.mark.slow
def test_every_concept_and_every_tutorial_has_a_page(site: Path) -> None:
    expected = [f"concepts/{group}/{name}.html" for group, name in OWN]
    expected += [f"tutorials/{path.stem}.html" for path in (SOURCES / "tutorials").glob("*.ipynb")]
    assert len(expected) > 200
    assert [name for name in expected if not (site / name).is_file()] == []


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = [
        f"{path.relative_to(site)}: {link}" for path, page in pages.items() for link in _broken(path, page, pages)
    ]
    assert broken == []
    assert sum(len(page.links) for page in pages.values()) > 10_000


def _broken(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link.partition("?")[0]).partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
            yield link


@pytest.mark.slow
def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    asked = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*")
    found = {path.name: asked.findall(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert {name: tags for name, tags in found.items() if tags} == {}


@pytest.mark.slow
def test_formulas_are_drawn(site: Path, pages: dict[Path, Page]) -> None:
    """Not shown as they are typed, but where the notation itself is described."""
    formula = re.compile(r"\$[^$\s][^$]*\$|\\(?:frac|lambda|nabla|sum|mathbb)\b")
    typed = {
        path.name: formula.findall("".join(page.text)) for path, page in pages.items() if path.parent.name != "api"
    }
    assert {name: found for name, found in typed.items() if found} == {}
    assert "math" in pages[site / "concepts/probe/sharpness.html"].tags
    assert "math" in pages[site / "concepts/loss/hinge.html"].tags
    assert "math" in pages[site / "concepts/figure/edge_of_stability.html"].tags


@pytest.mark.slow
def test_a_concepts_page_says_what_it_is_how_to_use_it_and_where_to_go(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "concepts/probe/fractal_dimension_loss.html").read_text(encoding="utf-8"))
    for said in (
        "atml-exp probe=[fractal_dimension_loss]",  # the command
        "PH₀ dimension and Eα of recorded points",  # the docstring
        "reads: loss_trajectory/losses",  # the YAML
        "trajectory_complexity_ranking",  # a figure that uses it
        "atml_exp.probes.fractal_dimension",  # its module
        "tests/probes/test_fractal_dimension.py",
    ):
        assert said in text


@pytest.mark.slow
def test_only_tables_of_claims_get_the_labels_of_claims(site: Path) -> None:
    tables = [
        (path.name, table)
        for path in sorted(site.rglob("*.html"))
        for table in re.findall(r'<table class="[^"]*\bclaims\b.*?</thead>', path.read_text(encoding="utf-8"), re.S)
    ]
    assert tables
    assert [name for name, table in tables if "<p>Claim</p>" not in table] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", figure_names()[::8])
def test_a_concepts_page_names_the_figures_that_have_it_by_default_too(name: str, pages, site: Path) -> None:
    """As Hydra composes a job of theirs; among them what only a default or an experiment chooses."""
    own = figure_spec(name)
    _, job = own.jobs("smoke")[0]
    register_search_path()
    with initialize_config_dir(str(configs_directory()), version_base="1.3"):
        choices = hydra_compose("config", job, return_hydra_config=True).hydra.runtime.choices
    for group in ("dataset", "model", "loss", "optimiser", "recipe"):
        links = pages[site / "concepts" / group / f"{choices[group]}.html"].links
        assert f"../figure/{name}.html" in links, (group, choices[group])


@pytest.mark.slow
def test_a_figure_that_was_made_stands_in_the_gallery_with_its_claims(site: Path) -> None:
    page = (site / "concepts/figure/edge_of_stability.html").read_text(encoding="utf-8")
    assert "1.8 ± 1.0 %" in re.sub(r"<[^>]+>|\s+", " ", page).replace("  ", " ")
    assert re.search(r"<img[^>]* src=\"[^\"]*_images/edge_of_stability[^\"]*\.png", page)
    gallery = (site / "concepts/figure/index.html").read_text(encoding="utf-8")
    assert "1 of 1 claims holds, quick check" in gallery
    assert f"1 of the {len(figure_names())} figures is in" in gallery


def test_on_a_phone_claims_are_stacked_under_the_headings_of_their_columns() -> None:
    """The labels that stand in place of the header are the header's, in its order."""
    code = (SOURCES / "gallery_pages.py").read_text(encoding="utf-8")
    head = re.search(r'head = "\* - Claim((?:\\n  - \w+)+)"', code)
    assert head is not None
    style = (SOURCES / "static" / "site.css").read_text(encoding="utf-8").partition("@media (max-width")[2]
    labels = re.findall(r'table\.claims td:nth-child\((\d)\)::before \{ content: "(\w+): "', style)
    assert labels == [(str(k), name) for k, name in enumerate(re.findall(r"- (\w+)", head[1]), start=2)]
    assert "min-width" not in style


def test_the_page_of_a_figure_links_to_its_papers(pages: dict[Path, Page], site: Path) -> None:
    links = set()
    for entry in catalogue("figure"):
        found = pages[site / "concepts" / "figure" / f"{entry.name}.html"]
        for paper in figure_spec(entry.name).papers:
            address = f"https://doi.org/{paper.doi}" if paper.doi else paper.url
            assert address in found.links, entry.name
            links.add(address)
    assert [link for link in links if not link.startswith("https://doi.org/10.")]


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    refused = build(tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == f"{tmp_path} holds something else than this site: name another folder\n"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


# Pages that are written by hand


def roles(page: str) -> set[tuple[str, str]]:
    """(role, name) of all concepts that a page links to."""
    text = (SOURCES / page).read_text(encoding="utf-8")
    found = re.findall(r"\{(\w+)\}`([^`]+)`", text)
    return {(role, name.strip()) for role, names in found for name in names.split(",")}


def commands(page: str) -> list[str]:
    """The lines of a page's bash blocks, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", (SOURCES / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("kind", ["figure", "probe", "experiment"])
def test_everything_is_on_the_map_from_the_lecture(kind: str) -> None:
    on_it = {name for role, name in roles("lecture.md") if role == kind}
    assert on_it == {name for group, name in OWN if group == kind}


def test_every_tutorial_is_on_the_map_from_the_lecture() -> None:
    on_it = {name for role, name in roles("lecture.md") if role == "tutorial"}
    assert on_it == {path.stem for path in (SOURCES / "tutorials").glob("*.ipynb")}
    assert len(on_it) == 8


def test_every_topic_says_once_what_it_lacks_and_names_there_only_what_there_is() -> None:
    topics = (SOURCES / "lecture.md").read_text(encoding="utf-8").split("\n## ")[1:]
    lacks = [re.findall(r"\nNot here\n: (.*?)\n\n", topic, re.DOTALL) for topic in topics]
    assert [len(said) for said in lacks] == [1] * 8
    absent = re.compile("|".join(_ABSENT), re.IGNORECASE)
    assert all(absent.search(said[0]) for said in lacks)
    names = {name for _, name in OWN}
    assert [name for name in names if absent.search(name.replace("_", " "))] == []


_ABSENT = (
    "rademacher",
    "mirror",
    "dropout",
    "tangent kernel",
    "contrastive",
    "distillation",
    "counterfactual",
    "deeplift",
)
"""One of each topic's: what is added here, under such a name, goes from the page."""


@pytest.mark.parametrize("page", ["lecture.md", "quick_start.md", "cluster.md"])
def test_every_command_on_a_page_is_one_that_there_is(page: str) -> None:
    every = commands(page)
    assert len(every) >= 8
    for command in every:
        _check(shlex.split(command))


def _check(command: list[str]) -> None:
    """That what it names is there, and that its first job composes."""
    program, *arguments = command
    if program == "atml-figures" and arguments[0] == "make":
        assert arguments[1] in figure_names()
        assert all(text.removeprefix("scale=") in SCALES for text in arguments[2:])
    elif program == "atml-exp":
        launching = [text for text in arguments if text.startswith(_LAUNCHING)]
        rest = [text for text in arguments if not text.startswith(("--", *_LAUNCHING)) and "interval" not in text]
        compose(sweep_jobs(rest)[0])
        if launching:
            _check_launching(launching)
    else:
        assert (program, arguments[0]) in _OTHERS, command


_LAUNCHING = ("hydra/", "hydra.", "+hydra.")
_OTHERS = {("atml-figures", "list"), ("atml-figures", "gallery"), ("atml-exp-list", "probes"), ("pip", "install")}


def _check_launching(overrides: list[str]) -> None:
    """ConfigError or Hydra's own error where the launcher isn't there, or hasn't these options."""
    register_search_path()
    register_plugins()
    with initialize_config_dir(str(configs_directory()), version_base="1.3"):
        launcher = hydra_compose("config", overrides, return_hydra_config=True).hydra.launcher
    if launcher.get("over"):
        _options(launcher.over, launcher.over_options)


def test_the_tests_of_launchers_and_searches_run_the_commands_of_the_page_and_nothing_else() -> None:
    run = {(test_fused.FUSED,), test_fused.RETRY, test_ray.RAY, test_ray.OVER_RAY, cluster_page.search()}
    run |= {*test_launchers.JOBS, *test_launchers.POPULATIONS}
    assert set(cluster_page.search()) <= set(test_optuna.SEARCH)
    said = re.findall(r"\+?hydra[/.][\w./]+=\w+", cluster_page.PAGE.read_text(encoding="utf-8"))
    assert len(set(said)) > 12
    of_tests = {text for command in run for text in command if text.startswith(_LAUNCHING)}
    assert set(said) == of_tests | cluster_page.NOT_RUN.keys()
