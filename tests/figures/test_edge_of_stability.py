import numpy as np

from atml_exp.checks import check_figure
from atml_exp.figures import edge_of_stability

RATE = "optimiser__learning_rate"


def run(runs, rate, top, loss, seed=0, sweep="chebyshev"):
    return runs(("sharpness/top", top), ("train/loss", loss), seed=seed, sweep=sweep, **{RATE: rate})


def verdicts(table):
    return [claim.verdict for claim in check_figure(edge_of_stability, table)]


RISING = np.concatenate([np.linspace(2, 20, 20), 20 + 0.1 * np.sin(np.arange(60))])
FALLING = np.geomspace(1, 0.01, 80)


def test_claims_hold_of_runs_at_the_edge(runs, together):
    table = together(*(run(runs, 0.1, RISING, FALLING, seed) for seed in (0, 1)))
    claims = edge_of_stability.claims(table)
    assert verdicts(table) == ["holds"] * 3
    assert abs(claims[0].measured) < 0.05  # per cent
    at_crossing = FALLING[int(np.argmax(RISING >= 20))]
    assert claims[2].measured == FALLING[-1] / at_crossing


def test_claims_fail_where_sharpness_settles_elsewhere(runs):
    assert verdicts(run(runs, 0.1, 0.8 * RISING, FALLING)) == ["does not hold", "does not hold", "not measured"]


def test_claims_fail_where_the_loss_rises_at_the_edge(runs):
    assert verdicts(run(runs, 0.1, RISING, FALLING[::-1]))[2] == "does not hold"


def test_the_worst_learning_rate_counts(runs, together):
    table = together(run(runs, 0.1, RISING, FALLING), run(runs, 0.2, RISING, FALLING))
    claims = edge_of_stability.claims(table)
    assert claims[0].measured > 90
    assert claims[1].measured == 1  # both begin below 2/η and reach it


def test_each_sweep_has_its_own_claims(runs, together):
    table = together(run(runs, 0.1, RISING, FALLING), run(runs, 0.1, RISING, FALLING, sweep="digits"))
    assert len(verdicts(table)) == 6
