import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import depth_vs_width as figure

SHAPES = {1: 330, 2: 30, 4: 17, 8: 11}
FOLDS = {"two folds": 2, "three folds": 3, "four folds": 4}


@pytest.fixture
def table_of(runs, together):
    def make(error=None, pieces=20.0, at_start=None, digits=None):
        """error, digits: by depth; of three folds. The larger step size is worse, and its error isn't shown."""
        error, digits = (
            {1: 0.5, 2: 0.4, 4: 0.3, 8: 0.2} | (error or {}),
            dict.fromkeys(SHAPES, 0.03) | (digits or {}),
        )
        parts = []
        for seed in (0, 1):
            for depth, width in SHAPES.items():
                of = {"model__depth": depth, "model__width": width, "seed": seed}
                for name, folds in FOLDS.items():
                    for rate, worse in ((0.003, 0.0), (0.01, 1.0)):
                        parts.append(
                            runs(
                                ("test/loss", [(error[depth] + worse) / 24]),
                                ("train/loss", [0.1 + worse]),
                                ("linear_pieces/pieces", [at_start or pieces / 2, pieces]),
                                sweep=name,
                                dataset__folds=folds,
                                optimiser__learning_rate=rate,
                                **of,
                            )
                        )
                metrics = (("test/error", [digits[depth]]), ("train/loss", [0.1]))
                parts.append(runs(*metrics, sweep="digits", optimiser__learning_rate=0.001, **of))
        return together(*parts)

    return make


def test_claims_hold_where_deeper_nets_fit_better(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 7
    assert claims[0].measured == pytest.approx(20 / 331)
    assert [c.measured for c in claims[2:4]] == pytest.approx([0.6, 0.4])
    assert [c.measured for c in claims[4:6]] == pytest.approx([10 / 60, 20 / 60])


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0, 4, 5], {"pieces": 400.0, "at_start": 100.0}),
        ([1], {"pieces": 3.0, "at_start": 3.0, "error": {8: 0.01}}),
        ([2], {"error": {4: 0.6}}),
        ([3], {"error": {8: 0.6}}),
        ([5], {"pieces": 70.0, "at_start": 30.0}),
        ([6], {"digits": {8: 0.06}}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    found = [i for i, claim in enumerate(figure.claims(table_of(**changes))) if claim.verdict != "holds"]
    assert found == failing


def test_the_step_size_is_chosen_by_the_training_loss(table_of):
    table = table_of()
    chosen = figure._tent_errors(table[table["sweep"] == "three folds"])
    assert set(chosen["optimiser.learning_rate"]) == {0.003}
    assert len(chosen) == 2 * len(SHAPES)
