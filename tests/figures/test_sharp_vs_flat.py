import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import sharp_vs_flat as figure

RATES, BATCHES = (0.1, 0.2, 0.4), (8, 32, 128)


def grid(runs, top, error, train=0.0, seed=0):
    return [
        runs(
            ("sharpness/top", [1.0, top(rate, batch)]), ("test/error", [0.9, error(rate, batch)]),
            ("train/error", [0.9, train]), seed=seed, recipe__batch_size=batch, optimiser__learning_rate=rate,
        )
        for rate in RATES
        for batch in BATCHES
    ]  # fmt: skip


def test_claims_hold_of_what_the_papers_describe(runs, together):
    parts = [grid(runs, lambda e, b: (b / e) ** 0.5, lambda e, b: 0.01 * b / e / 1000, seed=s) for s in (0, 1)]
    claims = check_figure(figure, together(*parts[0], *parts[1]))
    assert [c.verdict for c in claims] == ["holds"] * 5
    assert [claims[i].measured for i in (0, 1, 3, 4)] == [1, -1, 1, 0]
    assert claims[0].values == (1, 1)


def test_claims_fail_of_the_contrary(runs, together):
    parts = [grid(runs, lambda e, b: e / b**0.01, lambda e, b: 0.01 * b, train=0.1, seed=s) for s in (0, 1)]
    claims = check_figure(figure, together(*parts[0], *parts[1]))
    assert [c.verdict for c in claims] == ["does not hold"] * 5
    assert [claims[i].measured for i in (0, 1, 3, 4)] == [-1, 1, -0.5, 10]


def test_one_seed_gives_no_interval(runs, together):
    claims = check_figure(figure, together(*grid(runs, lambda e, b: b / e, lambda e, b: 0.001 * b)))
    assert [c.verdict for c in claims] == ["holds"] * 3 + ["not measured", "holds"]


def test_the_ratio_is_weighed_against_its_parts():
    """Sharpness that follows B alone: τ of B is 1, that of η/B is what the step sizes leave."""
    import itertools

    import pandas as pd
    from scipy.stats import kendalltau

    table = pd.DataFrame(itertools.product(RATES, BATCHES), columns=[figure.RATE, figure.BATCH])
    table = table.assign(ratio=lambda t: t[figure.RATE] / t[figure.BATCH], top=lambda t: t[figure.BATCH])
    truth = abs(kendalltau(table["ratio"], table["top"]).statistic) - 1
    assert figure._advantage_of_the_ratio(table) == pytest.approx(truth)
    assert truth < 0
