import itertools

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import trajectory_complexity_ranking as figure

RATES, BATCHES, SEEDS = (0.1, 0.2, 0.4), (8, 32), (0, 1)
SIGNS = {m.metric: m.sign for m in figure.MEASURES if m.metric != "ratio"}
DIMENSIONS = {"fractal_dimension/dimension", "fractal_dimension_loss/dimension"}


def grid(runs, values, train=0.0, seeds=SEEDS):
    """The gap grows with B and falls with η, more for one seed; values(metric, gap) of each measure, unsigned."""
    parts = []
    for rate, batch, seed in itertools.product(RATES, BATCHES, seeds):
        gap = 0.01 * batch**0.5 * (1 + 0.01 * seed) / rate**0.1
        named = [(metric, [0.0, sign * values(metric, gap)]) for metric, sign in SIGNS.items()]
        errors = ("test/error", [0.9, gap + train]), ("train/error", [0.9, train])
        parts.append(runs(*named, *errors, seed=seed, recipe__batch_size=batch, optimiser__learning_rate=rate))
    return parts


def as_tan(metric, gap):
    """All good but PH dimension, and nothing better than −η/B."""
    return -gap if metric in DIMENSIONS else 0 if metric in figure.NORMS else gap


def as_contrary(metric, gap):
    """PH dimension best, the final norm and the noise that is borne worst."""
    return gap if metric in DIMENSIONS or metric in figure.NORMS else -gap


def test_claims_hold_of_what_the_papers_describe(runs, together):
    claims = check_figure(figure, together(*grid(runs, as_tan)))
    assert [c.verdict for c in claims] == ["holds"] * 7
    assert [c.measured for c in claims] == pytest.approx([2, 2, 2, 0, -1, 1, 0])


def test_claims_fail_of_the_contrary(runs, together):
    contrary = grid(runs, as_contrary, train=0.01, seeds=range(5))
    claims = figure.claims(together(*contrary))
    assert [c.verdict for c in claims[:3]] == ["does not hold"] * 3
    assert [c.measured for c in claims] == pytest.approx([-2, -2, -2, 0, 1, -2, 1])
    assert [c.verdict for c in claims[4:]] == ["does not hold"] * 3


def test_a_measure_that_beats_the_hyperparameters_is_said_to(runs, together):
    table = together(*grid(runs, as_tan))
    assert figure.claims(table.assign(**{figure.RATE: 1 / table[figure.RATE]}))[3].verdict == "does not hold"


def test_signs_say_that_larger_stands_for_a_larger_gap(runs, together):
    rows = figure.by_run(together(*grid(runs, lambda metric, gap: gap)))
    assert len(rows) == 12
    for measure in figure.MEASURES[1:]:
        assert figure.score(rows, measure.metric) == 1
    np.testing.assert_allclose(rows["ratio"], -rows[figure.RATE] / rows[figure.BATCH])
    assert figure.left_over(rows, "ratio") == 0


def test_runs_without_a_value_are_left_out_and_one_seed_gives_no_interval(runs, together):
    table = together(*grid(runs, as_tan, seeds=(0,)))
    claims = check_figure(figure, table[table["name"] != "fractal_dimension/dimension"].reset_index(drop=True))
    verdicts = ["not measured"] * 3 + ["not measured", "not measured", "holds", "holds"]
    assert [c.verdict for c in claims] == verdicts
