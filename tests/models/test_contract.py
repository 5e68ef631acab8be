"""What holds of every model: the seed decides, replicas stack, and the loss can be differentiated twice."""

import inspect
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from pydantic import TypeAdapter
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.models.first_features import first_features
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.models.polynomial import polynomial
from atml_exp.models.random_features import random_features
from atml_exp.models.resnet18 import resnet18
from atml_exp.models.unconstrained_features import unconstrained_features

SHAPE, K, N = (2, 6, 6), 3, 5
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


@pytest.fixture
def make(request, seeded, float64):
    return lambda seed=0: seeded(lambda: request.param(SHAPE, K), seed)


every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys(), indirect=True)
every_small_model = pytest.mark.parametrize("make", SMALL.values(), ids=SMALL.keys(), indirect=True)


@pytest.fixture
def data(float64):
    g = torch.Generator().manual_seed(0)
    return torch.randn(N, *SHAPE, generator=g), torch.randint(0, K, (N,), generator=g)


@every_model
def test_output_shape_and_dtype(make, data):
    outputs = make()(data[0])
    assert outputs.shape == (N, K)
    assert outputs.dtype == torch.float64


@every_model
def test_the_global_seed_decides_the_initial_weights(make):
    one, again, other = (make(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@every_model
def test_a_forward_pass_draws_no_random_number(make, data):
    model = make()
    before = torch.get_rng_state()
    model(data[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("training", [True, False])
@every_model
def test_stacked_replicas_give_what_each_gives_alone(make, data, training):
    """Outputs, gradients and, in training mode, the updated statistics of batch norm."""
    x, y = data
    models = [make(seed).train(training) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    buffers = {n: b.clone() for n, b in buffers.items()}

    def loss(parameters, buffers):
        outputs = functional_call(models[0], (parameters, buffers), (x,))
        return cross_entropy(outputs, y), outputs

    gradients, outputs = vmap(grad(loss, has_aux=True))(parameters, buffers)
    for r, model in enumerate(models):
        alone = model(x)
        torch.testing.assert_close(outputs[r], alone, rtol=1e-9, atol=1e-12)
        g = torch.autograd.grad(cross_entropy(alone, y), list(model.parameters()))
        for name, of_alone in zip(gradients, g, strict=True):
            torch.testing.assert_close(gradients[name][r], of_alone, rtol=1e-8, atol=1e-11)
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(buffers[name][r], buffer, rtol=1e-9, atol=1e-12)


def double_backward(model, x, y, v):
    """Hv."""
    w = list(model.parameters())
    g = torch.autograd.grad(cross_entropy(model(x), y), w, create_graph=True)
    return torch.autograd.grad(g, w, v, allow_unused=True, materialize_grads=True)


def gradient(model, x, y, shift, v):
    """The gradient at w + shift·v."""
    moved = {n: p.detach() + shift * d for (n, p), d in zip(model.named_parameters(), v, strict=True)}
    return grad(lambda w: cross_entropy(functional_call(model, w, (x,)), y))(moved).values()


@every_model
def test_double_backward_is_the_derivative_of_the_gradient(make, data):
    model, (x, y) = make().eval(), data
    v = [torch.randn_like(p) / p.numel() ** 0.5 for p in model.parameters()]
    ε = 1e-6
    ends = zip(gradient(model, x, y, ε, v), gradient(model, x, y, -ε, v), strict=True)
    finite = torch.cat([((a - b) / (2 * ε)).flatten() for a, b in ends])
    exact = torch.cat([h.flatten() for h in double_backward(model, x, y, v)])
    assert exact.norm() > 0
    assert (exact - finite).norm() <= 1e-5 * exact.norm()


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # from torch's forward mode itself
@every_model
def test_forward_over_reverse_agrees(make, data):
    model, (x, y) = make().eval(), data
    w = {n: p.detach() for n, p in model.named_parameters()}
    v = {n: torch.randn_like(p) for n, p in w.items()}
    _, hv = jvp(grad(lambda w: cross_entropy(functional_call(model, w, (x,)), y)), (w,), (v,))
    expected = double_backward(model, x, y, list(v.values()))
    ours, theirs = (torch.cat([h.flatten() for h in hs]) for hs in (hv.values(), expected))
    assert (ours - theirs).norm() <= 1e-9 * theirs.norm()


@every_small_model
def test_examples_do_not_mix_in_eval_mode(make, data):
    model = make().eval()
    torch.testing.assert_close(model(data[0])[:1], model(data[0][:1]))


def test_every_model_has_a_yaml():
    models = {name for name in MODELS if not name.startswith(("mlp_", "cnn_"))}
    assert {path.stem for path in FILES} == models | set(OBJECTIVES) | set(NONPARAMETRIC)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_yaml_states_the_options_of_the_signature_at_their_defaults(path):
    node = OmegaConf.to_container(OmegaConf.load(path))
    assert node.pop("_partial_") is True
    module, _, name = node.pop("_target_").rpartition(".")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters.values()
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert node == {name: p.default for name, p in options.items()}
    for name, p in options.items():
        TypeAdapter(p.annotation).validate_python(node[name])
