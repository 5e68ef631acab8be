"""A run that is reused without the checkpoints that a config asks for is said to be, and no other."""

import pytest

from atml_exp.compose import compose
from atml_exp.runner import groups_to_train, run
from atml_exp.runs import Run
from atml_exp.store.kept import lacking
from atml_exp.validate import validate

TINY = [
    "dataset=gaussian_mixture",
    "model=linear",
    "recipe.steps=20",
    "recipe.batch_size=16",
    "recipe.evaluate_every=10it",
    "probe=[]",
    "progress=false",
    "device=cpu",
]


def config(tmp_path, keep, *overrides):
    composed = compose([*TINY, f"output_dir={tmp_path.as_posix()}", f"checkpoint.keep={keep}", *overrides])
    validate(composed)
    return composed


def trained(tmp_path, keep, *overrides):
    (result,) = run([config(tmp_path, keep, *overrides)], reports=False)
    return result


def warned(caplog):
    return [r.getMessage() for r in caplog.records if "checkpoint.keep" in r.getMessage()]


@pytest.mark.parametrize(
    ("had", "asked", "missing"),
    [
        ("end", "10it", {0, 10}),
        ("end", "log", {0, 1, 2, 4, 8, 16}),
        ("never", "end", {20}),
        ("10it", "end", set()),
        ("10it", "20it", set()),
        ("10it", "5it", {5, 15}),
        ("10it", "never", set()),
        ("10it", "10it", set()),
    ],
)
def test_a_warning_where_checkpoints_are_lacking_and_none_where_they_are_not(tmp_path, caplog, had, asked, missing):
    first = trained(tmp_path, had)
    assert lacking(Run(first.directory), asked) == missing
    again = trained(tmp_path, asked)
    assert again.reused
    assert len(warned(caplog)) == bool(missing)


def test_the_line_says_what_there_is_and_what_to_do(tmp_path, caplog):
    first = trained(tmp_path, "end")
    trained(tmp_path, "10it")
    assert warned(caplog) == [
        f"run {first.id} is there already, and lacks checkpoints that checkpoint.keep=10it asks for: reused with "
        "those that there are (of steps: 20); force=true trains anew"
    ]
    forced = trained(tmp_path, "10it", "force=true")
    assert not forced.reused
    assert lacking(Run(forced.directory), "10it") == set()
    assert len(warned(caplog)) == 1


def test_one_line_for_a_sweep_here_or_sent_out(tmp_path, caplog):
    configs = [config(tmp_path, "never", f"seed={s}") for s in range(3)]
    run(configs, reports=False)
    asked = [config(tmp_path, "end", f"seed={s}") for s in range(3)]
    run(asked, reports=False)
    (line,) = warned(caplog)
    assert "asks for, and so do 2 more: reused with those that there are (of steps: none)" in line
    assert groups_to_train(asked) == []
    assert warned(caplog) == [line, line]


def test_of_a_run_that_diverged_what_it_could_not_keep_is_not_missed(tmp_path, caplog):
    overrides = ("loss=mse", "optimiser=sgd", "optimiser.learning_rate=1e9")
    first = trained(tmp_path, "10it", *overrides)
    assert first.status == "diverged"
    at = Run(first.directory).info["diverged_at"]
    trained(tmp_path, "end", *overrides)
    assert warned(caplog) == []
    assert lacking(Run(first.directory), "1it") == set(range(at)) - {0, 10}
