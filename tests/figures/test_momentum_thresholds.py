import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import momentum_thresholds as figure
from atml_exp.theory import largest_stable_learning_rate

FACTORS = (0.8, 0.99, 1.01, 1.2)
LEAST, CURVATURE = 0.3, 0.5


def table_of(runs, together, shifts=()):
    """Distances that a step multiplies by η/η*, where η* is theory's, `shifts` times."""
    parts, shifts = [], dict(shifts)
    for kind, curvature, least in (("quadratic", 1.0, 0.0), ("regression", CURVATURE, LEAST)):
        for name, (momentum, nesterov, *_) in figure.RULES.items():
            if kind == "regression" and "0.5" in name:
                continue
            theory = largest_stable_learning_rate(curvature, momentum, nesterov)
            shift = shifts.get((kind, name), 1.0)
            for factor in FACTORS:
                losses = [least + 2 * (factor / shift) ** (2 * t) for t in range(5)]
                losses += [least] if factor < 0.9 else []
                metrics = [("train/loss", losses)] + [("sharpness/top", [CURVATURE])] * (kind == "regression")
                rate = {"optimiser__learning_rate": factor * theory}
                parts.append(runs(*metrics, sweep=f"{kind}, {name}", **rate))
    return together(*parts)


def test_claims_hold_at_theorys_thresholds(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims] == pytest.approx([1, 1, 1, 1.9, (3.8 / 2.8) / 2], rel=1e-9)


PLAIN, BALL, NESTEROV = "gradient descent", "heavy ball, β = 0.9", "Nesterov, β = 0.9"


@pytest.mark.parametrize(
    ("failing", "kind", "name", "shift"),
    [
        ([0], "quadratic", BALL, 1.1),
        ([1], "quadratic", "Nesterov, β = 0.5", 0.95),
        ([2], "regression", NESTEROV, 1.1),
    ],
)
def test_each_threshold_can_be_elsewhere(runs, together, failing, kind, name, shift):
    claims = figure.claims(table_of(runs, together, {(kind, name): shift}))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


@pytest.mark.parametrize(("failing", "name", "times"), [([2, 3], BALL, 0.5), ([2, 4], NESTEROV, 2.0)])
def test_the_order_of_the_thresholds_can_be_another(runs, together, failing, name, times):
    table = table_of(runs, together)
    table.loc[table["sweep"] == f"regression, {name}", "optimiser.learning_rate"] *= times
    assert [i for i, claim in enumerate(figure.claims(table)) if claim.verdict != "holds"] == failing


def test_a_grid_on_one_side_of_the_threshold_measures_nothing(runs, together):
    table = table_of(runs, together)
    kept = ~((table["sweep"] == f"quadratic, {PLAIN}") & (table["optimiser.learning_rate"] > 2))
    assert figure.claims(table[kept])[0].verdict == "not measured"
