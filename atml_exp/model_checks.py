"""The contract of a model as an executable check: the seed decides, replicas stack, derivatives are right."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from atml_exp.population import draws_randomness

__all__ = ["MODEL_CHECKS", "Make", "check_model"]

Make = Callable[[tuple[int, ...], int], nn.Module]
"""make(input_shape, num_outputs): the model with initial weights drawn from torch's global generator."""
NUM_EXAMPLES = 5


def check_model(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Runs all `MODEL_CHECKS`. AssertionError with a sentence where one fails.

    make: see `Make`. Models are tried in float64, on five normal examples.
    """
    for check in MODEL_CHECKS.values():
        check(make, input_shape, num_outputs)


def _outputs_fit(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    outputs = _made(make, input_shape, num_outputs).eval()(_inputs(input_shape))
    _require(
        tuple(outputs.shape) == (NUM_EXAMPLES, num_outputs),
        f"the model gave outputs {tuple(outputs.shape)} for {NUM_EXAMPLES} examples: "
        f"they must be {(NUM_EXAMPLES, num_outputs)}",
    )
    _require(outputs.dtype == torch.float64, f"a model in float64 gave outputs in {outputs.dtype}")


def _seed_decides(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    one, again, other = (_made(make, input_shape, num_outputs, seed).state_dict() for seed in (1, 1, 2))
    for name in one:
        _require(torch.equal(one[name], again[name]), f"{name} is another one under the same seed")
    differ = any(not torch.equal(one[name], other[name]) for name in one)
    _require(differ, "two seeds gave the same initial weights: they must be drawn from torch's global generator")


def _draws_nothing(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """In eval mode: a forward pass leaves the global random state alone."""
    model = _made(make, input_shape, num_outputs).eval()
    before = torch.get_rng_state()
    model(_inputs(input_shape))
    same = torch.equal(torch.get_rng_state(), before)
    _require(same, "a forward pass in eval mode drew a random number: it must not")


def _replicas_stack(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Outputs, gradients and, in training mode, the updated statistics of batch norm; dropout in eval mode only."""
    for training in (True, False):
        models = [_made(make, input_shape, num_outputs, seed).train(training) for seed in range(3)]
        x, y = _inputs(input_shape), _targets(num_outputs)
        if not draws_randomness(models[0], x, y, _loss):
            _compare_with_each_alone(models, x, y)


def _compare_with_each_alone(models: Sequence[nn.Module], x: Tensor, y: Tensor) -> None:
    parameters, buffers = stack_module_state(list(models))
    buffers = {n: b.clone() for n, b in buffers.items()}

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        outputs = functional_call(models[0], (parameters, buffers), (x,))
        return _loss(outputs, y), outputs

    gradients, outputs = vmap(grad(loss, has_aux=True))(parameters, buffers)
    for r, model in enumerate(models):
        alone = model(x)
        _close(outputs[r], alone, 1e-9, "outputs of stacked replicas")
        g = torch.autograd.grad(_loss(alone, y), list(model.parameters()))
        for name, of_alone in zip(gradients, g, strict=True):
            _close(gradients[name][r], of_alone, 1e-8, f"gradients of stacked replicas in {name}")
        for name, buffer in model.named_buffers():
            _close(buffers[name][r], buffer, 1e-9, f"the buffer {name} of stacked replicas")


def _double_backward(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Hv is the derivative of the gradient along v, by central differences."""
    model, x, y, v = _problem(make, input_shape, num_outputs)
    eps = 1e-6
    ends = zip(_gradient(model, x, y, eps, v), _gradient(model, x, y, -eps, v), strict=True)
    finite = torch.cat([((a - b) / (2 * eps)).flatten() for a, b in ends])
    exact = _hessian_vector(model, x, y, v)
    error = float((exact - finite).norm() / exact.norm())
    _require(error <= 1e-5, f"double backward is off the difference quotient by {error:.1e} of its norm")


def _forward_over_reverse(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    model, x, y, v = _problem(make, input_shape, num_outputs)
    w = {n: p.detach() for n, p in model.named_parameters()}
    along = dict(zip(w, v, strict=True))

    def loss(w: dict[str, Tensor]) -> Tensor:
        return _loss(functional_call(model, w, (x,)), y)

    with _forward_mode():
        hv = jvp(grad(loss), (w,), (along,))[1]
    expected = _hessian_vector(model, x, y, v)
    error = float((torch.cat([h.flatten() for h in hv.values()]) - expected).norm() / expected.norm())
    _require(error <= 1e-9, f"forward-over-reverse is off double backward by {error:.1e} of its norm")


def _examples_do_not_mix(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """In eval mode an example's output is its own."""
    model, x = _made(make, input_shape, num_outputs).eval(), _inputs(input_shape)
    _close(model(x)[:1], model(x[:1]), 1e-9, "outputs in eval mode of an example among others")


MODEL_CHECKS: Mapping[str, Callable[[Make, tuple[int, ...], int], None]] = {
    "outputs_fit": _outputs_fit,
    "seed_decides": _seed_decides,
    "draws_nothing": _draws_nothing,
    "replicas_stack": _replicas_stack,
    "double_backward": _double_backward,
    "forward_over_reverse": _forward_over_reverse,
    "examples_do_not_mix": _examples_do_not_mix,
}
"""What holds of every model, by name: check(make, input_shape, num_outputs)."""


def _made(make: Make, input_shape: tuple[int, ...], num_outputs: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make(input_shape, num_outputs).double()


def _inputs(input_shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(NUM_EXAMPLES, *input_shape, generator=generator, dtype=torch.float64)


def _targets(num_outputs: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(NUM_EXAMPLES, num_outputs, generator=generator, dtype=torch.float64)


def _loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Smooth, of any number of outputs: log(1 + e^{−oy}), a mean."""
    return torch.nn.functional.softplus(-outputs * y).mean()


def _problem(
    make: Make, input_shape: tuple[int, ...], num_outputs: int
) -> tuple[nn.Module, Tensor, Tensor, list[Tensor]]:
    """The model in eval mode, inputs, targets, and a direction in weight space."""
    model, generator = _made(make, input_shape, num_outputs).eval(), torch.Generator().manual_seed(2)
    v = [
        torch.randn(p.shape, generator=generator, dtype=torch.float64) / p.numel() ** 0.5
        for p in model.parameters()
    ]
    return model, _inputs(input_shape), _targets(num_outputs), v


def _hessian_vector(model: nn.Module, x: Tensor, y: Tensor, v: Sequence[Tensor]) -> Tensor:
    """Hv (P,), by double backward."""
    w = list(model.parameters())
    g = torch.autograd.grad(_loss(model(x), y), w, create_graph=True)
    hv = torch.autograd.grad(g, w, list(v), allow_unused=True, materialize_grads=True)
    exact = torch.cat([h.flatten() for h in hv])
    _require(bool(exact.norm() > 0), "the loss has no second derivative in the weights; curvature needs one")
    return exact


def _gradient(model: nn.Module, x: Tensor, y: Tensor, shift: float, v: Sequence[Tensor]) -> list[Tensor]:
    """The gradient at w + shift·v."""
    moved = {n: p.detach() + shift * d for (n, p), d in zip(model.named_parameters(), v, strict=True)}
    return list(grad(lambda w: _loss(functional_call(model, w, (x,)), y))(moved).values())


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Without a deprecation warning that comes from torch's forward mode itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".torch.jit.script", DeprecationWarning)
        yield


def _close(found: Tensor, expected: Tensor, rtol: float, what: str) -> None:
    if not torch.allclose(found, expected, rtol=rtol, atol=1e-3 * rtol):
        off = (found - expected).abs().max().item()
        raise AssertionError(f"{what} differ from those of each alone by up to {off:.1e}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
