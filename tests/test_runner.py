"""From a config to a run directory: nothing is lost, nothing runs twice, and a probe always says the same."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import atml_exp
from atml_exp import runner
from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.probe_run import probe_run
from atml_exp.recorder import Checkpoint
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.store.identity import run_id
from atml_exp.validate import validate

TINY = [
    "dataset=gaussian_mixture",
    "model.width=8",
    "recipe.steps=40",
    "recipe.batch_size=16",
    "recipe.evaluate_every=10it",
    "probe=[]",
    "progress=false",
    "device=cpu",
]


def config(tmp_path, *overrides):
    composed = compose([*TINY, f"output_dir={tmp_path.as_posix()}", *overrides])
    validate(composed)
    return composed


def run_one(tmp_path, *overrides):
    (result,) = run([config(tmp_path, *overrides)])
    return result


def test_a_run_leaves_everything_that_a_reader_needs(tmp_path):
    result = run_one(tmp_path)
    done = Run(result.directory)
    assert done.status == result.status == "complete"
    assert result.directory == tmp_path / "runs" / result.id
    assert {"train/loss", "train/error", "test/loss", "test/error", "optimiser/learning_rate"} == set(
        done.metrics.name
    )
    assert done.series("train/loss")[0].tolist() == [0, 10, 20, 30, 40]
    assert set(done.info["system"]) == {"domain", "hypothesis_class", "loss", "algorithm", "sample"}
    assert done.info["versions"]["torch"] == torch.__version__
    assert (result.directory / "report.html").exists()
    assert Checkpoint(done.checkpoints[-1]).step == 40
    (tmp_path / "own").touch()
    written = [p for p in result.directory.rglob("*") if p.is_file()]
    assert {p.stat().st_mode for p in written} == {(tmp_path / "own").stat().st_mode}


def test_a_finished_run_is_returned_and_not_trained_again(tmp_path):
    first = run_one(tmp_path)
    stamp = (first.directory / "metrics.parquet").stat().st_mtime_ns
    again = run_one(tmp_path)
    assert (first.reused, again.reused) == (False, True)
    assert again.final == first.final
    assert (first.directory / "metrics.parquet").stat().st_mtime_ns == stamp


def test_force_makes_a_new_attempt_and_leaves_the_old_one(tmp_path):
    first = run_one(tmp_path)
    forced = run_one(tmp_path, "force=true")
    assert forced.directory != first.directory
    pd.testing.assert_frame_equal(Run(first.directory).metrics, Run(forced.directory).metrics)


def test_no_checkpoint_is_left_where_none_is_to_be_kept(tmp_path):
    result = run_one(tmp_path, "checkpoint.keep=never", "checkpoint.interval=0")
    assert result.status == "complete"
    assert list((result.directory / "checkpoints").glob("*")) == []
    with pytest.raises(ConfigError, match=r"holds no checkpoint; .* checkpoint\.keep=never"):
        Run(result.directory).with_checkpoints()
    assert run_one(tmp_path, "checkpoint.keep=never").reused


def test_of_a_run_that_diverged_at_once_it_is_said_why_there_is_no_checkpoint(tmp_path):
    result = run_one(tmp_path, "optimiser=sgd", "optimiser.learning_rate=1e30", "loss=mse", "checkpoint.keep=end")
    assert result.status == "diverged"
    with pytest.raises(
        ConfigError, match=r"the run diverged at step \d+, before .*checkpoint\.keep=1it force=true"
    ):
        Run(result.directory).with_checkpoints()


def test_what_cannot_change_a_result_makes_no_new_run(tmp_path):
    first = run_one(tmp_path)
    assert run_one(tmp_path, "checkpoint.interval=3", "checkpoint.keep=10it").reused
    assert not run_one(tmp_path, "seed=1").reused
    assert first.id == config_id(tmp_path, "device=auto")


def config_id(tmp_path, *overrides):
    from atml_exp.store.identity import run_id

    return run_id(config(tmp_path, *overrides))


def test_a_run_that_diverges_ends_as_diverged_with_its_metrics(tmp_path):
    result = run_one(tmp_path, "loss=mse", "optimiser=sgd", "optimiser.learning_rate=1e6", "probe=[sharpness]")
    done = Run(result.directory)
    assert done.status == "diverged"
    assert 0 < done.info["diverged_at"] <= 40
    assert np.isfinite(done.series("train/loss")[1][0])
    assert run_one(tmp_path, "loss=mse", "optimiser=sgd", "optimiser.learning_rate=1e6", "probe=[sharpness]").reused


@pytest.mark.parametrize("optimiser", ["momentum", "adam", "sam"])
def test_jobs_that_stack_equal_the_same_jobs_alone(tmp_path, optimiser):
    choices = [
        ("seed=0", "optimiser.learning_rate=0.01"),
        ("seed=1", "optimiser.learning_rate=0.02", "+dataset/wrapper=label_noise"),
        (
            "seed=2",
            "optimiser.learning_rate=0.01",
            "+dataset/wrapper=label_noise",
            "dataset.wrapper.label_noise.fraction=0.4",
        ),
    ]
    common = [f"optimiser={optimiser}", "dtype=float64", "probe=[sharpness,neural_collapse]"]
    together = run([config(tmp_path / "together", *common, *c) for c in choices])
    for result, choice in zip(together, choices, strict=True):
        alone = run_one(tmp_path / "alone", *common, *choice)
        a, b = Run(alone.directory).metrics, Run(result.directory).metrics
        assert a["name"].tolist() == b["name"].tolist()
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "optimiser",
    [
        ("optimiser=sgd",),
        ("optimiser=momentum", "+optimiser/schedule=cosine"),
        ("optimiser=adam",),
        ("optimiser=sam",),
    ],
    ids=lambda o: o[0],
)
def test_batches_of_different_sizes_train_together_as_alone(tmp_path, monkeypatch, optimiser):
    sizes = []
    whole = runner.train_group
    monkeypatch.setattr(runner, "train_group", lambda m, *rest: sizes.append(len(m)) or whole(m, *rest))
    choices = [(f"recipe.batch_size={b}", f"seed={s}") for b, s in ((16, 0), (5, 1), (16, 2), (64, 0))]
    common = [*optimiser, "dtype=float64", "probe=[sharpness,trajectory]", "probe.sharpness.every=20it"]
    together = run([config(tmp_path / "together", *common, *c) for c in choices])
    assert sizes == [4]
    for result, choice in zip(together, choices, strict=True):
        alone = Run(run_one(tmp_path / "alone", *common, *choice).directory)
        found = Run(result.directory)
        assert found.info["steps_per_epoch"] == alone.info["steps_per_epoch"]
        for column in ("name", "step", "epoch"):
            assert found.metrics[column].tolist() == alone.metrics[column].tolist()
        np.testing.assert_allclose(found.metrics["value"], alone.metrics["value"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found.array("trajectory/weights")[1], alone.array("trajectory/weights")[1], rtol=1e-9
        )


WIDTHS = (("model.width=3", "seed=0"), ("model.width=8", "seed=0"), ("model.width=3", "seed=1"))


@pytest.mark.parametrize("optimiser", ["momentum", "adam", "sam"])
def test_models_of_different_width_train_together_as_alone(tmp_path, monkeypatch, optimiser):
    sizes = []
    whole = runner.train_group
    monkeypatch.setattr(runner, "train_group", lambda m, *rest: sizes.append(len(m)) or whole(m, *rest))
    common = [f"optimiser={optimiser}", "dtype=float64", "probe=[sharpness,norms,trajectory]"]
    common += ["probe.sharpness.every=20it"]
    together = run([config(tmp_path / "together", *common, *c) for c in WIDTHS])
    assert sizes == [3]
    for result, choice in zip(together, WIDTHS, strict=True):
        alone, found = Run(run_one(tmp_path / "alone", *common, *choice).directory), Run(result.directory)
        assert found.metrics["name"].tolist() == alone.metrics["name"].tolist()
        np.testing.assert_allclose(found.metrics["value"], alone.metrics["value"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            found.array("trajectory/weights")[1], alone.array("trajectory/weights")[1], rtol=1e-9
        )
        mine, theirs = (Checkpoint(r.checkpoints[-1]).model for r in (found, alone))
        assert {n: t.shape for n, t in mine.items()} == {n: t.shape for n, t in theirs.items()}
        assert found.info["system"] == alone.info["system"]


def test_models_of_different_width_go_on_together_from_where_each_was_cut_off(tmp_path):
    for choice in WIDTHS:
        cut_off(tmp_path / "cut", 13, *choice, "dtype=float64")
    cut, new = (run([config(tmp_path / k, *choice, "dtype=float64") for choice in WIDTHS]) for k in ("cut", "new"))
    for a, b in zip(cut, new, strict=True):
        assert a.final == pytest.approx(b.final, rel=1e-9)


def test_one_width_diverges_and_the_other_is_complete(tmp_path):
    common = ("loss=mse", "optimiser=sgd", "dtype=float64")
    choices = [("model.width=3", "optimiser.learning_rate=1e6"), ("model.width=8", "optimiser.learning_rate=0.01")]
    bad, good = run([config(tmp_path, *common, *c) for c in choices])
    assert (bad.status, good.status) == ("diverged", "complete")
    alone = run_one(tmp_path / "alone", *common, *choices[1])
    assert good.final == pytest.approx(alone.final, rel=1e-9)


def test_one_replica_diverges_and_the_other_is_complete(tmp_path):
    common = ("loss=mse", "optimiser=sgd", "dtype=float64")
    bad, good = run([config(tmp_path, *common, f"optimiser.learning_rate={lr}") for lr in (1e6, 0.01)])
    assert (bad.status, good.status) == ("diverged", "complete")
    alone = run_one(tmp_path / "alone", *common, "optimiser.learning_rate=0.01")
    assert good.final == pytest.approx(alone.final, rel=1e-9)


def test_a_job_asked_for_twice_is_trained_once(tmp_path):
    first, second = run([config(tmp_path), config(tmp_path)])
    assert first.directory == second.directory
    assert len(list((tmp_path / "runs").iterdir())) == 1


PROBES = ["probe=[sharpness,neural_collapse,pruning,fractal_dimension]", "probe.trajectory.start=-30it"]


def test_a_probe_says_the_same_while_training_at_the_end_and_on_a_checkpoint(tmp_path):
    more = [*PROBES, "probe.sharpness.every=10it", "probe.pruning.every=20it", "checkpoint.keep=20it"]
    result = run_one(tmp_path, *more, "recipe.steps=60")
    done = Run(result.directory)
    assert done.info["probe_failures"].keys() <= {"fractal_dimension"}
    on_checkpoints = probe_run(result.directory, ["probe=[sharpness,neural_collapse,pruning]"])
    assert sorted(on_checkpoints.step.unique()) == [0, 20, 40, 60]
    live = done.metrics.set_index(["name", "step"]).value
    compared = 0
    for row in on_checkpoints.itertuples():
        if (row.name, row.step) in live.index:
            assert row.value == live[(row.name, row.step)], row
            compared += 1
    assert compared > 20


def test_what_is_recorded_at_a_step_is_read_at_it_in_whatever_order_the_probes_stand(tmp_path):
    known, reader = config(tmp_path, *PROBES), config(tmp_path, "probe=[fractal_dimension]", PROBES[1])
    reader.probe = {name: reader.probe[name] for name in ("fractal_dimension", "trajectory")}
    known, reader = (Run(result.directory) for result in run([known, reader]))
    assert reader.final["fractal_dimension/dimension"] == known.final["fractal_dimension/dimension"]


def test_probes_change_nothing_that_is_trained(tmp_path):
    watched = run_one(tmp_path, *PROBES, "probe.sharpness.every=5it")
    alone = run_one(tmp_path)
    for result in (watched, alone):
        assert Run(result.directory).checkpoints
    a, b = (Checkpoint(Run(r.directory).checkpoints[-1]).model for r in (watched, alone))
    assert all(torch.equal(a[n], b[n]) for n in a)


DESTRUCTIVE = """
import random
import numpy as np
import torch

def vandal(model, data):
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    model.train()
    for m in list(model.children()):
        m.requires_grad_(False)
    torch.manual_seed(99)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    return {"done": 1.0}

def data_vandal(model, data):
    data.x.zero_()
    return {"done": 1.0}

def crashing(model, data):
    return {"x": 1 / 0}

def broken(model, data):
    raise ValueError("this probe can't be measured")
"""


@pytest.fixture
def vandals(tmp_path, monkeypatch):
    (tmp_path / "vandals.py").write_text(DESTRUCTIVE)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name: [
        "trusted_packages=[vandals]",
        "+probe.vandal._target_=atml_exp.probe.Probe",
        f"+probe.vandal.fn={{_target_: vandals.{name}, _partial_: true}}",
        "+probe.vandal.every=1it",
    ]
    sys.modules.pop("vandals", None)


def test_a_destructive_probe_destroys_nothing(tmp_path, vandals):
    before = torch.get_rng_state()
    vandalised, clean = run_one(tmp_path, *vandals("vandal")), run_one(tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    a, b = (Checkpoint(Run(r.directory).checkpoints[-1]).model for r in (vandalised, clean))
    assert all(torch.equal(a[n], b[n]) for n in a)


def test_a_probe_that_writes_into_the_data_stops_the_run_with_its_name(tmp_path, vandals):
    with pytest.raises(RuntimeError, match="wrote into the data"):
        run_one(tmp_path, *vandals("data_vandal"))
    (failed,) = (tmp_path / "runs").iterdir()
    assert Run(failed).status == "failed"


def test_a_probe_that_fails_is_recorded_with_its_reason_and_training_goes_on(tmp_path, vandals):
    result = run_one(tmp_path, *vandals("broken"))
    assert result.status == "complete"
    assert "can't be measured" in Run(result.directory).info["probe_failures"]["vandal"]
    crashed = run_one(tmp_path, *vandals("crashing"))
    where = Run(crashed.directory).info["probe_failures"]["vandal"]
    assert where.startswith("step 0: ZeroDivisionError: ")
    assert re.search(r"\(.*\.py, line \d+\)$", where)


def test_a_logger_is_told_nothing_of_a_run_that_is_there_and_the_user_is(tmp_path, caplog):
    run_one(tmp_path)
    result = run_one(tmp_path, "logger=[tensorboard]")
    assert result.reused
    assert "is there already: nothing is sent to tensorboard; force=true trains anew" in caplog.text


def test_loggers_are_told_everything_and_cannot_stop_training(tmp_path):
    result = run_one(tmp_path, "logger=[tensorboard]")
    assert list(result.directory.rglob("events.out*"))


def test_all_runs_come_back_as_one_table(tmp_path):
    run([config(tmp_path, f"seed={s}") for s in range(3)])
    frame = atml_exp.load(tmp_path, name="test/error")
    assert sorted(frame.seed.unique()) == [0, 1, 2]


NORMALISED = ("model.normalisation=batch", "optimiser=adam", "dtype=float64")


def cut_off(tmp_path, step, *overrides):
    """Ctrl-C at a step of a run."""
    from atml_exp import train

    update = train.update

    def interrupted(population, *rest):
        if population.step == step:
            raise KeyboardInterrupt
        return update(population, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run([config(tmp_path, *overrides)])


def test_batch_norm_goes_on_from_its_statistics_and_arrays_stand_once(tmp_path):
    overrides = (*NORMALISED, "probe=[trajectory]", "probe.trajectory.start=0it")
    cut_off(tmp_path / "cut", 13, *overrides)
    (cut,) = run([config(tmp_path / "cut", *overrides)])
    (whole,) = run([config(tmp_path / "whole", *overrides)])
    assert cut.final == whole.final
    (steps, weights), (all_steps, all_weights) = (
        Run(r.directory).array("trajectory/weights") for r in (cut, whole)
    )
    assert steps.tolist() == all_steps.tolist()
    np.testing.assert_array_equal(weights, all_weights)
    mine, theirs = (Checkpoint(Run(r.directory).checkpoints[-1]).model for r in (cut, whole))
    assert all(torch.equal(mine[n], theirs[n]) for n in theirs)


def test_runs_cut_off_at_different_steps_go_on_side_by_side(tmp_path):
    for seed, step in ((0, 12), (1, 20), (2, 12)):
        cut_off(tmp_path / "cut", step, *NORMALISED, f"seed={seed}")
    seeds = [f"seed={s}" for s in range(3)]
    cut = run([config(tmp_path / "cut", *NORMALISED, s) for s in seeds])
    alone = [run([config(tmp_path / "alone", *NORMALISED, s)])[0] for s in seeds]
    for a, b in zip(cut, alone, strict=True):
        assert a.final == pytest.approx(b.final, rel=1e-9)


def test_batches_of_different_sizes_go_on_together_from_where_each_was_cut_off(tmp_path):
    sizes = (16, 5, 64)
    for size in sizes:
        cut_off(tmp_path / "cut", 13, f"recipe.batch_size={size}", "dtype=float64")
    jobs = [
        [config(tmp_path / k, f"recipe.batch_size={b}", "dtype=float64") for b in sizes] for k in ("cut", "new")
    ]
    for a, b in zip(run(jobs[0]), run(jobs[1]), strict=True):
        assert a.final == pytest.approx(b.final, rel=1e-9)
        assert Run(a.directory).metrics["epoch"].tolist() == Run(b.directory).metrics["epoch"].tolist()


def test_a_population_of_full_batches_comes_in_any_size(tmp_path):
    jobs = [
        config(tmp_path, "optimiser=gd", "recipe.batch_size=null", f"seed={s}", "dtype=float64") for s in range(5)
    ]
    together = run(jobs, max_replicas=3)
    (alone,) = run(
        [config(tmp_path / "alone", "optimiser=gd", "recipe.batch_size=null", "seed=4", "dtype=float64")]
    )
    assert together[4].final == pytest.approx(alone.final, rel=1e-9)


def test_a_run_whose_neighbour_is_busy_is_let_go(tmp_path):
    from atml_exp.errors import RunBusyError
    from atml_exp.store.lock import Lock

    first, second = (config(tmp_path, f"seed={s}", "wait=false") for s in range(2))
    busy = tmp_path / "runs" / run_id(second)
    busy.mkdir(parents=True)
    lock = Lock(busy)
    with pytest.raises(RunBusyError):
        run([first, second])
    Lock(tmp_path / "runs" / run_id(first)).release()  # free
    lock.release()


def test_of_a_run_that_diverged_only_loss_and_error_are_measured_and_nothing_is_kept(tmp_path):
    overrides = ("loss=mse", "optimiser=sgd", "probe=[pruning]", "probe.pruning.every=10it", "recipe.steps=90")
    bad, good = run([config(tmp_path, *overrides, f"optimiser.learning_rate={r}") for r in (1e9, 0.01)])
    diverged = Run(bad.directory)
    at = diverged.info["diverged_at"]
    assert diverged.metrics["step"].max() == at
    late = diverged.metrics[diverged.metrics["step"] == at]["name"]
    assert {name.partition("/")[0] for name in late} <= {"train", "test", "optimiser"}
    assert diverged.checkpoints == []
    assert Run(good.directory).checkpoints != []
