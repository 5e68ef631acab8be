import math

import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import ph_dimension_vs_gap as figure

RATES, BATCHES = (0.05, 0.1, 0.2), (16, 64)


def control(runs, sweep, dimension, seed):
    return runs(("fractal_dimension/dimension", [dimension]), sweep=sweep, seed=seed)


def net(runs, seed, rate, batch, dimension, gap, norm, train):
    return runs(
        ("fractal_dimension/dimension", [dimension]), ("norms/weights", [norm]),
        ("test/error", [0.9, train + gap]), ("train/error", [0.9, train]),
        sweep="nets", seed=seed, recipe__batch_size=batch, optimiser__learning_rate=rate,
    )  # fmt: skip


def table(runs, together, dimension, norm, straight=1.0, train=0.0):
    """dimension, norm: functions of (η, B, gap); the gap of a seed is not that of the other ones."""
    parts = []
    for seed in range(5):
        for i, rate in enumerate(RATES):
            for j, batch in enumerate(BATCHES):
                gap = 0.1 - 0.01 * i + 0.005 * j + 0.001 * ((seed + i * (j + 1)) % 3)
                args = (dimension(rate, batch, gap), gap, norm(rate, batch, gap), train)
                parts.append(net(runs, seed, rate, batch, *args))
        parts += [control(runs, "random walk", 2.2, seed), control(runs, "straight line", straight, seed)]
    return together(*parts)


def test_claims_hold_of_a_dimension_made_of_eta_and_b_and_a_norm_that_is_the_gap(runs, together):
    made = table(runs, together, lambda r, b, gap: 2 - r + b / 10000, lambda r, b, gap: -gap)
    claims = check_figure(figure, made)
    assert [c.verdict for c in claims] == ["holds"] * 6
    assert [c.measured for c in claims[1:3]] == [1, 0]
    assert claims[3].measured == 0


def test_a_dimension_that_is_the_gap_says_more_than_eta_b_and_an_unrelated_norm(runs, together):
    claims = check_figure(figure, table(runs, together, lambda r, b, gap: 1 + 5 * gap, lambda r, b, gap: 1.0))
    assert [c.verdict for c in claims] == ["holds", "holds", "does not hold", "does not hold", "holds", "holds"]
    assert [c.measured for c in claims[:4]] == pytest.approx([1, 1, 1, -1])


def test_a_dimension_that_goes_the_other_way_on_nets_that_fit_badly_fails(runs, together):
    made = table(runs, together, lambda r, b, gap: 2 - 5 * gap, lambda r, b, gap: gap, straight=1.4, train=0.05)
    verdicts = [c.verdict for c in check_figure(figure, made)]
    assert verdicts == ["does not hold", "does not hold", "holds", "holds", "does not hold", "does not hold"]


def test_one_seed_has_no_interval_and_is_still_drawn(runs, together):
    made = table(runs, together, lambda r, b, gap: 1 + 5 * gap, lambda r, b, gap: 1.0)
    claims = check_figure(figure, made[made["seed"] == 0].reset_index(drop=True))
    assert claims[2].verdict == "not measured"
    assert math.isnan(claims[2].values[0])


def test_without_controls_theirs_is_not_measured(runs, together):
    made = table(runs, together, lambda r, b, gap: 1 + 5 * gap, lambda r, b, gap: gap)
    claims = check_figure(figure, made[made["sweep"] == "nets"].reset_index(drop=True))
    assert claims[4].verdict == "not measured"
