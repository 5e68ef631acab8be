"""Rank correlations against scipy, textbook formulas, loops over pairs, and grids whose answer is known."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from atml_exp.ranking import (
    GranulatedKendall,
    bootstrap_interval,
    granulated_kendall,
    kendall_tau,
    partial_correlation,
)

AXES = ["rate", "batch", "width"]
SIZES = {"rate": 3, "batch": 4, "width": 5}


def grid(seeds: int = 1) -> pd.DataFrame:
    """3 × 4 × 5 models for each seed, and a target that no two share."""
    table = pd.DataFrame(
        itertools.product(*(range(n) for n in SIZES.values()), range(seeds)), columns=[*SIZES, "seed"]
    )
    return table.assign(gap=np.random.default_rng(0).permutation(len(table)) / 7)


def looped(table: pd.DataFrame, measure: str, target: str, axes: list[str]) -> GranulatedKendall:
    """The definition, pair by pair."""
    by_axis, cells = {}, {}
    for axis in axes:
        taus = []
        for _, cell in table.groupby([c for c in axes if c != axis]):
            rows = list(cell[[measure, target]].itertuples(index=False))
            signs = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in itertools.permutations(rows, 2)]
            taus.append(sum(signs) / (len(rows) * (len(rows) - 1)))
        by_axis[axis], cells[axis] = sum(taus) / len(taus), len(taus)
    return GranulatedKendall(sum(by_axis.values()) / len(by_axis), by_axis, cells)


# Kendall's τ


@pytest.mark.parametrize("levels", [3, 10, 10**6])
def test_tau_is_scipys_and_without_ties_both_variants_agree(levels):
    rng = np.random.default_rng(levels)
    x, y = rng.integers(levels, size=(2, 40))
    assert kendall_tau(x, y, "b") == pytest.approx(kendalltau(x, y).statistic, rel=1e-12)
    if levels == 10**6:
        assert kendall_tau(x, y) == pytest.approx(kendall_tau(x, y, "b"), rel=1e-12)
    else:
        assert abs(kendall_tau(x, y)) < abs(kendall_tau(x, y, "b"))


def test_tau_depends_on_ranks_only_and_changes_sign_with_them():
    x, y = np.random.default_rng(0).normal(size=(2, 30))
    tau = kendall_tau(x, y)
    assert kendall_tau(np.exp(x), y**3) == tau
    assert kendall_tau(-x, y) == kendall_tau(y, -x) == -tau


def test_infinities_have_ranks():
    assert kendall_tau([1, 2, np.inf, np.inf], [1, 2, 3, 4]) == pytest.approx(5 / 6)
    assert kendall_tau([-np.inf, 0, np.inf], [1, 2, 3]) == 1


def test_a_constant_gives_0_where_tau_b_is_undefined():
    assert kendall_tau([2, 2, 2], [1, 2, 3]) == 0
    assert np.isnan(kendall_tau([2, 2, 2], [1, 2, 3], "b"))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1, 2, 3], r"one length, at least 2; got the shapes \(2,\) and \(3,\)"),
        ([1], [1], "at least 2"),
        ([1, np.nan], [1, 2], "hold NaN, which has no rank: take out runs that diverged"),
    ],
)
def test_tau_refuses_what_has_none(x, y, message):
    with pytest.raises(ValueError, match=message):
        kendall_tau(x, y)


# granulated


def test_a_monotone_measure_scores_1_everywhere():
    found = granulated_kendall(grid().eval("m = gap ** 3"), "m", "gap", AXES)
    assert found.overall == 1
    assert found.by_axis == dict.fromkeys(AXES, 1)
    assert found.cells == {"rate": 20, "batch": 15, "width": 12}
    assert granulated_kendall(grid().eval("m = -gap"), "m", "gap", AXES).by_axis == dict.fromkeys(AXES, -1)


@pytest.mark.parametrize("axis", AXES)
def test_a_measure_of_one_axis_scores_on_that_axis_only(axis):
    """Where the target grows with all axes: exactly 1 and 0, for the axis itself as well as a function of it."""
    table = grid().eval("gap = rate + 10 * batch + 100 * width").assign(m=lambda t: t[axis] ** 2)
    for measure in (axis, "m"):
        found = granulated_kendall(table, measure, "gap", AXES)
        assert found.by_axis == {a: float(a == axis) for a in AXES}
        assert found.overall == 1 / 3


def test_a_constant_measure_or_target_scores_0():
    table = grid().assign(m=1.0)
    assert granulated_kendall(table, "m", "gap", AXES).by_axis == dict.fromkeys(AXES, 0)
    assert granulated_kendall(table, "gap", "m", AXES).overall == 0


def test_random_measures_with_ties_are_those_of_the_definition():
    table = grid().assign(m=np.random.default_rng(1).integers(0, 4, 60))
    found, truth = (f(table, "m", "gap", AXES) for f in (granulated_kendall, looped))
    assert found.by_axis == pytest.approx(truth.by_axis, abs=1e-15)
    assert found.overall == pytest.approx(truth.overall, abs=1e-15)
    assert found.cells == truth.cells


def test_order_of_rows_and_names_of_values_mean_nothing():
    table = grid().assign(m=np.random.default_rng(1).normal(size=60))
    renamed = table.sample(frac=1, random_state=0).assign(batch=lambda t: t["batch"].map(dict(enumerate("zxay"))))
    a, b = (granulated_kendall(t, "m", "gap", AXES) for t in (table, renamed))
    assert (a.by_axis, a.cells) == (pytest.approx(b.by_axis), b.cells)


def test_a_hyperparameter_fools_plain_tau_but_not_the_granulated_one():
    """The measure follows the width, as the target does, and is noise within each width."""
    rng = np.random.default_rng(0)
    table = grid().assign(
        m=lambda t: 10 * t["width"] + rng.random(60), gap=lambda t: 10 * t["width"] + rng.random(60)
    )
    assert kendall_tau(table["m"], table["gap"]) > 0.8
    found = granulated_kendall(table, "m", "gap", AXES)
    assert found.by_axis["width"] == 1
    assert abs(found.by_axis["rate"]) < 0.3


def test_seeds_are_held_fixed_and_get_no_axis():
    """Seeds shift the target more than all else, and the measure the other way."""
    table = grid(seeds=3).eval("gap = rate + 10 * batch + 100 * width + 1000 * seed").eval("m = gap - 5000 * seed")
    found = granulated_kendall(table, "m", "gap", AXES)
    assert found.by_axis == dict.fromkeys(AXES, 1)
    assert found.cells == {"rate": 60, "batch": 45, "width": 36}
    assert granulated_kendall(table, "m", "gap", [*AXES, "seed"]).by_axis == {**dict.fromkeys(AXES, 1), "seed": -1}
    renamed = table.rename(columns={"seed": "run"})
    assert granulated_kendall(renamed, "m", "gap", AXES, seeds="run").cells == found.cells


def test_with_seeds_it_is_the_mean_over_seeds():
    table = grid(seeds=3).assign(m=np.random.default_rng(1).normal(size=180))
    each = [granulated_kendall(rows, "m", "gap", AXES).overall for _, rows in table.groupby("seed")]
    assert granulated_kendall(table, "m", "gap", AXES).overall == pytest.approx(np.mean(each))


def test_cells_of_one_model_do_not_count():
    table = grid().query("not (batch == 0 and width == 0 and rate > 0)").assign(m=lambda t: t["gap"])
    assert granulated_kendall(table, "m", "gap", AXES).cells == {"rate": 19, "batch": 15, "width": 12}


def test_one_axis_has_one_cell():
    table = pd.DataFrame({"rate": [1, 2, 3], "m": [1.0, 3.0, 2.0], "gap": [1.0, 2.0, 3.0]})
    found = granulated_kendall(table, "m", "gap", ["rate"])
    assert (found.overall, found.cells) == (pytest.approx(1 / 3), {"rate": 1})


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda t: t, ("gpa", "gap", AXES), "no column 'gpa'; did you mean 'gap'"),
        (lambda t: t, ("gap", "gap", ["rte"]), "no column 'rte'; did you mean 'rate'"),
        (lambda t: t, ("gap", "gap", ["qqq"]), "no column 'qqq'; there are: rate, batch, width, seed, gap"),
        (lambda t: t.assign(m=np.nan), ("m", "gap", AXES), "column 'm' isn't finite in 60 of 60 rows: leave those"),
        (lambda t: t.assign(m=np.inf), ("gap", "m", AXES), "column 'm' isn't finite"),
        (
            lambda t: t.assign(m="x"),
            ("m", "gap", AXES),
            "column 'm' holds .*: a measure or target must be a number",
        ),
        (lambda t: t.query("rate == 1"), ("gap", "gap", AXES), "axis 'rate' has one value, 1: nothing varies"),
        (lambda t: t.assign(rate=np.nan), ("gap", "gap", AXES), "axis 'rate' holds NaN"),
        (lambda t: t.query("rate == 9"), ("gap", "gap", AXES), "the table holds no row"),
        (lambda t: t, ("gap", "gap", []), r"axes must be a list of different columns; got \[\]"),
        (lambda t: t, ("gap", "gap", ["rate", "rate"]), "axes must be a list of different columns"),
        (lambda t: t, ("gap", "gap", "rate"), "axes must be a list of different columns; got 'rate'"),
        (lambda t: t, ("gap", "gap", ["rate", "batch"]), "several models with rate = 0, batch = 0, seed = 0: name"),
        (lambda t: pd.concat([t, t]), ("gap", "gap", AXES), "several models with .* or average them"),
        (
            lambda t: t.query("rate == batch").query("width == 0"),
            ("gap", "gap", ["rate", "batch"]),
            "axis 'rate': no two models differ in it alone",
        ),
    ],
)
def test_what_cannot_be_ranked_is_refused(change, arguments, message):
    with pytest.raises(ValueError, match=message):
        granulated_kendall(change(grid()), *arguments)


# partial correlation


def test_given_a_binary_variable_it_is_the_textbooks_formula():
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, 50)
    table = pd.DataFrame({"z": z, "x": 3 * z + rng.normal(size=50), "y": z + rng.normal(size=50)})
    for method, correlation in (("pearson", pearsonr), ("spearman", spearmanr)):
        xy, xz, yz = (correlation(table[a], table[b]).statistic for a, b in ("xy", "xz", "yz"))
        truth = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        assert partial_correlation(table, "x", "y", ["z"], method=method) == pytest.approx(truth, rel=1e-10)
        assert partial_correlation(table, "x", "y", [], method=method) == pytest.approx(xy, rel=1e-10)


def test_given_one_variable_it_is_the_correlation_within_its_groups():
    table = grid().assign(m=np.random.default_rng(1).normal(size=60))
    within = table[["m", "gap"]] - table.groupby("width")[["m", "gap"]].transform("mean")
    found = partial_correlation(table, "m", "gap", ["width"], method="pearson")
    assert found == pytest.approx(within["m"].corr(within["gap"]), rel=1e-10)


def test_whatever_depends_on_hyperparameters_alone_correlates_with_nothing():
    table = grid().eval("m = (rate - 1) ** 2 - batch").assign(text=lambda t: t["width"].astype(str))
    given = ["rate", "batch", "text"]
    assert partial_correlation(table, "m", "gap", given, method="pearson") == 0
    assert partial_correlation(table.eval("m = m + 7 * gap"), "m", "gap", given, method="pearson") == pytest.approx(
        1
    )


def test_partial_correlation_needs_models_to_spare():
    with pytest.raises(ValueError, match=r"3 models and 3 effects of \['rate'\]: nothing is left"):
        partial_correlation(grid().query("batch == 0 and width == 0"), "gap", "gap", ["rate"])
    with pytest.raises(ValueError, match="no column 'rat'; did you mean 'rate'"):
        partial_correlation(grid(), "gap", "gap", ["rat"])


# bootstrap


def test_the_interval_of_a_mean_is_that_of_all_resamples():
    """Four seeds have 4⁴ resamples: the quantiles of their means, to what 20,000 draws leave."""
    values = np.array([0.0, 1.0, 3.0, 7.0])
    means = np.mean(list(itertools.product(values, repeat=4)), axis=1)
    table = pd.DataFrame({"seed": [3, 5, 8, 9], "v": values})
    found = bootstrap_interval(table, lambda t: t["v"].mean(), num_samples=20_000, confidence=0.9)
    assert found == pytest.approx(tuple(np.quantile(means, [0.05, 0.95])), abs=0.26)
    assert bootstrap_interval(table, lambda t: t["v"].mean(), seed=1, num_samples=5) != pytest.approx(found)


def test_a_seed_drawn_twice_counts_as_two_and_keeps_its_rows_together():
    seen = []
    table = grid(seeds=2).assign(m=lambda t: t["gap"])

    def statistic(t: pd.DataFrame) -> float:
        seen.append(t)
        return granulated_kendall(t, "m", "gap", AXES).overall

    assert bootstrap_interval(table, statistic) == (1, 1)
    assert len(seen) == 3  # 00, 01, 11
    assert all(len(t) == 120 and t["seed"].nunique() == 2 for t in seen)
    assert table["seed"].nunique() == 2


def test_draws_are_seeded_and_confidence_widens():
    table = pd.DataFrame({"seed": range(8), "v": np.random.default_rng(0).normal(size=8)})

    def interval(**options):
        return bootstrap_interval(table, lambda t: t["v"].mean(), num_samples=200, **options)

    assert interval() == interval()
    assert interval(confidence=0.5).low > interval().low
    assert interval(confidence=0.5).high < interval().high


def test_bootstrap_refuses_what_it_cannot_draw_from():
    table = pd.DataFrame({"seed": [0, 0], "v": [1.0, 2.0]})
    with pytest.raises(ValueError, match="the table holds 1 value of 'seed': at least 2"):
        bootstrap_interval(table, lambda t: 0.0)
    with pytest.raises(ValueError, match=r"confidence must be in \(0, 1\) and num_samples positive; got 95, 1000"):
        bootstrap_interval(table, lambda t: 0.0, confidence=95)


def test_it_needs_no_torch():
    code = "import sys, atml_exp.ranking; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
