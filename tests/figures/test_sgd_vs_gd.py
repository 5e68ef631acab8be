import math

import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import sgd_vs_gd as figure

H, LEAST, TRACE, N = 2.0, 0.25, 0.8, 200
METHODS = {
    "mini-batches": {"optimiser": "SGD", "recipe__batch_size": 10, "recipe__replacement": True},
    "reshuffled": {"optimiser": "SGD", "recipe__batch_size": 10},
    "Gaussian noise": {"optimiser": "NoisyGD", "optimiser__noise_std": 0.3},
    "label noise": {"optimiser": "GD", "recipe__label_noise": 3.0},
    "GD": {"optimiser": "GD"},
}
PLAIN = {"recipe__replacement": False, "recipe__label_noise": 0.0, "num_train": N, "optimiser__noise_std": math.nan}
NOISE = {
    "mini-batches": TRACE * (N - 1) / N / 10,
    "reshuffled": TRACE * (N - 1) / N / 10,
    "Gaussian noise": 0.09,
    "label noise": 9 * H / N,
}


def minimum(runs):
    readings = (("sharpness/top", [H]), ("train/loss", [9.0, LEAST]), ("gradient_noise/trace", [TRACE]))
    return runs(*readings, sweep="minimum", optimiser__learning_rate=0.1, **(PLAIN | METHODS["GD"]))


def floor(runs, method, rate, ratio):
    """A run whose loss settles where the variance is `ratio` times ηs²/(h(2 − ηh))."""
    variance = ratio * rate * NOISE[method] / (H * (2 - rate * H))
    late = LEAST + H * variance / 2
    values = [5.0, 4.0] + 4 * [late - 0.01, late + 0.01]
    columns = PLAIN | METHODS[method] | {"optimiser__learning_rate": rate}
    return runs(("train/loss", values), sweep="quadratic", **columns)


def net(runs, method, sharpness, error, sweep="net"):
    readings = (("sharpness/top", [5.0, sharpness]), ("test/error", [0.9, error]))
    return runs(*readings, sweep=sweep, optimiser__learning_rate=0.1, **(PLAIN | METHODS[method]))


def table(runs, together, ratios, sharpness, errors):
    floors = [floor(runs, m, rate, r) for m, r in zip(NOISE, ratios, strict=True) for rate in (0.1, 0.5)]
    nets = [net(runs, m, s, e) for m, s, e in zip(list(METHODS)[1:], sharpness, errors, strict=True)]
    return together(minimum(runs), *floors, *nets)


def test_claims_hold_of_what_theory_and_papers_say(runs, together):
    made = table(runs, together, (1.0, 0.5, 1.05, 1.0), (5, 11, 3, 12), (0.02, 0.03, 0.02, 0.03))
    claims = check_figure(figure, made)
    assert [c.verdict for c in claims] == ["holds"] * 8
    expected = [0, 5, 0, 0.5, 5 / 12, 5 / 11, 3 / 5, -1]
    assert [c.measured for c in claims] == pytest.approx(expected, abs=1e-9)


def test_claims_fail_of_the_contrary(runs, together):
    made = table(runs, together, (1.2, 1.5, 0.5, 2.0), (12, 11, 13, 5), (0.04, 0.03, 0.02, 0.03))
    assert [c.verdict for c in check_figure(figure, made)] == ["does not hold"] * 8


def test_the_worst_step_size_counts_against_reshuffling(runs, together):
    made = table(runs, together, (1.0, 0.1, 1.0, 1.0), (5, 11, 3, 12), (0.02, 0.03, 0.02, 0.03))
    worse = together(made, floor(runs, "mini-batches", 0.8, 1.0), floor(runs, "reshuffled", 0.8, 1.5))
    assert figure.claims(worse)[3].measured == pytest.approx(1.5)


def test_what_was_not_trained_is_not_measured(runs, together):
    floors = [floor(runs, "Gaussian noise", rate, 1.0) for rate in (0.1, 0.5)]
    made = together(minimum(runs), *floors, net(runs, "GD", 12, 0.03), net(runs, "reshuffled", 5, 0.03))
    verdicts = [c.verdict for c in check_figure(figure, made)]
    assert verdicts[:4] == ["not measured", "holds", "not measured", "not measured"]
    assert verdicts[4:] == ["holds", "not measured", "not measured", "holds"]
