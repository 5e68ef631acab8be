import json
import math

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import convergence_rates_strongly_convex as figure
from atml_exp.theory import best_rate, gd_quadratic

KAPPAS = (10, 40)
STEPS = np.arange(0, 60, 5)
RULES = {
    "gradient descent": lambda k: (2 / (1 + 1 / k), None, False),
    "heavy ball": lambda k: (4 / (1 + k**-0.5) ** 2, ((k**0.5 - 1) / (k**0.5 + 1)) ** 2, False),
    "nesterov": lambda k: (1.0, (k**0.5 - 1) / (k**0.5 + 1), True),
}


@pytest.fixture
def table_of(runs, together, tmp_path):
    """Runs whose distances shrink at theory's rate, to the power `powers`, and whose points are theory's, moved."""

    def make(powers=(), moved=0.0, search=1.0):
        parts, powers = [], dict(powers)
        for kappa in KAPPAS:
            for name, rule in RULES.items():
                rate, momentum, nesterov = rule(kappa)
                directory = tmp_path / f"{len(list(tmp_path.iterdir()))}"
                (directory / "arrays").mkdir(parents=True)
                (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
                factors = [gd_quadratic([1.0, 1 / kappa], rate, int(t), momentum or 0.0, nesterov) for t in STEPS]
                points = 0.7 * np.array(factors)
                points[1:] += moved
                np.savez(directory / "arrays" / "suboptimality.point.npz", steps=STEPS, values=points)
                key = figure.METHODS[name][0]
                distances = best_rate(kappa, key) ** (powers.get(name, 1.0) * STEPS)
                more = {"model__spectrum": json.dumps([1.0, 1 / kappa]), "directory": str(directory)}
                more |= {"optimiser__learning_rate": rate, "optimiser__momentum": momentum}
                parts.append(distance(f"{name} {kappa}", distances, **more))
            slow = best_rate(kappa, "gradient_descent") ** (search * STEPS)
            parts.append(distance(f"line search {kappa}", slow, model__spectrum="[1]", directory="none"))
        return together(*parts)

    def distance(sweep, values, **more):
        found = runs(("suboptimality/distance", values), sweep=sweep, **more)
        return found.assign(step=STEPS)

    return make


def test_claims_hold_of_theorys_own_rates(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims[:4]] == pytest.approx([0] * 4, abs=1e-8)
    exponents = [
        math.log(math.log(best_rate(10, key)) / math.log(best_rate(40, key)))
        for key in ("gradient_descent", "heavy_ball")
    ]
    assert claims[4].measured == pytest.approx(exponents[0] / exponents[1])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"moved": 1e-6}),
        ([1], {"powers": {"gradient descent": 0.9}}),
        ([2], {"powers": {"heavy ball": 0.9}}),
        ([3], {"powers": {"nesterov": 1.1}}),
        ([5], {"search": 0.9}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_growth_of_another_exponent_fails(table_of):
    table = table_of()
    slow = table["sweep"] == "heavy ball 40"
    table.loc[slow, "value"] = best_rate(40, "gradient_descent") ** table.loc[slow, "step"]
    assert [i for i, claim in enumerate(figure.claims(table)) if claim.verdict != "holds"] == [2, 4]
