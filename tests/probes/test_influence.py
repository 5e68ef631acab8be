"""Influences against leave-one-out retraining: of ridge exactly, of logistic regression nearly; a net's by hand."""

import pytest
import torch
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.convex import minimise
from atml_exp.data import Dataset, Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.influence import influence, left_out_weights, most_influential, newton_influence

N, D = 60, 4
G = torch.Generator().manual_seed(1)
X = torch.randn(N, D, generator=G, dtype=torch.float64)
SIGNAL = X @ torch.randn(D, generator=G, dtype=torch.float64) + 0.7 * torch.randn(
    N, generator=G, dtype=torch.float64
)
TARGETS = {"mse": SIGNAL, "logistic": (SIGNAL > 0).long()}
LOSSES = {"mse": mse, "logistic": logistic}
TEST = Split(torch.randn(5, D, generator=G, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1]))


def hessian_of(fn):
    return torch.func.jacrev(torch.func.jacrev(fn))


def minimiser(loss, x, y, l2):
    """A linear model with a bias, at the minimum of loss + ½·l2·‖w‖²."""
    inputs = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    w = torch.from_numpy(minimise(loss, inputs.numpy(), y.numpy(), l2=l2).weights)
    model = linear((D,), 1).double()
    with torch.no_grad():
        model.output.weight.copy_(w[:-1].T)
        model.output.bias.copy_(w[-1])
    return model


def retrained(loss, test, l2):
    """What leaving each example out changes: N minimisations, N·l2 beside the sum of the others' losses."""

    def value(model):
        return LOSSES[loss](model(test.x), test.y).item()

    full, changes = value(minimiser(loss, X, TARGETS[loss], l2)), []
    for i in range(N):
        others = torch.arange(N) != i
        changes.append(value(minimiser(loss, X[others], TARGETS[loss][others], l2 * N / (N - 1))) - full)
    return torch.tensor(changes, dtype=torch.float64)


def points(loss):
    return Split(TEST.x, TEST.y.double() if loss == "mse" else TEST.y)


@pytest.mark.parametrize("loss", ["mse", "logistic"])
def test_first_order_predicts_leave_one_out_retraining(loss):
    l2, train = 0.1, Split(X, TARGETS[loss])
    found = influence(minimiser(loss, X, TARGETS[loss], l2), LOSSES[loss], train, points(loss), l2=l2)
    actual = retrained(loss, points(loss), l2)
    assert torch.corrcoef(torch.stack([found, actual]))[0, 1] > 0.99
    slope = ((found @ actual) / (found @ found)).item()
    assert 1 - 4 / N < slope < 1 + 8 * (D + 1) / N  # mean of 1/(1 − h), h = (D + 1)/N on average


def test_of_ridge_the_exact_version_is_what_retraining_gives():
    train, model = Split(X, SIGNAL), minimiser("mse", X, SIGNAL, 0.1)
    found = newton_influence(model, mse, train, points("mse"), l2=0.1)
    torch.testing.assert_close(found, retrained("mse", points("mse"), 0.1), rtol=0, atol=1e-10)


def test_of_logistic_regression_it_is_nearer_than_first_order():
    train, model = Split(X, TARGETS["logistic"]), minimiser("logistic", X, TARGETS["logistic"], 0.1)
    actual = retrained("logistic", points("logistic"), 0.1)
    options = {"l2": 0.1}
    first, newton = (
        f(model, logistic, train, points("logistic"), **options) for f in (influence, newton_influence)
    )
    assert (newton - actual).norm() < 0.2 * (first - actual).norm()


def test_the_factor_between_them_is_one_less_the_leverage():
    """In the weights: first order is ∇ℓ_i's H⁻¹ image over N, and the exact change that over 1 − h_ii."""
    model = minimiser("mse", X, SIGNAL, 0.1)
    inputs = torch.cat([X, torch.ones(N, 1, dtype=torch.float64)], 1)
    inverse = torch.linalg.inv(inputs.T @ inputs / N + 0.1 * torch.eye(D + 1).double())
    residuals = (model(X)[:, 0] - SIGNAL).detach()
    leverage = ((inputs @ inverse) * inputs).sum(1) / N
    first = residuals[:, None] * (inputs @ inverse) / N
    found = left_out_weights(model, mse, Split(X, SIGNAL), l2=0.1)[..., 0]
    torch.testing.assert_close(found, first / (1 - leverage)[:, None])


def test_softmax_steps_solve_their_newton_systems():
    """Three classes: each step against the dense system that autograd gives."""
    model = linear((D,), 3).double()
    y, l2 = torch.randint(3, (N,), generator=G), 0.2
    inputs = torch.cat([X, torch.ones(N, 1, dtype=torch.float64)], 1)

    def penalised(w, keep):
        losses = torch.nn.functional.cross_entropy(inputs @ w.view(D + 1, 3), y, reduction="none")
        return (losses * keep).sum() / N + l2 / 2 * w.square().sum()

    w, ones = torch.zeros(3 * (D + 1), dtype=torch.float64), torch.ones(N, dtype=torch.float64)
    for _ in range(20):
        w = w - torch.linalg.solve(hessian_of(penalised)(w, ones), torch.func.grad(penalised)(w, ones))
    with torch.no_grad():
        model.output.weight.copy_(w.view(D + 1, 3)[:-1].T)
        model.output.bias.copy_(w.view(D + 1, 3)[-1])
    found = left_out_weights(model, cross_entropy, Split(X, y), l2=l2)
    for i in (0, 17):
        keep = (torch.arange(N) != i).double()
        step = -torch.linalg.solve(hessian_of(penalised)(w, keep), torch.func.grad(penalised)(w, keep))
        torch.testing.assert_close(found[i].flatten(), step, rtol=1e-8, atol=1e-12)


def test_of_a_net_it_is_the_formula_written_out_with_the_dense_hessian():
    model = mlp((D,), 1, depth=1, width=3, activation="tanh").double()
    train, test, damping = Split(X, SIGNAL), points("mse"), 10.0
    names = [n for n, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]
    w = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(w, x, y):
        pieces = zip(names, w.split(sizes), model.parameters(), strict=True)
        return mse(torch.func.functional_call(model, {n: v.view_as(p) for n, v, p in pieces}, (x,)), y)

    matrix = hessian_of(loss)(w, X, SIGNAL) + damping * torch.eye(len(w)).double()
    each = torch.stack([torch.func.grad(loss)(w, X[i : i + 1], SIGNAL[i : i + 1]) for i in range(N)])
    expected = each @ torch.linalg.solve(matrix, torch.func.grad(loss)(w, test.x, test.y)) / N
    torch.testing.assert_close(influence(model, mse, train, test, damping=damping), expected, rtol=1e-7, atol=1e-12)


def test_a_point_may_be_a_pair_and_the_mean_over_points_is_linear():
    model, train = minimiser("mse", X, SIGNAL, 0.1), Split(X, SIGNAL)
    test = points("mse")
    alone = [influence(model, mse, train, (test.x[i], test.y[i]), l2=0.1) for i in range(5)]
    torch.testing.assert_close(influence(model, mse, train, test, l2=0.1), torch.stack(alone).mean(0))
    torch.testing.assert_close(influence(model, mse, train, (test.x[:1], test.y[:1]), l2=0.1), alone[0])
    torch.testing.assert_close(influence(model, mse, train, test[torch.tensor([0])], l2=0.1), alone[0])


def test_the_order_of_examples_goes_through_and_damping_shrinks():
    model, train, order = minimiser("mse", X, SIGNAL, 0.1), Split(X, SIGNAL), torch.randperm(N, generator=G)
    found = influence(model, mse, train, points("mse"), l2=0.1)
    torch.testing.assert_close(influence(model, mse, train[order], points("mse"), l2=0.1), found[order])
    assert influence(model, mse, train, points("mse"), l2=0.1, damping=5.0).norm() < found.norm()


def test_an_example_that_is_repeated_in_the_test_set_helps_it():
    """A training example's influence on its own loss: leaving it out never lowers it, at a convex minimum."""
    model, train = minimiser("logistic", X, TARGETS["logistic"], 0.1), Split(X, TARGETS["logistic"])
    for i in (0, 9, 33):
        assert influence(model, logistic, train, (X[i], TARGETS["logistic"][i]), l2=0.1)[i] > 0


def test_the_probe_names_the_extreme_ones_and_leaves_no_trace():
    data = Dataset("d", Split(X, TARGETS["logistic"]), points("logistic"), 2)
    model = minimiser("logistic", X, TARGETS["logistic"], 0.1)

    def probe(model, data):
        return most_influential(model, data, loss=logistic, l2=0.1, points=3, top=4)

    found = check_probe(probe, model, data)
    assert found["largest"] == found["values"][found["helpful"][0]]
    assert found["smallest"] == found["values"][found["harmful"][0]]
    assert found["curvature"] >= 0.1
    assert found["gradient"] < 1e-9
    chosen = data.test[found["points"]]
    torch.testing.assert_close(found["values"], influence(model, logistic, data.train, chosen, l2=0.1))


def far_from_a_minimum():
    model = mlp((D,), 1, depth=1, width=4, activation="tanh").double()
    return model, mse, Split(X, SIGNAL), points("mse")


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (far_from_a_minimum, {}, "smallest eigenvalue is -.*damping larger by"),
        (far_from_a_minimum, {"l2": -1.0}, "l2 is -1.0: it must be at least 0"),
        (far_from_a_minimum, {"damping": float("nan")}, "damping is nan"),
        (
            lambda: (linear((D,), 2).double(), cross_entropy, Split(X, TARGETS["logistic"]), TEST),
            {},
            "isn't positive definite",  # the same added to both outputs changes nothing
        ),
        (
            lambda: (linear((D,), 1), mse, Split(X, SIGNAL), (X[0, :2], SIGNAL[0])),
            {"l2": 1.0},
            "test_point has inputs",
        ),
        (lambda: (linear((D,), 1), mse, Split(X[:0], SIGNAL[:0]), points("mse")), {}, "at least 1"),
        (
            lambda: (linear((D,), 1), lambda o, y: mse(o, y) * len(y), Split(X, SIGNAL), points("mse")),
            {},
            "a mean over examples",
        ),
    ],
)
def test_refusals(arguments, options, words):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=words):
        influence(*arguments(), **options)


def test_a_newton_step_is_refused_away_from_the_minimum_and_for_nets():
    with pytest.raises(ValueError, match=r"isn't at the minimum for l2 = 0\.2"):
        newton_influence(minimiser("mse", X, SIGNAL, 0.1), mse, Split(X, SIGNAL), points("mse"), l2=0.2)
    with pytest.raises(ValueError, match="isn't linear in its weights"):
        newton_influence(*far_from_a_minimum())
    x, y = torch.eye(2).double(), torch.tensor([1.0, 2.0]).double()
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data.copy_(y[None])
    with pytest.raises(ValueError, match="leverage of an example is 1"):
        left_out_weights(model, mse, Split(x, y))
