import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import sam_vs_sgd as figure

RADII = (0.02, 0.05, 0.2)


def run(runs, sweep, noise, top, error, seed=0, **columns):
    metrics = ("sharpness/top", [9.0, top]), ("test/error", [0.9, error])
    return runs(*metrics, sweep=sweep, seed=seed, dataset__wrapper__label_noise__fraction=noise, **columns)


def table(runs, sam, sgd, short, seed=0):
    """Each with (sharpness, error on correct labels, error on wrong ones); SAM's sharpness for each radius."""
    tops, *errors = sam
    parts = [
        run(runs, "SAM", noise, top, error, seed, optimiser__rho=rho)
        for noise, error in zip((0.0, 0.2), errors, strict=True)
        for rho, top in zip(RADII, tops, strict=True)
    ]
    for name, (top, *errors) in (("SGD", sgd), ("SGD, as many steps", short)):
        parts += [run(runs, name, n, top, e, seed) for n, e in zip((0.0, 0.2), errors, strict=True)]
    return parts


def test_claims_hold_of_what_the_paper_describes(runs, together):
    parts = [
        table(runs, ((3, 2, 1), 0.01, 0.05), (4, 0.02, 0.15), (5, 0.02, 0.10 + seed), seed) for seed in range(2)
    ]
    claims = check_figure(figure, together(*parts[0], *parts[1]))
    assert [c.verdict for c in claims] == ["holds"] * 5
    assert [c.measured for c in claims] == pytest.approx([0.5, -1, -1, -10, -55])
    assert claims[4].values == pytest.approx((-5, -105))


def test_claims_fail_of_the_contrary(runs, together):
    parts = table(runs, ((1, 5, 6), 0.03, 0.15), (4, 0.02, 0.05), (4, 0.02, 0.10))
    claims = check_figure(figure, together(*parts))
    assert [c.verdict for c in claims] == ["does not hold"] * 5
    assert [c.measured for c in claims] == pytest.approx([1.25, 1, 1, 10, 5])


def test_without_the_usual_radius_nothing_is_compared(runs, together):
    whole = together(*table(runs, ((3, 2, 1), 0.01, 0.05), (4, 0.02, 0.15), (5, 0.02, 0.10)))
    claims = check_figure(figure, whole[whole[figure.RHO] != 0.05].reset_index(drop=True))
    assert [c.verdict for c in claims] == ["not measured", "holds"] + ["not measured"] * 3
