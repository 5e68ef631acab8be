"""The table that a command prints."""

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from atml_exp.summary import print_summary


@dataclass
class Result:
    directory: Path
    reused: bool = False


@pytest.fixture
def finished(tmp_path):
    def make(metrics, **info):
        directory = tmp_path / "0123456789abcdef"
        directory.mkdir()
        rows = [(step, step / 10, name, value) for name, values in metrics.items() for step, value in values]
        frame = pd.DataFrame(rows, columns=["step", "epoch", "name", "value"])
        frame.to_parquet(directory / "metrics.parquet")
        (directory / "run.json").write_text(json.dumps({"status": "complete", **info}))
        return directory

    return make


def printed(*results, width=100):
    console = Console(file=StringIO(), width=width)
    print_summary(results, console)
    return console.file.getvalue()


def rows(text):
    cells = [[c.strip() for c in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]
    return [tuple(row) for row in cells]


METRICS = {
    "sharpness/top": [(0, 1.0), (10, 39.51234)],
    "pruning/accuracy/1.0": [(20, 0.98)],
    "pruning/accuracy/0.5": [(20, 0.9)],
    "pruning/accuracy/0.02": [(20, 0.25)],
    "test/error": [(0, 0.9), (20, 0.0278)],
    "train/error": [(20, 0.0)],
    "train/loss": [(0, 2.3), (20, 0.00057812)],
    "test/loss": [(20, float("nan"))],
    "bare": [(0, 1.0)],
}


def test_the_last_value_of_each_metric_with_its_step_losses_and_errors_first(finished):
    assert rows(printed(Result(finished(METRICS)))) == [
        ("train/loss", "0.000578", "20"),
        ("test/loss", "nan", "20"),
        ("train/error", "0.00 %", "20"),
        ("test/error", "2.78 %", "20"),
        ("sharpness/top", "39.5", "10"),
        ("pruning/accuracy at 1.0 … 0.02", "0.98  0.9  0.25", "20"),
        ("bare", "1", "0"),
    ]


@pytest.mark.parametrize(
    ("info", "reused", "heading"),
    [
        ({}, False, "run 0123456789abcdef: complete"),
        ({}, True, "run 0123456789abcdef: complete (was there already)"),
        ({"status": "diverged", "diverged_at": 7}, False, "run 0123456789abcdef: diverged at step 7"),
    ],
)
def test_the_heading_is_one_line_however_narrow_the_table(finished, info, reused, heading):
    text = printed(Result(finished({"train/loss": [(0, 1.0)]}, **info), reused))
    assert text.splitlines()[0] == heading


def test_it_says_where_the_report_is_on_one_line(finished):
    directory = finished({"train/loss": [(0, 1.0)]})
    assert printed(Result(directory)).splitlines()[-1] == "report: none"
    (directory / "report.html").touch()
    assert printed(Result(directory), width=20).splitlines()[-1] == f"report: {directory / 'report.html'}"


def test_a_probe_that_failed_is_named_with_its_reason(finished):
    failures = {"p[x]": "step 3: ValueError: [red] points"}
    text = printed(Result(finished({"train/loss": [(0, 1.0)]}, probe_failures=failures)))
    assert "probe p[x] failed: step 3: ValueError: [red] points\n" in text


def test_a_run_that_was_made_under_other_conditions_says_so(finished):
    directory = finished({"train/loss": [(0, 1.0)]}, machine={"threads": 77}, versions={"torch": "1.0"})
    here = f"torch 1.0 (now {torch.__version__}), threads 77 (now {torch.get_num_threads()})"
    assert f"made with {here}: here the last digits may differ" in printed(
        Result(directory, reused=True), width=150
    )
    assert "made with" not in printed(Result(directory))


def test_every_run_has_its_table(finished):
    directory = finished({"train/loss": [(0, 1.0)]})
    assert printed(Result(directory), Result(directory, reused=True)).count("run 0123456789abcdef") == 2


def test_nothing_is_cut_off_on_a_narrow_terminal(finished):
    assert "pruning/accuracy at 1.0 … 0.02" in printed(Result(finished(METRICS)), width=60)


def test_a_loss_that_ends_as_nan_is_shown_as_nan(finished):
    text = printed(
        Result(finished({"train/loss": [(0, 0.629), (20, float("nan"))]}, status="diverged", diverged_at=20))
    )
    assert ("train/loss", "nan", "20") in rows(text)
