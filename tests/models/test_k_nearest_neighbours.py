"""Against scikit-learn's, ties, and inside the machinery of runs."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.k_nearest_neighbours import k_nearest_neighbours
from atml_exp.probe_run import probe_run
from atml_exp.runner import groups_to_train, run
from atml_exp.runs import Run

G = torch.Generator().manual_seed(3)
X, NEW = torch.randn(60, 2, 2, generator=G), torch.randn(40, 2, 2, generator=G)
CLASSES, NUMBERS = torch.randint(3, (60,), generator=G), torch.randn(60, 2, generator=G)
BASE = ("model=k_nearest_neighbours", "recipe=memorise", "probe=[]", "device=cpu", "progress=false")
MOONS = ("dataset=two_moons", "dataset/wrapper=[subset]", "dataset.wrapper.subset.num_train=50")


@pytest.mark.parametrize("k", [1, 4, 60])
def test_classes_are_scikit_learns(k):
    theirs = KNeighborsClassifier(k).fit(X.flatten(1), CLASSES)
    outputs = k_nearest_neighbours((2, 2), 3, Split(X, CLASSES), k=k)(NEW)
    frequencies = theirs.predict_proba(NEW.flatten(1))
    np.testing.assert_allclose(outputs.exp(), (k * frequencies + 1) / (k + 3), rtol=1e-5)
    np.testing.assert_array_equal(outputs.argmax(1), theirs.predict(NEW.flatten(1)))
    plain = k_nearest_neighbours((2, 2), 3, Split(X, CLASSES), k=k, answer="frequencies")(NEW)
    np.testing.assert_allclose(plain, frequencies, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 7, 60])
def test_numbers_are_scikit_learns(k):
    theirs = KNeighborsRegressor(k).fit(X.flatten(1), NUMBERS).predict(NEW.flatten(1))
    ours = k_nearest_neighbours((2, 2), 2, Split(X, NUMBERS), k=k)(NEW)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert mse(ours, torch.as_tensor(theirs)) < 1e-10


def test_the_nearest_of_an_example_is_itself_however_far_from_0():
    """Differences, and not products, whose rounding far from 0 is larger than the distances."""
    x = 1000 + 0.01 * torch.randn(200, 30, generator=G)
    model = k_nearest_neighbours((30,), 200, Split(x, torch.arange(200)))
    assert torch.equal(model(x).argmax(1), torch.arange(200))


def test_of_equal_distances_the_earlier_example_and_of_equal_counts_the_lower_class():
    x = torch.tensor([[1.0], [-1.0], [0.0], [2.0]])
    nearest = k_nearest_neighbours((1,), 1, Split(x, torch.tensor([10.0, 20.0, 30.0, 40.0])), k=2)
    assert nearest(torch.zeros(1, 1)).item() == 20  # 0, and of −1 and 1 the earlier
    model = k_nearest_neighbours((1,), 3, Split(x, torch.tensor([2, 1, 0, 0])), k=3)
    assert model(torch.zeros(1, 1)).argmax().item() == 0


def test_a_loss_for_one_output_is_given_the_log_odds():
    data = Split(X, CLASSES % 2)
    one, two = (k_nearest_neighbours((2, 2), n, data, k=5, smoothing=0.5)(NEW) for n in (1, 2))
    torch.testing.assert_close(one, two[:, 1:] - two[:, :1])
    share = k_nearest_neighbours((2, 2), 1, data, k=5, answer="frequencies")(NEW)
    torch.testing.assert_close((6 * one.sigmoid() - 0.5) / 5, share)


@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_the_cross_entropy_is_finite_where_all_neighbours_are_of_another_class(smoothing):
    model = k_nearest_neighbours((1,), 2, Split(torch.zeros(4, 1), torch.zeros(4).long()), smoothing=smoothing)
    loss = cross_entropy(model(torch.zeros(1, 1)), torch.tensor([1]))
    assert loss.exp().item() == pytest.approx((1 + 2 * smoothing) / smoothing)


def test_more_neighbours_than_examples_are_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"model\.k = 51: the training set has 50 examples; allowed: 1 to 50"):
        run([compose([*BASE, *MOONS, "model.k=51"])], reports=False)
    assert not (tmp_path / "outputs").exists()


def test_seeds_stack_and_give_what_each_gives_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = [compose([*BASE, *MOONS, "model.k=3", f"seed={seed}"]) for seed in range(3)]
    assert [len(group) for group in groups_to_train(configs)] == [3]
    together = run(configs, reports=False)
    alone = [
        run([compose([*BASE, *MOONS, "model.k=3", f"seed={seed}", "output_dir=alone"])], reports=False)[0]
        for seed in range(3)
    ]
    for one, other in zip(together, alone, strict=True):
        assert (one.status, other.status) == ("complete", "complete")
        assert dict(one.final) == pytest.approx(dict(other.final), rel=1e-6)
    assert together[0].final["test/error"] != together[1].final["test/error"]


def test_a_run_can_be_probed_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (result,) = run([compose([*BASE, *MOONS, "model.k=3", "probe=[calibration]"])], reports=False)
    there = Run(result.directory).final
    later = probe_run(result.directory).set_index("name")["value"]
    assert later["calibration/accuracy"] == there["calibration/accuracy"] == pytest.approx(1 - there["test/error"])


def test_what_a_recipe_can_do_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="nothing to train; allowed: 0, or recipe=memorise"):
        run([compose([*BASE, *MOONS, "recipe=train", "recipe.steps=600it", "recipe.batch_size=5"])], reports=False)
