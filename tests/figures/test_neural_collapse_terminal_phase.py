import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import neural_collapse_terminal_phase as figure

NAMES = ("nc1", "nc2_equiangle_means", "nc2_equinorm_means", "nc3", "nc4")


def run(runs, loss="mse", seed=0, end=0.1, test=(0.9, 0.1, 0.05, 0.05), train=(0.9, 0.1, 0.0, 0.0), nc4=0.0):
    falling = np.linspace(1, end, 4)
    quantities = [(f"neural_collapse/{n}", [*falling[:3], nc4] if n == "nc4" else falling) for n in NAMES]
    return runs(*quantities, ("train/error", train), ("test/error", test), seed=seed, loss=loss)


def verdicts(table):
    return [claim.verdict for claim in check_figure(figure, table)]


def test_claims_hold_where_everything_collapses(runs, together):
    table = together(run(runs), run(runs, "cross_entropy", end=0.4), run(runs, seed=1))
    assert verdicts(table) == ["holds"] * 6
    nc1 = figure.claims(table)[0]
    assert nc1.values == pytest.approx((0.4 / 0.6, 0.1 / 0.4))  # from epoch 2 on; the worse of the losses


def test_claims_fail_where_it_grows(runs):
    table = run(runs, end=3.0, test=(0.9, 0.1, 0.05, 0.06), nc4=0.01)
    assert verdicts(table) == ["does not hold"] * 6


def test_the_terminal_phase_begins_where_the_error_stays_zero(runs):
    table = run(runs, train=(0.9, 0.0, 0.1, 0.0))
    assert figure.claims(table)[0].measured == 1.0  # it begins at the end


def test_without_a_terminal_phase_nothing_is_measured(runs):
    assert verdicts(run(runs, train=(0.9, 0.1, 0.1, 0.1))) == ["not measured"] * 6
