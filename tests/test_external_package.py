"""A user's own package, outside atml_exp: its configs, dataset, probe and picture work without a fork."""

import sys
from textwrap import dedent

import pytest

from atml_exp.commands import figure_cli
from atml_exp.commands.catalogue import catalogue
from atml_exp.runs import Run
from atml_exp.schema import locate, schema_of
from atml_exp.search_path import installed_packages

FILES = {
    "course/__init__.py": "",
    "course/code.py": """
        import math
        import torch
        from matplotlib.figure import Figure
        from atml_exp.data import Dataset, Split, suits
        from atml_exp.fields import NonNegative, PositiveInt

        drawn = []

        def spirals(*, num_train: PositiveInt = 100, noise: NonNegative = 0.1, seed: int = 0) -> Dataset:
            generator = torch.Generator().manual_seed(seed)

            def split(n):
                y = torch.arange(n) % 2
                t = 3 * math.pi * torch.rand(n, generator=generator) + math.pi * y
                x = torch.stack([t * t.cos(), t * t.sin()], dim=1) / 10
                return Split(x + noise * torch.randn(n, 2, generator=generator), y)

            return Dataset("spirals", split(num_train), split(50), num_classes=2)

        @suits("binary")
        def norm(model, data, *, order: PositiveInt = 2):
            w = torch.cat([p.flatten() for p in model.parameters()])
            return {"weights": w.norm(order), "examples": float(len(data))}

        def draw(run, name):
            drawn.append((name, len(run.series("norm/weights")[0])))
            return Figure()
        """,
    "course/configs/__init__.py": "",  # for pkg://, Hydra asks for it
    "course/configs/dataset/spirals.yaml": """
        _target_: course.code.spirals
        num_train: 60
        noise: 0.1
        seed: 0
        """,
    "course/configs/probe/norm.yaml": """
        norm:
          _target_: atml_exp.probe.Probe
          fn:
            _target_: course.code.norm
            _partial_: true
            order: 2
          every: 2it
          picture: course.code.draw
        """,
    "course/configs/experiment/homework.yaml": """
        # @package _global_
        defaults:
          - override /dataset: spirals
          - override /probe: [norm]
        model:
          width: 4
        recipe:
          steps: 4
          batch_size: 20
        """,
    "course/configs/figure/norms.yaml": """
        title: Norms
        topic: Homework
        text: They grow.
        papers: []
        module: course.norms
        base: [experiment=homework, "seed=0,1", dtype=float64]
        sweeps: {both: []}
        scales: {smoke: {}, laptop: {}}
        """,
    "course/norms.py": """
        from atml_exp.figures.claim import Claim, by_seed
        from atml_exp.figures.panels import band, last_values, rows
        from atml_exp.figures.style import new_slide, slide

        @slide()
        def draw(table):
            figure = new_slide()
            axes = figure.subplots()
            band(axes, rows(table, "norm/weights"), "step", "black")
            axes.set_xlabel("step")
            axes.set_ylabel("norm")
            return figure

        def claims(table):
            last = last_values(rows(table, "norm/weights"))
            return [Claim("we", "a norm is positive", by_seed(last, lambda t: t["value"].min()), ">=", 0)]
        """,
    "course-1.0.dist-info/METADATA": """
        Metadata-Version: 2.1
        Name: course
        Version: 1.0
        """,
    "course-1.0.dist-info/entry_points.txt": """
        [atml_exp.configs]
        course = course
        """,
}


@pytest.fixture
def course(tmp_path, hydra_state):
    """The package in the working directory, as its author has it; forgotten again at the end."""
    for name, text in FILES.items():
        if ".dist-info" not in name:
            write(tmp_path, name, text)
    yield
    forget()


@pytest.fixture
def installed_course(tmp_path, course, monkeypatch):
    """The same, installed: on sys.path, with its entry point."""
    for name, text in FILES.items():
        write(tmp_path / "site", name, text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    installed_packages.cache_clear()
    yield
    installed_packages.cache_clear()


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(dedent(text).strip())


def forget():
    for name in [n for n in sys.modules if n.split(".")[0] == "course"]:
        del sys.modules[name]
    locate.cache_clear()
    schema_of.cache_clear()


SMALL = ("device=cpu", "progress=false")


def the_run(tmp_path):
    (directory,) = (tmp_path / "outputs" / "runs").iterdir()
    return Run(directory)


def check(run):
    assert run.info["probe_failures"] == {}
    steps, values = run.series("norm/weights")
    assert (run.status, steps.tolist(), bool((values > 0).all())) == ("complete", [0, 2, 4], True)
    assert set(run.series("norm/examples")[1]) == {60}
    assert sys.modules["course.code"].drawn[0] == ("norm", 3)
    assert (run.directory / "report.html").exists()


@pytest.mark.parametrize(
    "where",
    [
        ("--config-dir=course/configs", "trusted_packages=[course]"),
        ("hydra.searchpath=[file://course/configs]", "trusted_packages=[course]"),
        ("hydra.searchpath=[pkg://course.configs]", "trusted_packages=[course]"),
    ],
)
def test_a_package_in_the_working_directory(command, course, tmp_path, where):
    ended = command(*where, *SMALL, "experiment=homework")
    assert (ended.code, ended.err) == (0, "")
    check(the_run(tmp_path))


def test_an_installed_package_needs_no_flag_and_is_trusted(command, installed_course, tmp_path):
    ended = command(*SMALL, "experiment=homework", "dataset.num_train=60")
    assert (ended.code, ended.err) == (0, "")
    check(the_run(tmp_path))


def test_its_values_and_fits_are_validated_like_ours(command, installed_course):
    assert (
        "dataset.noise = -1: allowed: a number at least 0" in command("dataset=spirals", "dataset.noise=-1").message
    )
    message = command("dataset=digits", "probe=[norm]").message
    assert "probe = norm: is for binary, but dataset = digits is a classification task with 10 classes" in message
    assert "did you mean spirals?" in command("dataset=spiral").message


def test_its_figures_are_found_made_and_shown_like_ours(installed_course, capsys, tmp_path):
    assert figure_cli.main(["make", "norms", "scale=smoke", *SMALL]) == 0
    assert "norms: 2 runs, 0 of them there already\n         holds" in capsys.readouterr().out
    assert figure_cli.main(["list", "norms"]) == 0
    assert "Norms (Homework)" in capsys.readouterr().out
    assert "norms" in [entry.name for entry in catalogue("figure")]
    assert figure_cli.main(["gallery"]) == 0
    assert "They grow." in "".join(p.read_text() for p in (tmp_path / "outputs" / "gallery").rglob("*.html"))
    assert figure_cli.main(["make", "norm"]) == 2
    assert "figure norm: there is none" in (said := capsys.readouterr().err)
    assert "did you mean norms?" in said


def test_without_trust_its_code_is_not_run(command, course, tmp_path):
    message = command("--config-dir=course/configs", "experiment=homework").message
    assert "dataset._target_ = course.code.spirals: not in a trusted package" in message
    assert "trusted_packages=[course]" in message
    assert "course.code" not in sys.modules


def test_its_probe_measures_a_saved_run(command, probe_command, course, tmp_path):
    found = ("--config-dir=course/configs", "trusted_packages=[course]")
    assert command(*found, *SMALL, "experiment=homework").code == 0
    forget()
    sys.path.remove(str(tmp_path))
    run = the_run(tmp_path)
    refused = probe_command(run.directory).message  # nobody has said here that its code is to be run
    assert "probe.course_norm" in refused or "course.code.spirals: not in a trusted package" in refused
    ended = probe_command(run.directory, "trusted_packages=[course]", "--csv", "norm.csv")
    assert ended.code == 0
    assert f"norm/weights {run.final['norm/weights']:.8g}" in " ".join(ended.out.split())
