from collections.abc import Callable

import numpy as np
import pytest

from atml_exp.pictures.pruning import accuracies, caption, draw
from atml_exp.runs import Run


def test_densities_ascend_and_values_are_the_last(run: Run) -> None:
    density, accuracy = accuracies(run, "pruning", "magnitude")
    assert density.tolist() == [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0]
    assert accuracy[-1] == run.final["pruning/magnitude/1"] > 0.9


def test_random_std_is_no_curve_of_its_own_but_a_band(run: Run) -> None:
    assert not set(accuracies(run, "pruning", "random")[1]) & set(accuracies(run, "pruning", "random_std")[1])
    assert len(draw(run, "pruning").axes[0].collections) == 1


def test_dense_and_chance_are_drawn_beside(run: Run) -> None:
    axes = draw(run, "pruning").axes[0]
    levels = {
        round(float(np.asarray(line.get_ydata())[0]), 6) for line in axes.lines if line.get_linestyle() == ":"
    }
    assert levels == {10.0, round(100 * run.final["pruning/magnitude/1"], 6)}
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > axes.get_xlim()[1]


def test_dense_accuracy_is_one_minus_error_where_density_1_is_missing(make_run: Callable[..., Run]) -> None:
    found = make_run(without=("pruning/magnitude/1", "pruning/random"), series={"test/error": {1320: 0.25}})
    levels = [line.get_ydata()[0] for line in draw(found, "pruning").axes[0].lines if line.get_linestyle() == ":"]
    assert 75.0 in levels


def test_the_caption_names_the_smallest_harmless_density(run: Run) -> None:
    assert "Down to 30 % of the weights" in caption(run, "pruning")


def test_nothing_recorded_is_refused(make_run: Callable[..., Run]) -> None:
    with pytest.raises(ValueError, match="no accuracy of pruning"):
        draw(make_run(without=("pruning/",)), "pruning")


def test_a_net_that_cannot_be_pruned_says_what_the_first_cut_costs(make_run: Callable[..., Run]) -> None:
    densities = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1)
    curves = {f"pruning/magnitude/{d:g}": {1320: 0.9 if d == 1 else 0.84} for d in densities}
    text = caption(make_run(series=curves), "pruning")
    assert "Already at 90 % of the weights it costs 6 points." in text
