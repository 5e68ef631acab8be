"""What holds of every model: the seed decides, replicas stack, and the loss can be differentiated twice."""

from functools import partial
from pathlib import Path

import pytest

from atml_exp.contract import check_options
from atml_exp.model_checks import MODEL_CHECKS
from atml_exp.models.cnn import cnn
from atml_exp.models.first_features import first_features
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.models.polynomial import polynomial
from atml_exp.models.random_features import random_features
from atml_exp.models.resnet18 import resnet18
from atml_exp.models.unconstrained_features import unconstrained_features

SHAPE, K = (2, 6, 6), 3
OBJECTIVES = ("huber_worst_case", "nesterov_worst_case", "quadratic", "rosenbrock")
"""Functions of the weights alone: see test_objective.py."""
NONPARAMETRIC = ("k_nearest_neighbours",)
"""Made of their training set, nothing of them trained: each has its own test."""

SMALL = {
    "linear": linear,
    "mlp": partial(mlp, width=8),
    "mlp_batch": partial(mlp, width=8, normalisation="batch", activation="tanh"),
    "mlp_layer": partial(mlp, width=8, normalisation="layer", activation="gelu"),
    "mlp_skip": partial(mlp, width=8, depth=3, skip=True, initialisation="orthogonal"),
    "cnn": partial(cnn, width=4, activation="silu"),
    "cnn_batch": partial(cnn, width=4, normalisation="batch"),
    "cnn_layer": partial(cnn, width=4, normalisation="layer"),
    "first_features": partial(first_features, width=4, initialisation="he"),
    "polynomial": partial(polynomial, degree=1),
    "random_features": partial(random_features, width=8),
    "unconstrained_features": partial(unconstrained_features, width=8),
}
MODELS = {**SMALL, "resnet18": resnet18}
FILES = sorted((Path(__file__).parents[2] / "configs" / "model").glob("*.yaml"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("check", MODEL_CHECKS)
def test_every_model_keeps_the_contract(check, model):
    MODEL_CHECKS[check](MODELS[model], SHAPE, K)


def test_every_model_has_a_yaml():
    models = {name for name in MODELS if not name.startswith(("mlp_", "cnn_"))}
    assert {path.stem for path in FILES} == models | set(OBJECTIVES) | set(NONPARAMETRIC)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_yaml_states_the_options_of_the_signature_at_their_defaults(path):
    check_options(path, "model")
