import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import sgd_noise_floor as figure
from atml_exp.theory import sgd_stationary_variance

T = 200
STEPS = np.array([0, 1, 10, T])
D, RADIUS, NOISE = 4, 2.0, 0.5


def table_of(runs, together, seed=0, constant=1.0, inverse=1.0, average=1.0, root=None):
    """Theory's own mean squares, times factors from step 10 on."""

    def run(sweep, rate, squares, factor=1.0):
        scaled = np.array(squares) * np.where(STEPS >= 10, factor, 1.0)
        of = {"model__dimension": D, "model__radius": RADIUS, "optimiser__noise_std": NOISE}
        metrics = ("suboptimality/distance", np.sqrt(D * scaled))
        return runs(metrics, sweep=sweep, seed=seed, optimiser__learning_rate=rate, **of).assign(step=STEPS)

    def exact(rate):
        kept = (1 - rate) ** (2 * STEPS)
        return kept * RADIUS**2 / D + (1 - kept) * sgd_stationary_variance(1.0, NOISE**2, rate)

    best = NOISE**2 / np.maximum(STEPS, 1)
    root = 2 * NOISE**2 / T**0.5 / 2 if root is None else root
    parts = [run("constant", rate, exact(rate), constant) for rate in (0.1, 0.5)]
    parts += [run("averaging", rate, best, average) for rate in (0.1, 0.5)]
    parts += [run("inverse time", 1.0, best, inverse), run("inverse square root", 0.5, [1, 0.5, 0.2, root])]
    return together(*parts)


def test_claims_hold_on_theorys_curves(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims[:3]] == pytest.approx([0, 0, 0], abs=1e-9)
    assert claims[3].measured == pytest.approx(0.25 / T**0.5 / sgd_stationary_variance(1.0, 0.25, 0.5))


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"constant": 1.2}),
        ([0], {"constant": 0.8}),
        ([1], {"inverse": 1.2}),
        ([2], {"average": 1.2}),
        ([3], {"root": 1.0}),
        ([4], {"root": 0.001}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing
