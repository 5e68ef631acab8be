import pandas as pd
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import depth_vs_width as figure
from atml_exp.piece_bounds import least_tent_error, most_pieces

NETS = ((1, 335), (5, 15), (1, 1035), (5, 27))
"""Depth and width; of 1,006 and of 3,106 parameters."""
FOLDS, RATES = (2, 5), (0.01, 0.1)


def of_tent(runs, seed, deep=0.3, shallow=0.6, large=0.0, pieces=12, best=0.01, excess=0.1):
    """Every net has so many pieces and an error above what they leave; the other step size trains worse."""
    for depth, width in NETS:
        for folds in FOLDS:
            for rate in RATES:
                error = max((deep if depth > 1 else shallow) + (large if width in (27, 1035) and depth > 1 else 0),
                            float(least_tent_error(pieces, folds)) + excess if folds == 5 else 0.0)  # fmt: skip
                worse = 0.0 if rate == best else 0.3
                yield runs(
                    ("train/loss", [1.0, error / 24 + worse]),
                    ("test/r_squared", [0.0, 1 - error - worse]),
                    ("linear_pieces/pieces", [9.0, pieces]),
                    sweep="tent map",
                    seed=seed,
                    model__depth=depth,
                    model__width=width,
                    dataset__folds=folds,
                    optimiser__learning_rate=rate,
                )


def of_lines(runs, seed, growth=1.0, first=None):
    for depth in (1, 4):
        for width in (8, 32):
            pieces = (width * depth) ** growth if first is None or depth > 1 else first
            of = {"sweep": "initialisation", "model__depth": depth, "model__width": width}
            yield runs(("linear_pieces/pieces", [pieces]), seed=seed, **of)


def of_digits(runs, seed, errors=(0.03, 0.035), pieces=50.0):
    for depth, error in zip((1, 8), errors, strict=True):
        for skip in (False, True):
            of = {"sweep": "digits", "model__depth": depth, "model__width": 60, "model__skip": skip}
            curves = (("train/loss", [0.1]), ("test/error", [error]), ("linear_pieces/pieces", [pieces]))
            yield runs(*curves, seed=seed, optimiser__learning_rate=0.01, **of)


def table_of(runs, together, tent=None, lines=None, digits=None):
    parts = []
    for seed in (0, 1):
        parts += [*of_tent(runs, seed, **(tent or {})), *of_lines(runs, seed, **(lines or {}))]
        parts += of_digits(runs, seed, **(digits or {}))
    return together(*parts)


def test_claims_hold_on_ideal_data(runs, together):
    claims = check_figure(figure, table_of(runs, together))
    assert [claim.verdict for claim in claims] == ["holds"] * 8
    bound = 1 - 11 / 16
    mean = [(0.3 + max(0.3, bound + 0.1)) / 2, (0.6 + 0.6) / 2]
    assert claims[1].measured == pytest.approx(0.1)
    assert [claim.measured for claim in claims[2:4]] == pytest.approx([mean[0] - mean[1]] * 2)
    assert claims[4].measured == pytest.approx(0, abs=1e-9)
    assert claims[7].measured == pytest.approx(0.5)
    assert all(size in c.statement for size, c in zip(("1,006", "3,106"), claims[2:4], strict=True))


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"lines": {"first": 40}}),
        ([1], {"tent": {"excess": -0.01, "deep": 0.0, "shallow": 0.1}}),
        ([2, 3], {"tent": {"deep": 0.8}}),
        ([3], {"tent": {"large": 0.5}}),
        ([4], {"lines": {"growth": 0.8}}),
        ([5], {"tent": {"pieces": 100}}),
        ([6], {"digits": {"pieces": 100}}),
        ([7], {"digits": {"errors": (0.03, 0.06)}}),
    ],
)
def test_each_claim_can_fail(runs, together, failing, changes):
    claims = figure.claims(table_of(runs, together, **changes))
    found = [i for i, c in enumerate(claims) if c.verdict == "does not hold"]
    assert set(failing) <= set(found) <= {*failing, 4}  # a count moved off the line changes the slope


def test_the_step_size_is_chosen_by_training_loss_for_each_net_and_map(runs, together):
    table = together(*of_tent(runs, 0, best=0.1), *of_tent(runs, 1, best=0.1))
    assert set(figure._on_tent(table)["optimiser.learning_rate"]) == {0.1}
    assert len(figure._on_tent(table)) == 2 * len(NETS) * len(FOLDS)


def test_sizes_are_equal():
    sized = figure._sized(pd.DataFrame(NETS, columns=["model.depth", "model.width"]), 1, 1)
    assert sized["parameters"].tolist() == [1006, 1006, 3106, 3106]
    assert figure._largest_share(sized.assign(value=[most_pieces(w, d) for d, w in NETS])) == 1
