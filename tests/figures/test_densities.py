from atml_exp.figures.densities import at_each_density


def test_the_last_reading_at_each_density_counts(runs, together):
    """A rewound dense net is looked at again before it is pruned: what counts is the end of its training."""
    first = runs(("mask/density", [1, 1, 0.5, 0.5]), ("test/error", [0.9, 0.2, 0.8, 0.3]))
    other = runs(("mask/density", [1, 0.25]), ("test/error", [0.1, 0.4]))
    found = at_each_density(together(first, other), "test/error")
    assert found[["density", "value"]].to_numpy().tolist() == [[1, 0.2], [0.5, 0.3], [1, 0.1], [0.25, 0.4]]


def test_a_net_that_is_not_pruned_is_dense(runs):
    found = at_each_density(runs(("test/error", [0.9, 0.2])), "test/error")
    assert found[["density", "value"]].to_numpy().tolist() == [[1, 0.2]]
