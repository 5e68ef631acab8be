"""A net that has learnt nothing is said to: it ends no better than the best constant."""

import pytest
import torch

from atml_exp.compose import compose
from atml_exp.constant_prediction import no_better, warn_of_no_better
from atml_exp.probes.performance import performance
from atml_exp.runner import run
from atml_exp.validate import validate

TINY = ["model.width=8", "recipe.steps=60", "recipe.batch_size=16", "probe=[]", "progress=false", "device=cpu"]
LEARNS = ["dataset=gaussian_mixture", "optimiser.learning_rate=0.1"]
LEARNS_NOT = ["dataset=gaussian_mixture", "optimiser.learning_rate=1e-30", "seed=1"]


@pytest.fixture
def said(tmp_path, caplog):
    def after(*jobs):
        configs = [compose([*TINY, *job, f"output_dir={tmp_path.as_posix()}"]) for job in jobs]
        for config in configs:
            validate(config)
        caplog.clear()
        run(configs, reports=False, keep_going=len(configs) > 1)
        return [r.getMessage() for r in caplog.records if "constant" in r.getMessage()]

    return after


@pytest.mark.parametrize("y", [torch.tensor([0, 2, 2, 1, 2]), torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])])
def test_the_best_constant_itself_is_no_better(y):
    """As performance measures it, whose numbers are compared."""
    constant = torch.eye(3)[[2] * 5] if not y.is_floating_point() else y.mean(0).expand_as(y)
    split = type("Split", (), {"x": constant, "y": y, "__len__": lambda self: len(y)})()
    values = performance(torch.nn.Identity(), split, loss=lambda outputs, y: outputs.sum())
    final = {f"train/{name}": value for name, value in values.items()}
    assert no_better(y, final)
    better = {"train/error": final.get("train/error", 1.0) - 0.2, "train/r_squared": 0.1}
    assert no_better(y, better) == ""


def test_nothing_is_said_where_nothing_was_measured_or_all_is_one_class():
    assert no_better(torch.tensor([0, 1]), {}) == no_better(torch.tensor([0.0, 1.0]), {}) == ""
    assert no_better(torch.tensor([1, 1]), {"train/error": 0.0}) == ""


def test_a_run_that_learns_nothing_is_said_to_once(said):
    (line,) = said(LEARNS_NOT)
    assert line.startswith("the run ends no better than the best constant prediction (train error ")
    assert said(LEARNS_NOT) == []  # it was there already


def test_a_run_that_learns_is_not(said):
    assert said(LEARNS) == []


def test_one_line_for_a_sweep_and_none_where_some_learn(said):
    assert said(LEARNS, [*LEARNS_NOT, "seed=1"]) == []
    (line,) = said(*([*LEARNS_NOT, f"seed={s}"] for s in said_no_better(range(2, 30))))
    assert line.startswith("each of 2 runs ends no better")


def said_no_better(seeds):
    """Two seeds whose net at its start is no better than a constant."""
    from atml_exp.job import build_job

    found = []
    for seed in seeds:
        job = build_job(compose([*TINY, *LEARNS_NOT, f"seed={seed}"]))
        values = performance(job.model.eval(), job.data.train, loss=job.loss_fn)
        if no_better(job.data.train.y, {f"train/{k}": v for k, v in values.items()}):
            found.append(seed)
        if len(found) == 2:
            break
    return found


def test_what_diverges_or_takes_no_step_is_not_compared(said):
    assert said([*LEARNS_NOT, "recipe.steps=0"]) == []
    assert said(["dataset=gaussian_mixture", "loss=mse", "optimiser.learning_rate=1e9"]) == []


def test_the_line_is_of_all_or_none(caplog):
    warn_of_no_better([])
    warn_of_no_better(["worse", ""])
    assert caplog.records == []
