import numpy as np
import pandas as pd
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import dying_relu as figure

DEPTHS, WIDTH, NETS = (1, 4, 30), 2, 64
RATES = (0.01, 1.0)


def table_of(runs, together, one=0.0, every=-0.1, deepest=None, relu=(0.0, 0.9), leaky=(0.0, 0.0)):
    """Shares of dead nets are the probability's, moved by one and by every."""
    parts = []
    for sweep, moved in (("one input", one), ("all inputs", every)):
        for depth in DEPTHS:
            p = 1 - (1 - 2.0**-WIDTH) ** depth
            share = deepest if deepest is not None and depth == max(DEPTHS) else np.clip(p + moved, 0, 1)
            dead = np.arange(NETS) < round(share * NETS)
            of = {"sweep": sweep, "model__width": WIDTH, "model__depth": depth}
            parts += [runs(("dead_units/max", [float(d)]), seed=s, **of) for s, d in enumerate(dead)]
    for activation, fractions in (("relu", relu), ("leaky_relu", leaky)):
        for rate, fraction in zip(RATES, fractions, strict=True):
            of = {"sweep": "training", "model__activation": activation, "optimiser__learning_rate": rate}
            parts.append(runs(("dead_units/fraction", [0.0, fraction]), **of))
    return together(*parts)


def test_claims_hold_at_the_probability(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 5
    assert claims[0].measured < 0.5
    assert claims[2].measured == pytest.approx(100 * round(0.9 * NETS) / NETS, abs=2)
    assert [claim.measured for claim in claims[3:]] == [90, 0]


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"one": -0.3}),
        ([1], {"every": 0.4}),
        ([2], {"deepest": 0.4, "one": 0.0}),
        ([3], {"relu": (0.5, 0.1)}),
        ([4], {"leaky": (0.0, 0.1)}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    found = [i for i, c in enumerate(figure.claims(table_of(runs, together, **changes))) if c.verdict != "holds"]
    assert set(failing) <= set(found) <= {*failing, 0}  # what moves the deepest of all inputs moves that of one


def test_a_net_with_one_dead_unit_is_alive(runs):
    table = pd.concat([runs(("dead_units/max", [v]), sweep="one input", seed=0) for v in (0.5, 1.0)])
    assert figure._dead(table, "one input")["value"].tolist() == [0.0, 1.0]
