from atml_exp.checks import check_figure
from atml_exp.figures import pruning_curve

DENSITIES = (1.0, 0.5, 0.1, 0.05)


def run(runs, magnitude, layer, random, seed=0, sweep="mlp"):
    kinds = {"pruning/magnitude": magnitude, "by_layer/magnitude": layer, "pruning/random": random}
    metrics = [(f"{k}/{d:g}", [v]) for k, values in kinds.items() for d, v in zip(DENSITIES, values, strict=True)]
    return runs(*metrics, ("pruning/random_std/0.5", [0.3]), seed=seed, sweep=sweep)


GOOD = (0.98, 0.975, 0.9, 0.8), (0.98, 0.97, 0.8, 0.6), (0.98, 0.7, 0.2, 0.1)


def test_claims_hold_where_few_weights_matter(runs, together):
    claims = check_figure(pruning_curve, together(run(runs, *GOOD), run(runs, *GOOD, seed=1)))
    assert [c.verdict for c in claims] == ["holds"] * 3
    assert [round(c.measured, 9) for c in claims] == [0.5, 27.5, 15.0]


def test_claims_fail_where_magnitude_means_nothing(runs):
    good, layer, random = GOOD
    claims = check_figure(pruning_curve, run(runs, random, layer, good))
    assert [c.verdict for c in claims] == ["does not hold"] * 3


def test_each_net_has_its_panel_in_the_order_of_the_sweeps(runs, together):
    table = together(run(runs, *GOOD, sweep="mlp"), run(runs, *GOOD, sweep="cnn"))
    titles = [axes.get_title("left") for axes in pruning_curve.draw(table).get_axes()]
    assert titles == ["digits, MLP", "digits, CNN"]
    assert len(pruning_curve.claims(table)) == 6
