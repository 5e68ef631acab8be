"""A figure trains what it lacks and no more, and leaves picture, data and claims."""

import json
import re
import shutil
import sys
from importlib import invalidate_caches
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from atml_exp import figure_make
from atml_exp.commands import figure_cli
from atml_exp.errors import BuildError, ConfigError
from atml_exp.figure_make import Made, Outcome, figure_jobs, make, num_missing
from atml_exp.figure_spec import FigureSpec, Paper, figure_names, figure_spec
from atml_exp.figures.claim import Claim
from atml_exp.figures.style import new_slide, slide

MODULE = """
from atml_exp.figures.claim import Claim, by_seed
from atml_exp.figures.panels import band, rows
from atml_exp.figures.style import new_slide, slide

@slide()
def draw(table):
    figure = new_slide()
    axes = figure.subplots()
    band(axes, rows(table, "train/loss"), "step", "black")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    return figure

def claims(table):
    last = rows(table, "train/loss").groupby("run_id").tail(1)
    return [Claim("we", "the loss is below $log 2$", by_seed(last, lambda t: t["value"].mean()), "<=", 0.69)]
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch) -> FigureSpec:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_figure.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield FigureSpec(
        title="Loss",
        topic="ML basics",
        text="It falls.",
        papers=[Paper("A", doi="10.1000/x"), Paper("B", url="https://jmlr.org/b")],
        module="my_figure",
        base=["dataset=two_moons", "model.width=4", "probe=[]", "progress=false", "device=cpu", "seed=0,1"],
        sweeps={"a": ["recipe.steps=3"], "b": ["recipe.steps=4", "seed=0"]},
        scales={"smoke": {}, "laptop": {}},
    )
    sys.modules.pop("my_figure", None)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_printed_it_is_its_claims_with_their_verdicts_as_the_command_prints_them(spec, capsys):
    claims = [
        Claim("we", "the loss is below $log_{10} 2$", (0.5, 0.9), "<=", 0.69),
        Claim("they [2026]", "it falls", (1.0,), ">=", 2.0, "m"),
        Claim("you", "it rises", (float("nan"),), ">=", 2.0),
    ]
    made = Made(Path("outputs/figures/loss"), claims, 3, 1)
    assert str(made).splitlines() == [
        " does not hold  0.70 ± 0.28  (≤ 0.69), 1 of 2 seeds",
        "                the loss is below log_10 2 we",
        " does not hold  1 m  (≥ 2 m)",
        "                it falls they [2026]",
        "  not measured  —  (≥ 2)",
        "                it rises you",
    ]
    assert figure_cli._report("loss", Outcome([], [], made)) == 0
    assert str(made) in capsys.readouterr().out


def test_it_leaves_picture_data_and_claims(spec):
    made = make("loss", spec, scale="smoke").made
    assert made.num_runs == 3
    assert made.folder == Path("outputs/figures/loss")
    assert files(made.folder) == {"loss.png", "loss.svg", "loss.pdf", "loss.csv", "claims.json", "figure.json"}
    about = json.loads((made.folder / "figure.json").read_text())
    assert (about["num_runs"], about["seeds"], about["scale"]) == (3, [0, 1], "smoke")
    assert about["command"] == "atml-figures make loss scale=smoke"
    assert about["papers"] == [
        {"citation": "A", "doi": "10.1000/x"},
        {"citation": "B", "url": "https://jmlr.org/b"},
    ]
    (claim,) = json.loads((made.folder / "claims.json").read_text())
    assert {"paper", "statement", "measured", "spread", "threshold", "holds"} <= claim.keys()


def test_the_csv_holds_the_data_behind_it(spec):
    made = make("loss", spec).made
    data = pd.read_csv(made.folder / "loss.csv")
    assert set(data["sweep"]) == {"a", "b"}
    assert {"run_id", "seed", "step", "epoch", "name", "value", "recipe.steps"} <= set(data.columns)
    assert not {"model.width", "directory"} & set(data.columns)
    claims = json.loads((made.folder / "claims.json").read_text())
    last = data[data["name"] == "train/loss"].groupby("run_id").tail(1)
    assert claims[0]["measured"] == pytest.approx(last.groupby("seed")["value"].mean().mean(), rel=1e-12)


def test_what_is_there_is_not_trained_again(spec):
    assert num_missing(spec, "laptop", "outputs") == (3, 3)
    assert make("loss", spec).made.num_reused == 0
    assert num_missing(spec, "laptop", "outputs") == (0, 3)
    assert make("loss", spec).made.num_reused == 3
    assert make("loss", spec, overrides=["seed=0,1,2"]).made.num_reused == 3


def test_the_same_runs_give_the_same_files(spec):
    folder = make("loss", spec).made.folder
    before = {name: (folder / name).read_bytes() for name in files(folder) - {"figure.json"}}
    make("loss", spec)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_job_that_cannot_run_is_refused_before_any_training(spec):
    with pytest.raises(ConfigError, match=r"sweep a: .*model.width"):
        make("loss", spec, overrides=["model.width=-1"])
    assert not Path("outputs").exists()


PLAIN = {
    "a figure": "figure = Figure(figsize=(5, 3)); axes = figure.subplots()",
    "pyplot": "figure = pyplot.figure(); axes = figure.add_subplot()",
    "a heading": "figure, axes = pyplot.subplots(layout='tight'); figure.suptitle('heading')",
    "a bar of colours": "figure, axes = pyplot.subplots(); figure.colorbar(axes.imshow([[1, 2]]), ax=axes)",
    "placed by hand": "figure = Figure(); axes = figure.add_axes((0.2, 0.2, 0.7, 0.7)); figure.text(0.2, 0.9, 'a')",
    "twins and a legend": "figure, axes = pyplot.subplots(); axes.twinx().plot([1, 2], label='a'); figure.legend()",
    "one of ours with a heading": "figure = new_slide(); axes = figure.subplots(); figure.suptitle('heading')",
}


@pytest.fixture
def plain():
    """`plain(how)`: a figure with labels, as a user of matplotlib makes it."""

    def make_one(how: str) -> Figure:
        names = {"Figure": Figure, "pyplot": pyplot, "new_slide": new_slide}
        exec(PLAIN[how], names)
        names["axes"].set(xlabel="step", ylabel="loss", title="a panel")
        return names["figure"]

    yield make_one
    pyplot.close("all")


def boxes(figure: Figure) -> list[Bbox]:
    """Where all that is in the figure is, in inches."""
    figure.draw_without_rendering()
    parts = [*figure.axes, *figure.texts, *figure.legends]
    return [part.get_tightbbox().transformed(figure.dpi_scale_trans.inverted()) for part in parts]


@pytest.mark.parametrize("how", PLAIN)
def test_a_plain_figure_of_matplotlib_keeps_clear_of_title_and_verdicts(how, plain):
    figure = plain(how)
    width, height = figure.get_size_inches()
    own = len(figure.axes) + len(figure.texts)
    figure_make.frame(figure, "Title", [Claim("we", "it falls", (1.0, 2.0), "<=", 3.0)], "two seeds")
    assert figure.get_figwidth() == width
    assert figure.get_figheight() > height
    title, *verdict = figure.texts[-5:]
    assert title.get_text() == "Title"
    found = dict(zip([*figure.axes, *figure.texts, *figure.legends], boxes(figure), strict=True))
    drawn = [box for part, box in found.items() if part not in (title, *verdict)]
    assert len(drawn) == own + len(figure.legends)
    assert min(box.y0 for box in drawn) > max(found[text].y1 for text in verdict)
    assert max(box.y1 for box in drawn) < found[title].y0
    assert all(0 <= box.x0 < box.x1 <= width for box in found.values())


@pytest.mark.parametrize("how", ["placed by hand", "twins and a legend", "one of ours with a heading"])
def test_a_framed_figure_keeps_its_panels_as_large_as_they_were(how, plain):
    before, after = plain(how), plain(how)
    if before.get_layout_engine() is None and how != "placed by hand":
        before.set_layout_engine("tight")
    with slide():
        first = boxes(before)
    figure_make.frame(after, "Title", [Claim("we", "it falls", (1.0, 2.0), "<=", 3.0)], "two seeds")
    second = boxes(after)
    own = len(before.axes)
    for old, new in zip(first[:own], second[:own], strict=True):
        assert (new.width, new.height) == pytest.approx((old.width, old.height), abs=0.02)
        assert new.y0 - old.y0 == pytest.approx(second[0].y0 - first[0].y0, abs=0.02)


def rewritten(text: str) -> Path:
    """The figure's module with another text, which the next import reads."""
    sys.modules.pop("my_figure", None)
    shutil.rmtree("__pycache__", ignore_errors=True)  # which may be as young, and as long, as the text
    invalidate_caches()
    Path("my_figure.py").write_text(text)
    return Path("my_figure.py").resolve()


def changed(old: str, new: str) -> Path:
    assert old in MODULE
    return rewritten(MODULE.replace(old, new))


def test_a_plain_figure_is_made(spec):
    changed("new_slide()", "__import__('matplotlib.figure').figure.Figure(figsize=(5, 3))")
    assert make("loss", spec, scale="smoke").made.png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def draw", "def drew", "my_figure has no function draw; allowed: .*; did you mean drew"),
        ("def claims", "def claim", "my_figure has no function claims; allowed: .*; did you mean claim"),
        ("by_seed\n", "by_sead\n", "importing it failed: ImportError: cannot import name 'by_sead'"),
    ],
)
def test_a_module_that_cannot_do_is_refused_before_any_training(old, new, message, spec):
    changed(old, new)
    with pytest.raises(ConfigError, match=f"figure loss: module = my_figure: {message}"):
        make("loss", spec)
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return figure", "return None", "my_figure.draw returned None: it must be a matplotlib Figure"),
        ("return [", "return [][", "my_figure.claims failed: TypeError: list indices .*, line 17 of FILE"),
        (
            "$log 2$",
            r"$\\nonsense$",
            "my_figure: .* can't be put on a page: ValueError: ",
        ),
        (
            '"loss"',
            r'r"$\nonsense$"',
            "my_figure: .* can't be put on a page: ValueError: ",
        ),
    ],
)
def test_what_the_module_does_wrong_is_one_sentence_and_the_runs_stay(old, new, message, spec):
    file = changed(old, new)
    with pytest.raises(BuildError) as failed:
        make("loss", spec, scale="smoke")
    assert re.match(f"figure loss: {message.replace('FILE', str(file))}", str(failed.value))
    assert str(failed.value).endswith("; what was trained for it is there, and isn't trained again")
    assert "\n" not in str(failed.value)
    assert not Path("outputs/figures").exists()
    rewritten(MODULE)
    assert make("loss", spec, scale="smoke").made.num_reused == 3


def test_nothing_is_drawn_where_a_run_failed(spec, monkeypatch):
    from atml_exp import sitting

    def broken(*models, **options):
        raise RuntimeError("boom")

    monkeypatch.setattr(sitting, "assemble", broken)
    outcome = make("loss", spec)
    assert outcome.made is None
    assert {r.error for r in outcome.results} == {"RuntimeError: boom"}
    assert not Path("outputs/figures").exists()
    assert figure_cli._report("loss", outcome) == 1


def test_a_statement_is_broken_between_words_and_not_in_formulas():
    lines = figure_make._lines("aaaa bbbb $x + y + z$ cccc", figure_make._width("aaaa bbbb"))
    assert lines == ["aaaa bbbb", "$x + y + z$", "cccc"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.01, 0.81, 0.02), "0.28 ± 0.46  (≤ 1)"),
        ((2.0, 2.0), "2  (≤ 1)"),
        ((1234.0, 1244.0), "1,239.0 ± 7.1  (≤ 1)"),
        ((-0.5, -0.7), "−0.60 ± 0.14  (≤ 1)"),
        ((), "—  (≤ 1)"),
    ],
)
def test_a_value_has_as_many_decimals_as_its_spread_is_worth(values, said):
    assert figure_make.measured(Claim("p", "s", values, "<=", 1)) == said


@pytest.mark.parametrize("name", figure_names())
@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_every_figures_jobs_are_valid(name, scale):
    jobs, configs = figure_jobs(figure_spec(name), scale, (), "outputs")
    assert len(jobs) == len(configs) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", figure_names())
def test_every_figure_is_made_at_the_smoke_scale(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert figure_cli.main(["make", name, "scale=smoke", "progress=false", "device=cpu"]) == 0
    said = capsys.readouterr().out
    claims = json.loads(Path(f"outputs/figures/{name}/claims.json").read_text())
    assert said.count(" holds ") + said.count("does not hold") + said.count("not measured") == len(claims)
    picture = Path(f"outputs/figures/{name}/{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
