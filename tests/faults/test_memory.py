"""Memory that gives out: a population is halved, down to single runs; one that doesn't fit alone is named."""

import numpy as np
import pytest
import torch

from atml_exp import sitting, train
from atml_exp.compose import compose_each
from atml_exp.errors import OutOfMemoryError
from atml_exp.runner import run
from atml_exp.runs import Run

SMALL = (
    "dataset=gaussian_mixture", "model.width=4", "recipe.steps=12", "recipe.batch_size=16", "dtype=float64",
    "recipe.evaluate_every=4it", "probe=[]", "checkpoint.interval=0", "progress=false", "device=cpu",
)  # fmt: skip
REASONS = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 TB")]


def configs(folder, num_seeds):
    return compose_each([[*SMALL, f"seed={s}", f"output_dir={folder.as_posix()}"] for s in range(num_seeds)])


def limited(monkeypatch, error, room, step=0, never_fits=None):
    """Training more than `room` models together, or that seed, fails at a step; notes the sizes that were tried."""
    update, tried = train.update, []

    def updated(population, *rest):
        if population.step == step:
            tried.append(population.size)
            if population.size > room or never_fits in population.seeds:
                raise error
        return update(population, *rest)

    monkeypatch.setattr(train, "update", updated)
    return tried


@pytest.mark.parametrize(
    ("error", "step"), list(zip(REASONS, (0, 7, 0), strict=True)), ids=lambda v: type(v).__name__
)
def test_halved_until_it_fits_the_numbers_are_the_same(tmp_path, monkeypatch, error, step):
    whole = run(configs(tmp_path / "whole", 5), keep_going=True, reports=False)
    tried = limited(monkeypatch, error, room=1, step=step)
    halved = run(configs(tmp_path / "halved", 5), keep_going=True, reports=False)
    assert tried == [5, 2, 1, 1, 3, 1, 2, 1, 1]
    for a, b in zip(whole, halved, strict=True):
        assert (a.status, b.status, a.id) == ("complete", "complete", b.id)
        a, b = Run(a.directory).metrics, Run(b.directory).metrics
        assert a[["step", "name"]].equals(b[["step", "name"]])
        np.testing.assert_allclose(a["value"], b["value"], rtol=1e-9, atol=1e-12)


def test_the_one_that_does_not_fit_by_itself_is_named_and_stops_no_other(tmp_path, monkeypatch):
    limited(monkeypatch, MemoryError("9 TB"), room=9, never_fits=2)
    results = run(configs(tmp_path, 4), keep_going=True, reports=False)
    assert [r.status for r in results] == ["complete", "complete", "failed", "complete"]
    assert Run(results[2].directory).status == "failed"
    assert "doesn't fit in the memory of cpu: 9 TB" in results[2].error


def test_a_single_run_that_does_not_fit_is_one_message(command, tmp_path, monkeypatch):
    limited(monkeypatch, MemoryError("9 TB"), room=0)
    ended = command(*SMALL)
    (directory,) = (tmp_path / "outputs" / "runs").iterdir()
    assert (ended.code, Run(directory).status) == (1, "failed")
    why = "doesn't fit in the memory of cpu: 9 TB; a smaller model, batch or dataset does"
    assert ended.err == f"atml-exp: run {directory.name}: {why}\n"


def test_in_a_notebook_it_is_an_error_with_that_message(tmp_path, monkeypatch):
    monkeypatch.setattr(sitting, "assemble", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(OutOfMemoryError, match=r"doesn't fit in the memory of cpu: MemoryError; a smaller model"):
        run(configs(tmp_path, 1))
