import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import convergence_rates_convex as figure
from atml_exp.theory import acceleration_bound, first_order_lower_bound, gradient_descent_bound

N, RADIUS = 4, 2.0


def table_of(runs, together, seed=0, descent=0.5, fast=0.2, search=0.4, huber=1.0, floor=2.0, known=True, rate=1.0):
    constants = [(f"suboptimality/{name}", [v]) for name, v in (("smoothness", 1.0), ("strong_convexity", 0.0))]
    constants = constants if known else []
    steps = range(N + 1)
    last = float(first_order_lower_bound(N, 1.0, RADIUS))
    gaps = {
        "gradient descent": [descent * float(gradient_descent_bound(n, 1.0, RADIUS)) for n in steps],
        "acceleration": [fast * float(acceleration_bound(n, 1.0, RADIUS)) for n in range(N)] + [floor * last],
        "line search": [search * float(gradient_descent_bound(n, 1.0, RADIUS)) for n in steps],
        "valley, backtracking": [24, 4, 1, 0.1, 0.01],
        "valley, fixed step": [24, 5, 4, 4, 4],
    }
    parts = []
    for name, values in gaps.items():
        metrics = (("suboptimality/gap", values), ("suboptimality/distance", [RADIUS] * len(values)))
        metrics = (*metrics, *([] if "valley" in name else constants))
        of = {"model": "nesterov_worst_case" if known else "rosenbrock", "optimiser__learning_rate": rate}
        parts.append(runs(*metrics, sweep=name, seed=seed, model__dimension=2 * N + 1, **of))
    for made_for in (1, 3):
        at = [float(gradient_descent_bound(n, 1.0, 1.0)) * (huber if n == made_for else 0.9) for n in steps]
        metrics = (("suboptimality/gap", at), ("suboptimality/distance", [1.0]), *constants)
        of = {"model": "huber_worst_case", "optimiser__learning_rate": rate}
        parts.append(runs(*metrics, sweep="huber", seed=seed, model__steps=made_for, **of))
    return together(*parts)


def test_claims_hold_within_the_bounds(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert [claim.measured for claim in claims[:4]] == pytest.approx([0.5, 0, 0.2, 2.0], abs=1e-9)


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"descent": 1.01}),
        ([1], {"huber": 1.001}),
        ([2], {"fast": 1.2}),
        ([3], {"floor": 0.9}),
        ([4], {"search": 0.001, "floor": 1.2}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    found = [i for i, claim in enumerate(claims) if claim.verdict != "holds"]
    assert set(failing) <= set(found) <= {*failing, 3}


@pytest.mark.parametrize("changes", [{"known": False}, {"rate": 0.5}], ids=["no constant", "other steps than 1/L"])
def test_without_a_known_constant_no_bound_is_drawn_and_none_is_claimed(runs, together, changes):
    table = table_of(runs, together, **changes)
    dashed = [line for axes in figure.draw(table).axes for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed == []
    assert [claim.verdict for claim in figure.claims(table)[:3]] == ["not measured"] * 3
    whole = figure.draw(table_of(runs, together))
    assert [sum(line.get_linestyle() == "--" for line in axes.lines) for axes in whole.axes] == [2, 1, 0]


def test_the_limit_of_any_method_is_that_of_its_function_alone(runs, together):
    table = table_of(runs, together)
    other = table.assign(model=table["model"].replace("nesterov_worst_case", "quadratic"))
    marks = [[line.get_marker() for line in figure.draw(t).axes[0].lines].count("v") for t in (table, other)]
    assert marks == [1, 0]
    assert figure.claims(other)[3].verdict == "not measured"


def test_other_functions_than_hubers_leave_the_middle_empty(runs, together):
    table = table_of(runs, together)
    assert not figure.draw(table.drop(columns="model.steps")).axes[1].lines
