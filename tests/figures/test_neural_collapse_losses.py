import math

import numpy as np
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import neural_collapse_losses as figure

NAMES = ("nc1", "nc2_etf_means", "nc3")
N, FREE_DECAY = 100, 5e-3
MINIMA = {  # of ten classes of ten examples at this decay
    "cross_entropy": math.log1p(9 / (1 / (FREE_DECAY * math.sqrt(10)) - 9)),
    "mse": 9 / 20 * (10 * FREE_DECAY * math.sqrt(10)) ** 2 + (FREE_DECAY / (1 + FREE_DECAY)) ** 2 / 20,
}


def run(runs, sweep, loss, decay, *, end=0.1, test=0.3, final=0.1, seed=0):
    falling = [2.0, 0.5, end]
    quantities = [(f"neural_collapse/{n}", falling) for n in NAMES] + [("neural_collapse/nc4", [0.9, 0.1, 0.0])]
    if sweep != "unconstrained":
        quantities += [(f"neural_collapse_test/{n}", [2.0, 1.0, test]) for n in (*NAMES, "nc4")]
    errors = ("train/error", [0.5, 0.0, 0.0])
    columns = {"loss": loss, "optimiser__weight_decay": decay, "num_train": N}
    return runs(*quantities, errors, ("train/loss", [1.0, 0.5, final]), sweep=sweep, seed=seed, **columns)


def table_of(runs, together, *, seed=0, **changes):
    """changes: of what each run of a kind ends at: decayed, plain, noisy, free, test, noisy_test, off."""
    at = {"decayed": 0.1, "plain": 0.2, "noisy": 0.3, "free": 1e-6, "test": 0.3, "noisy_test": 0.6, "off": 1.0}
    at |= changes
    parts = []
    for loss in MINIMA:
        for decay in (0.0, FREE_DECAY):
            end = at["decayed"] if decay else at["plain"]
            parts.append(run(runs, "digits", loss, decay, end=end, test=at["test"], seed=seed))
            parts.append(run(runs, "label_noise", loss, decay, end=at["noisy"], test=at["noisy_test"], seed=seed))
            free = {"end": at["free"], "final": at["off"] * MINIMA[loss]} if decay else {}
            parts.append(run(runs, "unconstrained", loss, decay, seed=seed, **free))
    return together(*parts)


def test_claims_hold_where_everything_is_as_the_papers_say(runs, together):
    table = together(table_of(runs, together), table_of(runs, together, seed=1, test=0.2))
    claims = check_figure(figure, table)
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    expected = [(0.2, 0.2), (0.5, 0.5), (0.6, 0.6), (3.0, 2.0), (2.0, 3.0), (1e-6, 1e-6)]
    for claim, values in zip(claims, expected, strict=False):
        assert claim.values == pytest.approx(values)
    assert max(claims[6].values) < 1e-9


def test_each_claim_fails_by_itself(runs, together):
    for index, change in enumerate(
        [
            {"decayed": 0.6, "plain": 0.7, "test": 0.6},
            {"plain": 0.05},
            {"noisy": 0.7},
            {"test": 0.05},
            {"noisy_test": 0.2},
            {"free": 0.01},
            {"off": 1.01},
        ]
    ):
        found = [claim.verdict for claim in figure.claims(table_of(runs, together, **change))]
        assert found[index] == "does not hold", change
        assert found.count("does not hold") == 1, change


def test_without_a_terminal_phase_its_claims_are_not_measured(runs, together):
    table = table_of(runs, together)
    table.loc[(table["name"] == "train/error") & (table["sweep"] == "digits"), "value"] = 0.1
    assert [claim.verdict for claim in figure.claims(table)][:3] == ["not measured", "holds", "holds"]


def test_the_loss_at_the_minimum_is_the_least_along_the_frame(runs):
    """Against a search over the logits' scale and, of squared loss, the bias."""
    c, n, s = 10, N // 10, np.linspace(0, 10, 400_001)
    penalty = FREE_DECAY * (c - 1) * math.sqrt(n) * s
    for loss, expected in MINIMA.items():
        row = run(lambda *_, **columns: columns, "unconstrained", loss, FREE_DECAY)
        fit = np.log1p((c - 1) * np.exp(-s)) if loss == "cross_entropy" else (c - 1) / (2 * c) * (1 - s) ** 2
        bias = 0.0
        if loss == "mse":
            b = np.linspace(0, 0.2, 400_001)
            least = np.argmin(c / 2 * (b - 1 / c) ** 2 + FREE_DECAY * c / 2 * b**2)
            bias = c / 2 * (b[least] - 1 / c) ** 2
        assert row["num_train"] == N
        assert expected == pytest.approx(fit[np.argmin(fit + penalty)] + bias, rel=1e-3)


def test_a_part_of_the_figure_is_drawn_alone(runs, together):
    table = table_of(runs, together)
    assert figure.draw(table[table["sweep"] == "digits"]).get_axes()
