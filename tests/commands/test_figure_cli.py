import sys

import pytest

from atml_exp.commands import figure_cli
from atml_exp.figure_spec import FigureSpec


@pytest.fixture
def figures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        capsys.readouterr()
        code = figure_cli.main(list(words))
        return code, *capsys.readouterr()

    return run


def line_of(out, name):
    (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
    return " ".join(line.split())


def test_list_says_what_each_is_and_how_many_runs_it_takes(figures):
    code, out, _ = figures("list")
    assert code == 0
    line = line_of(out, "edge_of_stability")
    assert line == "edge_of_stability The edge of stability (Why SGD works) 13"


def test_list_of_named_ones_counts_the_runs_that_are_there(figures):
    code, out, _ = figures("list", "edge_of_stability")
    assert code == 0
    assert line_of(out, "edge_of_stability").endswith("0 of 13 there")
    assert figures("list", "egde_of_stability")[0] == 2


def test_list_says_which_claims_held_of_what_was_made(figures):
    assert figures("make", "impossibility_region", "scale=smoke")[0] == 0
    assert line_of(figures("list")[1], "impossibility_region").endswith("hold (smoke)")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["make", "egde_of_stability"], "did you mean edge_of_stability?"),
        (["make", "scale=smoke"], "no figure is named"),
        (["make", "random_labels", "scale=tiny"], "scale = tiny: allowed: smoke, laptop, full"),
        (["make", "random_labels", "model.widht=3"], "did you mean width?"),
        (["make", "random_labels", "optimiser.learning_rate=-1"], "optimiser.learning_rate"),
        (["make", "random_labels", "dataset=nonsense"], "dataset = nonsense"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_message_before_anything_is_written(figures, tmp_path, words, message):
    code, out, err = figures(*words)
    assert (code, out) == (2, "")
    assert err.startswith("atml-figures: ")
    assert message in err
    assert not list(tmp_path.iterdir())


MODULE = """
from matplotlib.figure import Figure
from atml_exp.figures.claim import Claim

def draw(table):
    return Figure()

def claims(table):
    return [Claim("we", "it falls", (1.0,), "<=", 2.0)]
"""


@pytest.fixture
def mine(figures, tmp_path, monkeypatch):
    """`mine(first=…, second=…)`: figures of these names are there, each with a module of this text."""
    texts = {}

    def spec(name):
        return FigureSpec(
            title="Mine",
            topic="ML basics",
            text="Text.",
            papers=[],
            module=f"drawing_of_{name}",
            base=["dataset=two_moons", "model.width=4", "probe=[]", "progress=false", "device=cpu"],
            sweeps={"a": ["recipe.steps=3"]},
            scales={"smoke": {}},
        )

    def write(**modules):
        texts.update(modules)
        for name, text in modules.items():
            (tmp_path / f"drawing_of_{name}.py").write_text(text)

    monkeypatch.setattr("atml_exp.figure_spec.figure_spec", spec)
    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in texts:
        sys.modules.pop(f"drawing_of_{name}", None)


def test_every_module_is_looked_for_before_the_first_figure_is_made(figures, mine, tmp_path):
    mine(first=MODULE, second=MODULE.replace("claims", "claim"))
    code, out, err = figures("make", "first", "second", "scale=smoke")
    assert (code, out) == (2, "")
    assert err.startswith(
        "atml-figures: figure second: module = drawing_of_second: drawing_of_second has no function"
    )
    assert err.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


def test_a_figure_whose_own_code_fails_is_one_message_and_the_next_is_made(figures, mine, tmp_path, monkeypatch):
    mine(first=MODULE.replace("Figure()", "table['nothing']"), second=MODULE)
    code, out, err = figures("make", "first", "second", "scale=smoke")
    assert code == 1
    file = tmp_path / "drawing_of_first.py"
    said = [line for line in err.splitlines() if line.startswith("atml-figures: ")]
    assert said == [
        f"atml-figures: figure first: drawing_of_first.draw failed: KeyError: 'nothing', line 6 of {file} "
        "(HYDRA_FULL_ERROR=1 shows the traceback); "
        "what was trained for it is there, and isn't trained again"
    ]
    assert "Traceback" not in err
    assert "second: 1 runs, 1 of them there already" in out
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    code, _, err = figures("make", "first", "scale=smoke")
    assert code == 1
    assert (
        err.index("Traceback") < err.index("    return table['nothing']") < err.index("atml-figures: figure first")
    )


def test_the_gallery_says_where_it_is(figures, tmp_path):
    code, out, _ = figures("gallery")
    assert code == 0
    assert out.strip() == str(tmp_path / "outputs" / "gallery" / "index.html")
    assert (tmp_path / "outputs" / "gallery" / "index.html").exists()


def test_words_are_sorted_out():
    words = ["a", "scale=smoke", "seed=0,1", "b", "output_dir=x", "+probe=sharpness", "~model.width"]
    names, options, overrides = figure_cli._sorted_out(words)
    assert names == ["a", "b"]
    assert options == {"scale": "smoke", "output_dir": "x"}
    assert overrides == ["seed=0,1", "+probe=sharpness", "~model.width"]
