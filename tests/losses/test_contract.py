"""What holds of every loss: a mean over examples, differentiable twice in every way, declared for its tasks."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.func import grad, jacrev, jvp, vmap

from atml_exp.losses.brier import brier
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.group_penalty import group_penalty
from atml_exp.losses.hinge import hinge
from atml_exp.losses.logistic import logistic
from atml_exp.losses.mse import mse
from atml_exp.losses.perceptron import perceptron

G = torch.Generator().manual_seed(0)
N, D = 8, 4
X = torch.randn(N, D, generator=G, dtype=torch.float64)
CLASSES, BINARY = torch.randint(0, 3, (N,), generator=G), torch.randint(0, 2, (N,), generator=G)
TARGETS = torch.randn(N, generator=G, dtype=torch.float64)
CASES = {
    "cross_entropy": (cross_entropy, 3, CLASSES),
    "mse_on_classes": (mse, 3, CLASSES),
    "mse_on_targets": (mse, 1, TARGETS),
    "group_penalty": (group_penalty, 2, BINARY),  # measured without groups
    "logistic": (logistic, 1, BINARY),
    "brier": (brier, 1, BINARY),
    "hinge": (hinge, 1, BINARY),
    "perceptron": (perceptron, 1, BINARY),
}


@pytest.fixture(params=CASES)
def problem(request):
    """A loss of the weights of a small smooth net, labels, and such weights."""
    loss, k, y = CASES[request.param]
    w = torch.randn(D * 5 + 5 * k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def of_weights(w, x=X, y=y):
        return loss(torch.tanh(x @ w[: D * 5].view(D, 5)) @ w[D * 5 :].view(5, k), y)

    return of_weights, y, w


def test_is_a_mean_over_examples(problem):
    f, y, w = problem
    each = vmap(lambda x, y: f(w, x[None], y[None]))(X, y)
    assert each.shape == (N,)
    torch.testing.assert_close(each.mean(), f(w, X, y))


def test_per_example_gradients_average_to_the_gradient(problem):
    f, y, w = problem
    each = vmap(lambda x, y: grad(f)(w, x[None], y[None]))(X, y)
    torch.testing.assert_close(each.mean(0), grad(f)(w))


def test_stacked_weights_give_what_each_gives_alone(problem):
    f, _, w = problem
    ws = torch.stack([w, -w, 2 * w])
    torch.testing.assert_close(vmap(grad(f))(ws), torch.stack([grad(f)(w) for w in ws]), rtol=1e-12, atol=1e-14)


def test_stacked_labels_give_what_each_gives_alone(problem):
    f, y, w = problem
    ys = torch.stack([y, y.flip(0)])
    torch.testing.assert_close(vmap(lambda y: f(w, X, y))(ys), torch.stack([f(w, X, y) for y in ys]))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # from torch's forward mode itself
def test_all_ways_to_differentiate_twice_agree(problem):
    f, _, w = problem
    v = torch.randn(len(w), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = jacrev(jacrev(f))(w) @ v
    leaf = w.clone().requires_grad_()
    (g,) = torch.autograd.grad(f(leaf), leaf, create_graph=True)
    (double_backward,) = torch.autograd.grad(g, leaf, v)
    torch.testing.assert_close(double_backward, expected)
    torch.testing.assert_close(jvp(grad(f), (w,), (v,))[1], expected)
    torch.testing.assert_close(jvp(jacrev(f), (w,), (v,))[1], expected)


def test_the_gradient_is_that_of_finite_differences(problem):
    f, _, w = problem
    assert torch.autograd.gradcheck(f, w.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES)
def test_keeps_the_dtype_of_the_outputs(case, dtype):
    loss, k, y = CASES[case]
    y = y.to(dtype) if y.is_floating_point() else y
    assert loss(torch.ones(N, k, dtype=dtype), y).dtype == dtype


def test_each_declares_the_tasks_it_suits():
    assert cross_entropy.suited_tasks == {"classification"}
    for loss in (logistic, hinge, perceptron):
        assert loss.suited_tasks == {"binary"}
        assert loss.num_outputs == 1
    assert not hasattr(mse, "suited_tasks")


@pytest.mark.parametrize("loss", [cross_entropy, mse, logistic, hinge, perceptron], ids=lambda f: f.__name__)
def test_its_yaml_gives_it(loss, pytestconfig):
    config = OmegaConf.load(pytestconfig.rootpath / "configs" / "loss" / f"{loss.__name__}.yaml")
    assert instantiate(config).func is loss
