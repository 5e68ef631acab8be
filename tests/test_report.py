import runpy
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from atml_exp.report import pictures_of, report, write_report
from atml_exp.runs import Run

_FIXTURES = runpy.run_path(str(Path(__file__).parent / "pictures" / "conftest.py"))
make_run, run, probe = _FIXTURES["make_run"], _FIXTURES["run"], _FIXTURES["probe"]

VOID = {"meta", "img", "br", "hr", "link", "input", "path"}


class Page(HTMLParser):
    """Collects ids, references and text; fails where tags don't nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_all_its_sections(run: Run) -> None:
    page = Page(report(run))
    names = ["picture-curves", *(f"picture-{n}" for n in run.config["probe"])]
    assert page.ids == ["summary", "system", *names, "reproduce"]
    assert [link for link in page.links if link.startswith("#")] == [f"#{name}" for name in page.ids]
    for said in ("MLP on digits, SGD with momentum", "complete", "9,034 trainable parameters", "41.3 s", "2.22 %"):
        assert said in page.text
    assert len(page.sources) == 5


def test_the_page_needs_no_network(run: Run) -> None:
    html = report(run)
    page = Page(html)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert all(link.startswith(("#", "https://doi.org/")) for link in page.links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "url(" not in html
    assert "@import" not in html


def test_formulas_are_mathml(run: Run) -> None:
    html = report(run)
    system = html[html.index('id="system"') : html.index('id="picture-curves"')]
    assert system.count("<math") == 4  # domain, loss, and the two lines of the update rule
    assert "<mo>←</mo>" in system


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "logistic", "hinge"])
def test_each_loss_has_its_formula(make_run: Callable[..., Run], loss: str) -> None:
    config = {"probe": {}, "loss": {"_target_": f"atml_exp.losses.{loss}.{loss}"}}
    assert '<div class="formula"><math display="block">' in report(make_run(config=config))
    assert (Path(sys.modules["atml_exp"].__path__[0]) / "losses" / f"{loss}.py").exists()


def test_what_a_config_says_is_escaped(make_run: Callable[..., Run]) -> None:
    evil = '</pre><script>alert("1")</script><img src=x onerror=alert(1)>'
    target = {"_target_": f"x.{evil}"}
    system = {"domain": f"ℝ {evil}", "algorithm": f"w ← {evil}", "loss": f"$x$ {evil}", evil: evil}
    poisoned = make_run(
        info={
            "system": system,
            "device": evil,
            "run_id": evil,
            "error": evil,
            "probe_failures": {"sharpness": evil},
        },
        config={
            "model": target,
            "dataset": target,
            "seed": evil,
            "probe": {evil: {"fn": {}}, "sharpness": probe("sharpness")},
        },
        series={f"{evil}/{evil}": {0: 1.0, 22: 2.0}},
    )
    html = report(poisoned)
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    "evil", ['" onmouseover="alert(1)', "' onfocus='alert(1)", "&quot; onload=alert(1) <svg/onload=alert(1)>"]
)
def test_what_a_config_says_makes_no_element_and_no_attribute(make_run: Callable[..., Run], evil: str) -> None:
    said = {"device": evil, "run_id": evil, "error": evil, "command": evil, "warnings": [evil], "status": "failed"}
    poisoned = make_run(
        info={**said, "probe_failures": {"sharpness": evil}, "determinism": {"level": evil, "for": evil}},
        config={"model": {"_target_": f"x.{evil}", evil: evil}, "seed": evil, "probe": {evil: {"fn": {}}}},
        series={f"{evil}/{evil}": {0: 1.0, 22: 2.0}},
    )
    found: list[tuple[str, str]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, pairs: found.extend((tag, name) for name, _ in pairs)  # type: ignore
    parser.feed(report(poisoned))
    assert len(found) > 20
    assert not [(tag, name) for tag, name in found if name.startswith("on") or "alert" in name]


def test_a_picture_that_fails_becomes_a_note(make_run: Callable[..., Run]) -> None:
    found = make_run(without=("sharpness/",), config={"probe": {n: probe(n) for n in ("sharpness", "pruning")}})
    assert "No picture: the run has no finite sharpness/top" in report(found)
    assert list(pictures_of(found)) == ["curves", "pruning"]


@pytest.mark.parametrize("path", ["os.path.join", "atml_exp_evil.draw", "subprocess.run"])
def test_only_trusted_packages_are_imported(make_run: Callable[..., Run], path: str) -> None:
    html = report(make_run(config={"probe": {"sharpness": {"picture": path, "fn": {}}}}))
    assert f"{path}: not in a trusted package; allowed: atml_exp" in html


def test_a_trusted_package_draws_its_own_picture(
    make_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_pictures.py").write_text(
        "from matplotlib.figure import Figure\n"
        "def draw(run, name):\n    return Figure()\n"
        "def caption(run, name):\n    return '<p>theirs: ' + name + '</p>'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"probe": {"mine": {"picture": "their_pictures.draw"}}, "trusted_packages": ["their_pictures"]}
    assert "<p>theirs: mine</p>" in report(make_run(config=config))


def test_a_probe_without_a_picture_gets_its_curves(make_run: Callable[..., Run]) -> None:
    series = {"gradient/norm": {0: 3.0, 22: 1.5}}
    found = make_run(config={"probe": {"gradient": {"fn": {}, "every": "1ep"}}}, series=series)
    assert "At the end: norm = 1.5." in report(found)
    assert list(pictures_of(found)) == ["curves", "gradient"]


def test_a_probe_that_failed_says_so(make_run: Callable[..., Run]) -> None:
    html = report(
        make_run(
            info={"probe_failures": {"sharpness": "step 3: ValueError: not finite"}},
            config={"probe": {"sharpness": probe("sharpness")}},
        )
    )
    assert "This probe stopped: step 3: ValueError: not finite" in html


@pytest.mark.parametrize("status", ["complete", "diverged", "failed", "running"])
def test_each_status_is_shown_in_words(make_run: Callable[..., Run], status: str) -> None:
    html = report(
        make_run(info={"status": status, "diverged_at": 44 if status == "diverged" else None}, config={"probe": {}})
    )
    assert f'class="status {status}"' in html
    assert ("Found at step 44; the last finite measurement is that of step 22." in html) == (status == "diverged")


def test_a_diverged_run_is_drawn(make_run: Callable[..., Run]) -> None:
    nan, inf = float("nan"), float("inf")
    series = {
        "train/loss": {0: 2.3, 22: 80.0, 44: inf, 66: nan},
        "test/loss": {0: 2.3, 22: 90.0, 44: inf, 66: nan},
        "train/error": {0: 0.9, 22: 0.9, 44: nan},
        "test/error": {0: 0.9, 22: 0.9, 44: nan},
        "sharpness/top": {0: 3.0, 22: inf, 44: nan},
        "neural_collapse/nc1": {0: 3.0, 22: inf, 44: nan},
        "pruning/magnitude/0.5": {44: nan},
    }
    found = make_run(info={"status": "diverged", "diverged_at": 44}, series=series)
    assert set(pictures_of(found)) == {"curves", *found.config["probe"]}
    assert "NaN" in report(found)


def test_a_run_that_has_recorded_nothing_yet_has_a_page(make_run: Callable[..., Run]) -> None:
    found = make_run(info={"status": "running", "wall_seconds": None}, without=("",))
    assert "neither loss nor error" in report(found)


def test_a_regression_has_no_error(make_run: Callable[..., Run]) -> None:
    found = make_run(info={"num_classes": None}, config={"probe": {}}, without=("train/error", "test/error"))
    html = report(found)
    assert "misclassifies" not in html
    assert "test error" not in Page(html).text


def test_write_report_leaves_one_whole_file_and_the_same_each_time(make_run: Callable[..., Run]) -> None:
    run = make_run(config={"probe": {"pruning": probe("pruning")}})
    before = set(run.directory.iterdir())
    path = write_report(run.directory)
    first = path.read_bytes()
    assert set(run.directory.iterdir()) - before == {path}
    assert path.name == "report.html"
    assert write_report(run.directory).read_bytes() == first


def test_report_and_pictures_import_no_torch() -> None:
    modules = ["atml_exp.report", "atml_exp.figures.style"]
    modules += [
        f"atml_exp.pictures.{p.stem}" for p in Path(sys.modules["atml_exp.pictures"].__path__[0]).glob("[a-z]*.py")
    ]
    assert len(modules) >= 8
    code = (
        f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_of_are_figures_by_name(run: Run) -> None:
    found = pictures_of(run)
    assert list(found) == ["curves", *run.config["probe"]]
    assert all(isinstance(figure, Figure) for figure in found.values())


def test_a_probe_that_only_records_for_another_has_no_section(make_run: Callable[..., Run]) -> None:
    reader = {**probe("fractal_dimension"), "reads": "trajectory/weights"}
    source = {**probe("trajectory"), "picture": None}
    config = {"probe": {"trajectory": source, "fractal_dimension": reader}}
    page = Page(report(make_run(config=config)))
    assert "picture-fractal_dimension" in page.ids
    assert "picture-trajectory" not in page.ids
    assert "no scalars recorded" not in page.text
    alone = Page(report(make_run(config={"probe": {"trajectory": source}})))
    assert "picture-trajectory" in alone.ids


def test_a_run_can_be_asked_for_again(make_run: Callable[..., Run]) -> None:
    typed = report(make_run(info={"command": "atml-exp seed=1 'probe=[]'"}))
    assert "atml-exp seed=1 &#x27;probe=[]&#x27;" in typed
    assert "config.yaml" in report(make_run(info={"command": None}))


def test_the_test_error_has_its_interval(run: Run) -> None:
    assert "its 95 % interval, from 360 examples" in Page(report(run)).text


def test_without_checkpoints_there_is_nothing_to_measure(run: Run) -> None:
    assert "atml-exp-probe" not in report(run)
    (run.directory / "checkpoints").mkdir()
    (run.directory / "checkpoints" / "step_00000001.safetensors").touch()
    assert "atml-exp-probe" in report(run)


def test_a_probe_that_was_not_due_yet_says_so(make_run: Callable[..., Run]) -> None:
    found = make_run(config={"probe": {"never": {**probe("fractal_dimension"), "fn": {}}}})
    assert "No picture: nothing was recorded for it: the run ended before it was due" in report(found)
