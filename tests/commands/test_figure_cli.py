import pytest

from atml_exp.commands import figure_cli


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
