"""Made-up pairs whose distances, losses and gaps are a part of their bounds."""

import json

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import algorithmic_stability as figure
from atml_exp.stability import (
    brier_constants,
    convex_divergence,
    nonconvex_bound,
    strongly_convex_bound,
    strongly_convex_divergence,
)

STEPS, RADIUS, RATE, PENALTY = 40, 2.0, 0.1, 0.1
SIZES, SEEDS = (50, 100, 200), (0, 1, 2)
AT = np.array([0, 20, 40])
LOSSES = {"convex": "logistic", "strongly convex": "logistic", "not convex": "brier", "net": "brier"}


@pytest.fixture
def table_of(runs, together, tmp_path):
    """parts: of the bounds, by sweep; the other values as they stand; power: of n in the distances."""

    def pair(sweep, n, seed, parts, rate, power, before, undrawn, drawn, gap, replaced):
        rates = rate / np.arange(1, STEPS + 1) if sweep == "not convex" else np.full(STEPS, rate)
        bound = convex_divergence(rates, RADIUS, n)
        losses = RADIUS * bound[AT]
        if sweep == "strongly convex":
            bound = strongly_convex_divergence(rates, RADIUS, PENALTY, n)
            losses = np.full(3, strongly_convex_bound(RADIUS, PENALTY, n))
        if sweep == "not convex":
            losses = np.append(0, nonconvex_bound(AT[1:], rate, *brier_constants(RADIUS), n))
        part = parts.get(sweep, 0.5)
        mean, differences = part * bound * (n / 50) ** (1 + power), part * losses
        noise = 0.05 * differences[-1] * (seed - 1)
        arrays = {"path": mean, "mean": mean, "learning_rate": rates, "at": AT, "differences": differences}
        arrays |= {"gaps": gap * differences, "replacement_gaps": gap * differences}
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for key, values in arrays.items():
            np.savez(
                directory / "arrays" / f"algorithmic_stability.{key}.npz", steps=np.zeros(1), values=values[None]
            )
        numbers = {"radius": RADIUS, "before_draw": before, "growth_undrawn": undrawn, "growth_drawn": drawn}
        numbers |= {"divergence": mean[-1], "difference": differences[-1], "gap": gap * differences[-1] + noise}
        numbers["replacement_gap"] = replaced * differences[-1]
        of = {"loss": LOSSES[sweep], "dataset__wrapper__subset__num_train": n, "directory": str(directory)}
        of |= {"optimiser__learning_rate": rate, "optimiser__weight_decay": PENALTY}
        metrics = [(f"algorithmic_stability/{key}", [value]) for key, value in numbers.items()]
        return runs(*metrics, sweep=sweep, seed=seed, **of)

    def make(
        parts=(), rate=RATE, power=-1.0, before=0.0, undrawn=0.0, drawn=RADIUS, gap=0.3, replaced=0.3, off=1e-14
    ):
        rest = (dict(parts), rate, power, before, undrawn, drawn, gap, replaced)
        found = [pair(sweep, n, seed, *rest) for sweep in LOSSES for n in SIZES for seed in SEEDS]
        for ridge in (0.01, 0.1):
            names = ("leave_one_out/risk", "leave_one_out/train_risk", "leave_one_out/retrained_risk", "test/loss")
            metrics = [(name, [0.3]) for name in names] + [("leave_one_out/deviation", [off])]
            found.append(runs(*metrics, sweep="leave one out", recipe__ridge=ridge))
        return together(*found)

    return make


def test_claims_hold_at_a_part_of_the_bounds(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 10
    assert [claim.measured for claim in claims] == pytest.approx(
        [0.5, 0.5, 0.5, 0, 0, 0.5, 0.3, 0, 0, 1e-14], abs=1e-9
    )


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"parts": {"convex": 1.1}}),
        ([1], {"parts": {"strongly convex": 1.1}}),
        ([2], {"parts": {"not convex": 1.1}}),
        ([3], {"before": 1e-17}),
        ([4], {"undrawn": 1e-9}),
        ([5], {"drawn": 2.1 * RADIUS}),
        ([6], {"gap": 1.2, "replaced": 1.2}),
        ([7], {"replaced": 0.6}),
        ([8], {"power": -0.7}),
        ([9], {"off": 1e-6}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_steps_that_are_too_large_for_the_theory_are_not_measured_by_it(table_of):
    """2/β is 2, and 1/(β + γ) below 1; the bound for losses that aren't convex knows no largest step."""
    claims = figure.claims(table_of(rate=2.1))
    assert [i for i, claim in enumerate(claims) if claim.verdict == "not measured"] == [0, 1]
