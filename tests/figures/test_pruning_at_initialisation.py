import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import pruning_at_initialisation as figure

DENSITIES = (0.2, 0.02)
ERRORS = {  # at those densities
    "snip": (0.06, 0.20),
    "grasp": (0.07, 0.25),
    "synflow": (0.06, 0.15),
    "obd": (0.08, 0.40),
    "magnitude": (0.07, 0.30),
    "random": (0.10, 0.50),
    figure.AFTER: (0.04, 0.10),
}
EMPTIED = {"snip": 1, "grasp": 2}


def table_of(runs, together, seed=0, emptied=EMPTIED, **changes):
    """emptied: layers, at the lowest density."""
    parts = []
    for name, errors in (ERRORS | changes).items():
        after = name == figure.AFTER
        for density, error in zip(DENSITIES, errors, strict=True):
            layers = emptied.get(name, 0) if density == min(DENSITIES) else 0
            columns = {"recipe__criterion": "magnitude" if after else name, "recipe__density": density}
            metrics = (("test/error", [0.9, error]), ("mask/emptied_layers", [layers, layers]))
            sweep = figure.AFTER if after else "at initialisation"
            parts.append(runs(*metrics, sweep=sweep, seed=seed, **columns))
    return together(*parts)


def test_claims_hold_of_what_the_papers_found(runs, together):
    claims = check_figure(figure, together(table_of(runs, together), table_of(runs, together, seed=1)))
    assert [claim.verdict for claim in claims] == ["holds"] * 6
    assert [claim.measured for claim in claims] == pytest.approx([17, 14, 19.5, 2, 0, 1])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"snip": (0.2, 0.6)}),
        ([1], {"grasp": (0.2, 0.6)}),
        ([2], {"synflow": (0.2, 0.6)}),
        ([3], {"obd": (0.03, 0.5)}),
        ([4], {"emptied": EMPTIED | {"synflow": 1}}),
        ([5], {"emptied": {"snip": 3}}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_magnitude_before_is_not_magnitude_after(runs, together):
    """The black line is of the other sweep, though its criterion has the same name."""
    left = figure.draw(table_of(runs, together)).axes[0]
    black = next(line for line in left.lines if line.get_marker() == "s")
    assert black.get_ydata().tolist() == [10, 4]
