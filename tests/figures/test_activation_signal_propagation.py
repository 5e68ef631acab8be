import json

import numpy as np
import pandas as pd
import pytest

from atml_exp.checks import check_figure
from atml_exp.figures import activation_signal_propagation as figure
from atml_exp.mean_field_limit import jacobian_variance, propagate

Q, C, DEPTH, SEEDS = 1.0, 0.5, 20, 2
JITTER = np.array([-0.02, 0.02])
"""Of the seeds, about a mean of 0."""


@pytest.fixture
def table_of(runs, together, tmp_path):
    """Theory's own values, with a scatter over seeds; each keyword spoils something."""

    def run(arrays, metrics=(), **columns):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        (directory / "arrays").mkdir(parents=True)
        (directory / "run.json").write_text(json.dumps({"run_id": directory.name}))
        for name, values in arrays.items():
            path = directory / "arrays" / f"signal_propagation.{name}.npz"
            np.savez(path, steps=np.zeros(1), values=np.asarray(values)[None])
        inputs = [("signal_propagation/input_variance", [Q]), ("signal_propagation/input_correlation", [C])]
        found = runs(*inputs, *metrics, directory=str(directory), **columns)
        return found.rename(columns=lambda c: c.replace("__", "."))

    def net(activation, scale=2**0.5, bias=0.0, depth=DEPTH, width=100, scheme="lecun"):
        return {
            "model__activation": activation,
            "model__initial_scale": scale,
            "model__initial_bias_std": bias,
            "model__depth": depth,
            "model__width": width,
            "model__initialisation": scheme,
        }

    def forward(moved, narrow, aligned):
        for activation in ("relu", "gelu", "tanh", "sigmoid"):
            exact = propagate(activation, 2.0, 0.0, DEPTH, Q, C)
            for width, off in ((40, narrow), (160, moved)):
                for seed, jitter in enumerate(JITTER):
                    c = exact.c * (1 + jitter / 100 - off * (activation == "gelu"))
                    c[-1] -= aligned * (activation == "relu")
                    arrays = {"variance": [*exact.q * (1 + jitter), 1.0], "correlation": [*c, 1.0]}
                    yield run(arrays, sweep="forward", seed=seed, **net(activation, width=width))

    def backward(growth, sigmoid):
        settings = [("relu", 1.0, 0.0), ("relu", 2**0.5, 0.0), ("tanh", 1.3, 0.2), ("sigmoid", 2**0.5, 0.0)]
        for activation, scale, bias in settings:
            factor = growth if activation == "relu" else sigmoid if activation == "sigmoid" else 1.0
            for depth in (2, 12):
                chi = propagate(activation, scale**2, bias**2, depth, Q, C).chi[:-1] * factor
                gradient = [*np.cumprod(chi[::-1])[::-1], 1.0, 7.0]
                for seed in range(SEEDS):
                    arrays = {"preactivation_gradient": np.array(gradient) * (1 + seed)}
                    of = net(activation, scale, bias, depth)
                    yield run(arrays, sweep=f"backward, {activation}", seed=seed, **of)

    def isometry(spread, tanh, relu):
        for activation, scale in (("tanh", 1.0), ("identity", 1.0), ("relu", 2**0.5)):
            for scheme in ("lecun", "orthogonal"):
                factor = spread
                if scheme == "orthogonal":
                    factor *= {"tanh": tanh, "relu": relu}.get(activation, 1.0)
                for depth in (2, 33):
                    q = propagate(activation, scale**2, 0.0, depth, Q / scale**2).q
                    added = [jacobian_variance(activation, v, orthogonal=scheme == "orthogonal") for v in q[:-1]]
                    for seed in range(SEEDS):
                        metrics = [("signal_propagation/jacobian_variance", [factor * sum(added)])]
                        of = net(activation, scale, depth=depth, scheme=scheme)
                        yield run(
                            {"variance": [*q, 1.0]}, metrics, sweep=f"isometry, {activation}", seed=seed, **of
                        )

    def speed(first):
        for activation, arrival in (("relu", (4, 6)), ("sigmoid", first)):
            for depth, step in zip((2, 5), arrival, strict=True):
                for rate, later in ((0.1, 0), (0.3, 2)):
                    for seed in range(SEEDS):
                        losses = [1.0 if step is None or s < step + later else 0.05 for s in range(12)]
                        of = net(activation, depth=depth) | {"optimiser__learning_rate": rate}
                        yield run({}, [("train/loss", losses)], sweep="speed", seed=seed, **of)

    def make(
        moved=0.0, narrow=0.1, aligned=0.0, growth=1.0, sigmoid=1.0, spread=1.0, tanh=1.0, relu=1.0, first=(8, None)
    ):
        return together(
            *forward(moved, narrow, aligned),
            *backward(growth, sigmoid),
            *isometry(spread, tanh, relu),
            *speed(first),
        )

    return make


def test_claims_hold_on_theorys_values(table_of):
    claims = check_figure(figure, table_of())
    assert [claim.verdict for claim in claims] == ["holds"] * 9
    assert claims[0].measured < 1
    assert claims[1].measured < 0.05
    assert [claims[i].measured for i in (3, 5)] == pytest.approx([0, 0], abs=1e-6)
    assert claims[7].measured == pytest.approx(0.5)
    assert claims[8].measured == pytest.approx(11 / 6)  # of 12 evaluations the last is at step 11: not reached


@pytest.mark.parametrize(
    ("failing", "changes"),
    [
        ([0], {"moved": 0.05}),
        ([0, 1], {"moved": 0.2}),
        ([0, 2], {"aligned": 0.2, "narrow": 1.0}),
        ([3], {"growth": 1.06}),
        ([3, 4], {"sigmoid": 1.5}),
        ([5], {"spread": 1.4}),
        ([5, 6], {"tanh": 5.0}),
        ([5, 7], {"relu": 0.4}),
        ([8], {"first": (3, None)}),
    ],
)
def test_each_claim_can_fail(table_of, failing, changes):
    claims = figure.claims(table_of(**changes))
    assert [i for i, claim in enumerate(claims) if claim.verdict != "holds"] == failing


def test_steps_are_those_of_the_best_learning_rate_and_say_where_the_target_was_not_reached(table_of):
    steps = figure._steps(table_of(first=(8, None)))
    one = steps[steps["seed"] == 0].set_index(["model.activation", "model.depth"])
    assert one["value"].to_dict() == {("relu", 2): 4, ("relu", 5): 6, ("sigmoid", 2): 8, ("sigmoid", 5): 11}
    assert one["never"].tolist() == [False, False, False, True]


def test_where_relu_never_arrives_sigmoid_is_not_slower():
    steps = pd.DataFrame(
        {
            "model.activation": ["relu", "sigmoid"],
            "model.depth": [2, 2],
            "seed": [0, 0],
            "value": [10.0, 10.0],
            "never": [True, True],
        }
    )
    assert figure._slower(steps) == 0


def test_gradients_in_theory_are_the_products_of_chi():
    setting = figure.Setting("relu", 1.0, 0.0, 4)
    table = pd.DataFrame(
        {"name": ["signal_propagation/input_variance", "signal_propagation/input_correlation"], "value": [Q, C]}
    )
    assert figure._gradient_theory(setting, table).tolist() == pytest.approx([1 / 8, 1 / 4, 1 / 2, 1])
    assert figure._label(setting) == "ReLU, $σ_w^2 = 1$"
    assert figure._label(figure.Setting("tanh", 1.0, 0.1, 4)) == "tanh, critical"
