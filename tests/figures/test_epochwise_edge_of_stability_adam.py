import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import epochwise_edge_of_stability_adam as figure

ETA = 0.01


def run(runs, beta1, *, level=1.0, loss_end=0.01, raw_end=9.0, seed=0):
    """Its preconditioned sharpness rises linearly to `level` times the limit and stays there."""
    limit = level * figure.stability_limit(ETA, beta1)
    top = np.concatenate([np.linspace(limit / 10, limit, 10), np.full(30, limit)])
    raw = np.concatenate([np.linspace(1, 3, 10), np.linspace(3, raw_end, 30)])
    loss = np.concatenate([np.linspace(1, 0.5, 10), np.linspace(0.5, loss_end, 30)])
    metrics = (("adam_sharpness/top", top), ("sharpness/top", raw), ("train/loss", loss))
    return runs(*metrics, seed=seed, optimiser__learning_rate=ETA, optimiser__beta1=beta1)


def both(runs, together, **changes):
    return together(*(run(runs, beta1, seed=seed, **changes) for beta1 in (0.0, 0.9) for seed in (0, 1)))


def verdicts(table):
    return [claim.verdict for claim in figure.claims(table)]


def test_claims_hold_of_runs_at_the_limit(runs, together):
    claims = check_figure(figure, both(runs, together, level=1.001))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([0.1, 0.1, 1, 0.02, 3])


def test_the_limit_is_that_of_heavy_ball_steps_on_a_quadratic():
    """w ← w − ηm, m ← βm + (1 − β)λw stays bounded just below the limit and not just above it."""
    for beta in (0.0, 0.5, 0.9):
        for factor, grows in ((0.99, False), (1.01, True)):
            curvature = factor * figure.stability_limit(ETA, beta)
            step = np.array([[1 - ETA * (1 - beta) * curvature, -ETA * beta], [(1 - beta) * curvature, beta]])
            assert (abs(np.linalg.eigvals(step)).max() > 1) == grows


def test_claims_fail_where_it_settles_below(runs, together):
    found = verdicts(both(runs, together, level=0.8))
    assert found == ["does not hold", "does not hold", "does not hold", "not measured", "not measured"]


@pytest.mark.parametrize(("index", "change"), [(3, {"loss_end": 0.9}), (4, {"raw_end": 1.0})])
def test_what_goes_on_at_the_limit_counts(runs, together, index, change):
    found = verdicts(both(runs, together, level=1.001, **change))
    assert [v == "holds" for v in found] == [i != index for i in range(5)]
