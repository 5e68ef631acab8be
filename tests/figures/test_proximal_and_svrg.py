import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import proximal_and_svrg as figure

RATE, RADIUS, STEPS = 0.5, 2.0, np.arange(9)


def table_of(runs, together, ista=0.5, fista=0.2, ends=None, svrg=1e-9, gd=1e-4, sgd=0.01, smoothness=1.9):
    """The lasso's gaps are fractions of the bounds; FISTA's last one may be another."""
    with np.errstate(divide="ignore"):
        slow = ista * RADIUS**2 / (2 * RATE * np.maximum(STEPS, 0.1))
    fast = fista * 2 * RADIUS**2 / (RATE * (STEPS + 1) ** 2)
    if ends is not None:
        fast[-1] = ends
    parts = []
    for seed in (0, 1):
        for sweep, gaps in (("ista", slow), ("fista", fast)):
            metrics = [("optimality_gap/gap", gaps), ("optimality_gap/distance", [RADIUS] * len(STEPS))]
            metrics += [("optimality_gap/smoothness", [smoothness])]
            parts.append(runs(*metrics, sweep=sweep, seed=seed, optimiser__learning_rate=RATE))
        for sweep, last in (("sgd", sgd), ("svrg", svrg), ("gd", gd)):
            gaps = np.geomspace(0.1, last, 5) if sweep != "sgd" else [0.1, sgd, sgd, sgd, sgd]
            of = {"num_train": 10, "optimiser__every": 20.0, "optimiser__learning_rate": 0.02}
            parts.append(runs(("optimality_gap/gap", gaps), sweep=sweep, seed=seed, **of))
    return together(*parts)


def test_claims_hold_below_the_bounds(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims[:2]] == pytest.approx([0.5, 0.2])
    assert [claim.measured for claim in claims[3:]] == pytest.approx([1e-7, 1e-5])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"ista": 1.1}),
        ([1], {"fista": 1.1, "ends": 0.01}),
        ([2], {"ista": 0.1, "ends": 0.19}),
        ([3], {"svrg": 5e-5}),
        ([4], {"svrg": 5e-6, "gd": 4e-6}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_for_steps_beyond_one_over_l_there_is_no_bound(runs, together):
    table = table_of(runs, together, smoothness=2.1)
    assert [claim.verdict for claim in figure.claims(table)[:2]] == ["not measured"] * 2
    assert not [line for line in figure.draw(table).axes[0].lines if line.get_linestyle() == "--"]
    known = figure.draw(table_of(runs, together)).axes[0]
    assert len([line for line in known.lines if line.get_linestyle() == "--"]) == 2


def test_a_pass_is_as_many_gradients_as_there_are_examples(runs, together):
    table = table_of(runs, together)
    passes = {name: figure._gaps(table, name)["passes"].max() for name in ("sgd", "svrg", "gd")}
    assert passes == pytest.approx({"sgd": 4 / 10, "svrg": 4 * (2 / 10 + 1 / 20), "gd": 4})
