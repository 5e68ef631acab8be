import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import adversarial_initialisation as figure


def net(runs, sweep, seed, rate, dimension, gap, norm, train=0.0):
    return runs(
        ("fractal_dimension/dimension", [dimension]), ("norms/weights", [norm]),
        ("test/error", [0.9, train + gap]), ("train/error", [0.9, train]),
        sweep=sweep, seed=seed, optimiser__learning_rate=rate,
    )  # fmt: skip


def table(runs, together, **adversarial):
    """Ordinary nets of gap 3 %, dimension 2 and norm 10, and adversarial ones."""
    parts = []
    for seed in range(2):
        for rate in (0.1, 0.2):
            parts.append(net(runs, "ordinary", seed, rate, 2.0, 0.03, 10.0))
            parts.append(net(runs, "adversarial", seed, rate, **adversarial))
    return together(*parts)


def test_claims_hold_of_what_the_papers_describe(runs, together):
    claims = check_figure(figure, table(runs, together, dimension=1.8, gap=0.08, norm=30.0))
    assert [c.verdict for c in claims] == ["holds"] * 4
    assert [c.measured for c in claims] == pytest.approx([5, 0, -0.2, 20])


def test_claims_fail_of_the_contrary(runs, together):
    claims = check_figure(figure, table(runs, together, dimension=2.5, gap=0.01, norm=5.0, train=0.1))
    assert [c.verdict for c in claims] == ["does not hold"] * 4


def test_without_one_initialisation_nothing_can_be_compared(runs, together):
    made = table(runs, together, dimension=1.8, gap=0.08, norm=30.0)
    claims = check_figure(figure, made[made["sweep"] == "ordinary"].reset_index(drop=True))
    assert [c.verdict for c in claims] == ["not measured", "holds", "not measured", "not measured"]
