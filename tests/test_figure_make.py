"""A figure trains what it lacks and no more, and leaves picture, data and claims."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from atml_exp import figure_make
from atml_exp.commands import figure_cli
from atml_exp.figure_make import Made, Outcome, figure_jobs, make, num_missing
from atml_exp.figure_spec import FigureSpec, Paper, figure_names, figure_spec
from atml_exp.figures.claim import Claim

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
    from atml_exp.errors import ConfigError

    with pytest.raises(ConfigError, match=r"sweep a: .*model.width"):
        make("loss", spec, overrides=["model.width=-1"])
    assert not Path("outputs").exists()


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
