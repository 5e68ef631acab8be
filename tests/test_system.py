"""Every run describes itself in the words of learning theory."""

from atml_exp.compose import compose
from atml_exp.job import build_job
from atml_exp.system import TITLES, describe, in_lines


def described(*overrides):
    return describe(build_job(compose(["device=cpu", "probe=[]", *overrides])))


def test_the_five_elements():
    found = described("recipe.steps=3ep")
    assert found["domain"] == "X × Y = ℝ^(1×8×8) × {0, …, 9}"
    assert found["hypothesis_class"].startswith("mlp(depth=2, width=64, activation=relu")
    assert found["hypothesis_class"].endswith(": 8,970 trainable parameters")  # 64·64+64 twice, and 64·10+10
    assert found["loss"].startswith("cross entropy: ")
    assert "learning_rate=0.05, momentum=0.9" in found["algorithm"]
    assert found["algorithm"].endswith("; 3 epochs on mini-batches of 64")
    assert found["sample"] == "digits: 1,437 training and 360 test examples"


def test_regression_full_batches_schedules_and_corruptions():
    found = described("dataset=diabetes", "loss=mse", "optimiser=gd", "+optimiser/schedule=[cosine]")
    assert found["domain"].endswith("× ℝ^1")
    assert "learning rate by cosine; " in found["algorithm"]
    assert found["algorithm"].endswith("on the whole training set")
    noisy = described("+dataset/wrapper=label_noise", "dataset.wrapper.label_noise.fraction=0.25")
    assert "; label_noise(fraction=0.25, " in noisy["sample"]


def test_as_lines_for_a_terminal():
    found = described("recipe.steps=3ep")
    lines = in_lines(found).splitlines()
    assert [line.partition("  ")[0] for line in lines] == list(TITLES.values())
    assert {line[len(max(TITLES.values(), key=len)) + 2 :] for line in lines} == set(found.values())
