from pathlib import Path

import pytest

from atml_exp.compose import compose_each
from atml_exp.errors import ConfigError
from atml_exp.figure_spec import FigureSpec, Paper, figure_names, figure_spec
from atml_exp.validate import validate

TEXT = {
    "title": "T",
    "topic": "ML basics",
    "text": "Text.",
    "papers": [],
    "module": "atml_exp.figures.random_labels",
}


def spec(**more) -> FigureSpec:
    given = {"sweeps": {"a": ["model=mlp", "seed=0,1"], "b": ["model=cnn"]}, "scales": {"laptop": {}}} | more
    return FigureSpec(**TEXT, **given)


def test_a_sweep_is_the_product_of_its_axes():
    assert spec(base=["dtype=float64"]).jobs("laptop") == [
        ("a", ["dtype=float64", "model=mlp", "seed=0"]),
        ("a", ["dtype=float64", "model=mlp", "seed=1"]),
        ("b", ["dtype=float64", "model=cnn"]),
    ]


def test_the_scale_and_then_the_command_line_come_last():
    scaled = spec(scales={"smoke": {"base": ["seed=7"], "b": ["model=linear"]}})
    assert scaled.jobs("smoke") == [("a", ["model=mlp", "seed=7"]), ("b", ["seed=7", "model=linear"])]
    assert scaled.jobs("smoke", ["seed=1,2"]) == [
        ("a", ["model=mlp", "seed=1"]),
        ("a", ["model=mlp", "seed=2"]),
        ("b", ["model=linear", "seed=1"]),
        ("b", ["model=linear", "seed=2"]),
    ]


def test_a_scale_can_leave_a_sweep_out():
    assert {name for name, _ in spec(scales={"smoke": {"a": None}}).jobs("smoke")} == {"b"}


def test_axes_can_go_together():
    zipped = spec(
        sweeps={"a": ["seed=0,1", ["model.width=1", "model.depth=2"], ["model.width=3", "model.depth=4"]]}
    )
    assert [job for _, job in zipped.jobs("laptop")] == [
        ["seed=0", "model.width=1", "model.depth=2"],
        ["seed=1", "model.width=1", "model.depth=2"],
        ["seed=0", "model.width=3", "model.depth=4"],
        ["seed=1", "model.width=3", "model.depth=4"],
    ]


def test_another_choice_on_the_command_line_drops_the_options_that_it_lacks():
    figure = spec(sweeps={"a": ["model=mlp", "model.width=4,8", "model.initialisation=he", "seed=0"]})
    assert figure.jobs("laptop", ["model=linear"]) == [("a", ["model.initialisation=he", "seed=0", "model=linear"])]
    assert len(figure.jobs("laptop", ["model=cnn"])) == 2
    assert figure.jobs("laptop", ["model=linear", "model.width=3"])[0][1][-1] == "model.width=3"  # to be refused


def test_an_unknown_scale_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"scale = labtop: allowed: laptop; did you mean"):
        spec().jobs("labtop")


def test_an_unknown_figure_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"figure edge_of_stabilty: there is none; .*did you mean edge_of_stability"
    ):
        figure_spec("edge_of_stabilty")


BROKEN = [
    ("titel: x", "no key 'titel'; allowed: title"),
    ("title: 3", "title"),
    ("sweeps: [a]", "sweeps"),
    ("scales: {medium: {}}", "scales"),
    ("scales: {smoke: {c: [seed=0]}}", r"scales.smoke.c: no such sweep; allowed: base, a"),
    ("module: os.path", "figure mine: module = os.path: not in a trusted package; allowed: atml_exp"),
    ("module: atml_epx.figures.mine", "not in a trusted package; allowed: .*; did you mean atml_exp"),
    ("title: ''", "title: .*; allowed: the heading of the picture"),
    (
        "title: null",
        "figure mine: the key title has no value: the heading of the picture; to be given: title, topic",
    ),
    ("module: ", "figure mine: the key module has no value: the dotted path of the code"),
    ("papers: {citation: A}", "papers: Input should be a valid list"),
    ("papers: [{doi: 10.1000/x}]", "papers.0.citation: Field required"),
    ("papers: [{citation: A, doi: 10.1000}]", "papers.0.doi: Input should be a valid string"),
    (
        "papers: [{citation: A, dio: 10.1000/x}]",
        "papers.0: no key 'dio'; allowed: citation, doi, url; did you mean",
    ),
    (
        "papers: [{citation: A, doi: 10.1000/x}, {citation: B}]",
        "papers.1: B: neither doi nor url; allowed: doi, or",
    ),
    ("papers: [{citation: A, doi: null}]", "papers.0: A: neither doi nor url"),
    (
        "papers: [{citation: A, doi: 10.1000/x, url: 'https://x.org'}]",
        "papers.0: A: both doi and url; allowed",
    ),
    (
        "papers: [{citation: A, doi: 'https://doi.org/10.1000/x'}]",
        "papers.0.doi = https://doi.org/10.1000/x: all",
    ),
    (
        "papers: [{citation: A, url: 'javascript:alert(1)'}]",
        r"papers.0.url = javascript:alert\(1\): allowed",
    ),
    ("papers: [{citation: A, url: jmlr.org/papers}]", "papers.0.url = jmlr.org/papers: allowed: such as https://"),
]


def written(folder: Path, **changes: str) -> FigureSpec:
    """The figure `mine`, whose YAML says TEXT but for some keys."""
    lines = {key: str(value) for key, value in TEXT.items()} | {"sweeps": "{a: [seed=0]}", "scales": "{}"} | changes
    (folder / "figure").mkdir()
    (folder / "figure" / "mine.yaml").write_text("\n".join(f"{key}: {text}" for key, text in lines.items()))
    return figure_spec("mine", [str(folder)])


def test_a_paper_has_a_doi_or_an_address(tmp_path: Path):
    mine = written(
        tmp_path, papers="[{citation: A, doi: 10.1000/x}, {citation: B, url: 'https://jmlr.org/b?c=(d)'}]"
    )
    assert mine.papers == [Paper("A", doi="10.1000/x"), Paper("B", url="https://jmlr.org/b?c=(d)")]


@pytest.mark.parametrize(("line", "message"), BROKEN)
def test_what_is_wrong_with_a_yaml_is_said(line, message, tmp_path: Path):
    key, _, text = line.partition(": ")
    with pytest.raises(ConfigError, match=message):
        written(tmp_path, **{key: text})


@pytest.mark.parametrize("key", [*TEXT, "sweeps", "scales"])
def test_a_key_that_is_missing_is_named_with_what_it_says(key, tmp_path: Path):
    (tmp_path / "figure").mkdir()
    lines = [f"{other}: {text or '[]'}" for other, text in TEXT.items()] + ["sweeps: {a: [seed=0]}", "scales: {}"]
    kept = [line for line in lines if not line.startswith(f"{key}:")]
    (tmp_path / "figure" / "mine.yaml").write_text("\n".join(kept))
    message = (
        f"figure mine: the key {key} is missing: .+; to be given: title, topic, text, papers, module, sweeps, sc"
    )
    with pytest.raises(ConfigError, match=message):
        figure_spec("mine", [str(tmp_path)])


def test_advice_that_a_figure_cannot_follow_is_not_given(tmp_path: Path):
    with pytest.raises(ConfigError) as refused:
        written(tmp_path, module="their_package.figure")
    assert "trusted_packages" not in str(refused.value)


def test_a_scale_at_which_nothing_would_run_is_refused():
    with pytest.raises(ConfigError, match=r"scale = laptop: it runs none of the figure's sweeps"):
        spec(scales={"laptop": {"a": None, "b": None}}).jobs("laptop")
    with pytest.raises(ConfigError, match=r"scale = laptop: allowed: none, since the figure's scales are empty"):
        spec(scales={}).jobs("laptop")


@pytest.mark.parametrize("name", figure_names())
def test_every_figure_has_three_scales_and_says_what_it_shows(name):
    found = figure_spec(name)
    assert list(found.scales) == ["smoke", "laptop", "full"]
    assert 2 <= found.text.count(". ") + 1 <= 5
    assert found.papers
    for scale in found.scales:
        assert found.jobs(scale)


@pytest.mark.parametrize("name", figure_names())
def test_what_each_scale_would_run_is_valid(name):
    """The first and the last job of each sweep: a scale that nobody has run yet is no misspelt one."""
    spec = figure_spec(name)
    for scale in spec.scales:
        of_sweep: dict[str, list[list[str]]] = {}
        for sweep, job in spec.jobs(scale):
            of_sweep.setdefault(sweep, []).append(job)
        for config in compose_each([job for jobs in of_sweep.values() for job in (jobs[0], jobs[-1])]):
            validate(config)
