"""One step, and only of models that have nothing to train (see also tests/models/test_k_nearest_neighbours.py)."""

import pytest

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.runner import run
from atml_exp.runs import Run

BASE = ("recipe=memorise", "dataset=two_moons", "probe=[]", "device=cpu", "progress=false")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_has_one_step_which_is_measured_and_kept():
    (result,) = run([compose([*BASE, "model=k_nearest_neighbours"])], reports=False)
    done = Run(result.directory)
    assert done.status == "complete"
    assert done.series("train/error")[0].tolist() == [0]
    assert done.final["train/error"] == 0
    assert done.checkpoints


def test_a_model_with_weights_is_refused():
    with pytest.raises(ConfigError, match=r"the model has 6 parameters to train; allowed: model=k_nearest"):
        run([compose([*BASE, "model=linear"])], reports=False)
