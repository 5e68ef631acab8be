"""The contract of a model as an executable check: the seed decides, replicas stack, derivatives are right."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from atml_exp.breaches import breaches_of, name_of, require, trying
from atml_exp.population import draws_randomness

__all__ = ["MODEL_CHECKS", "Make", "check_model"]

Make = Callable[[tuple[int, ...], int], nn.Module]
"""make(input_shape, num_outputs): the model with initial weights drawn from torch's global generator."""
NUM_EXAMPLES = 5


def check_model(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Runs all `MODEL_CHECKS`. AssertionError with a sentence where one fails, or the model's own code does.

    make: see `Make`. Models are tried in float64, on five normal examples.
    """
    where = f"the model {name_of(make)}, on inputs {(NUM_EXAMPLES, *input_shape)}"
    with breaches_of(where), _plain_tensors_said(make, input_shape, num_outputs):
        for name, check in MODEL_CHECKS.items():
            with trying(*TRIED[name]):
                check(make, input_shape, num_outputs)


def _outputs_fit(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    outputs, expected = (
        _made(make, input_shape, num_outputs).eval()(_inputs(input_shape)),
        (NUM_EXAMPLES, num_outputs),
    )
    kind = type(outputs).__name__
    require(isinstance(outputs, Tensor), f"forward gave a {kind}: it must be a tensor {expected}")
    require(
        tuple(outputs.shape) == expected,
        f"the model gave outputs {tuple(outputs.shape)} for {NUM_EXAMPLES} examples: they must be {expected}",
    )
    require(outputs.dtype == torch.float64, f"a model in float64 gave outputs in {outputs.dtype}")


def _inputs_stay(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    x = _inputs(input_shape)
    _made(make, input_shape, num_outputs).eval()(x)
    same = torch.equal(x, _inputs(input_shape))
    require(same, "forward wrote into its inputs in place: it must make new tensors of them, without inplace=True")


def _outputs_have_gradients(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    model = _made(make, input_shape, num_outputs).eval()
    cut = any(p.requires_grad for p in model.parameters()) and not model(_inputs(input_shape)).requires_grad
    require(not cut, "its outputs have no gradient in its weights: no detach, .data, no_grad or numpy lies between")


def _seed_decides(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    one, again, other = (_made(make, input_shape, num_outputs, seed).state_dict() for seed in (1, 1, 2))
    for name in one:
        require(torch.equal(one[name], again[name]), f"{name} is another one under the same seed")
    differ = any(not torch.equal(one[name], other[name]) for name in one)
    require(differ, "two seeds gave the same initial weights: they must be drawn from torch's global generator")


def _draws_nothing(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """In eval mode: a forward pass leaves the global random state alone."""
    model = _made(make, input_shape, num_outputs).eval()
    before = torch.get_rng_state()
    model(_inputs(input_shape))
    same = torch.equal(torch.get_rng_state(), before)
    require(same, "a forward pass in eval mode drew a random number: it must not")


def _replicas_stack(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """Outputs, gradients and, in training mode, the updated statistics of batch norm; dropout in eval mode only. As
    in a sweep each replica has inputs of its own.
    """
    for training in (True, False):
        models = [_made(make, input_shape, num_outputs, seed).train(training) for seed in range(3)]
        x, y = _inputs(input_shape), _targets(num_outputs)
        if not draws_randomness(models[0], x, y, _loss):
            _compare_with_each_alone(models, torch.stack([x, -x, x.flip(0)]), y)


def _compare_with_each_alone(models: Sequence[nn.Module], xs: Tensor, y: Tensor) -> None:
    """xs: (R, N, …)."""
    parameters, buffers = stack_module_state(list(models))
    buffers = {n: b.clone() for n, b in buffers.items()}

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = functional_call(models[0], (parameters, buffers), (x,))
        return _loss(outputs, y), outputs

    gradients, outputs = vmap(grad(loss, has_aux=True))(parameters, buffers, xs)
    for r, model in enumerate(models):
        alone = model(xs[r])
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
    require(error <= 1e-5, f"double backward is off the difference quotient by {error:.1e} of its norm")


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
    require(error <= 1e-9, f"forward-over-reverse is off double backward by {error:.1e} of its norm")


def _examples_do_not_mix(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> None:
    """In eval mode an example's output is its own."""
    model, x = _made(make, input_shape, num_outputs).eval(), _inputs(input_shape)
    _close(model(x)[:1], model(x[:1]), 1e-9, "outputs in eval mode of an example among others")


MODEL_CHECKS: Mapping[str, Callable[[Make, tuple[int, ...], int], None]] = {
    "outputs_fit": _outputs_fit,
    "inputs_stay": _inputs_stay,
    "outputs_have_gradients": _outputs_have_gradients,
    "seed_decides": _seed_decides,
    "draws_nothing": _draws_nothing,
    "replicas_stack": _replicas_stack,
    "double_backward": _double_backward,
    "forward_over_reverse": _forward_over_reverse,
    "examples_do_not_mix": _examples_do_not_mix,
}
"""What holds of every model, by name: check(make, input_shape, num_outputs)."""

FORWARD = (
    "its forward pass in float64",
    "parameters and buffers in the type of the model, and inputs (N, *input_shape) to outputs (N, num_outputs)",
)
VALUES = (
    "torch's operations, without asking for a tensor's value: torch.where in place of an if, no .item(), no numpy"
)
TWICE = "torch's operations, which autograd differentiates twice"
TRIED: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("outputs_fit", "inputs_stay", "outputs_have_gradients", "draws_nothing"), FORWARD),
    "seed_decides": ("its state_dict", "tensors by name"),
    "replicas_stack": (
        "a forward and backward pass of replicas stacked under vmap, each with its own inputs",
        VALUES,
    ),
    "double_backward": ("a second derivative in its weights", TWICE),
    "forward_over_reverse": ("forward over reverse differentiation in its weights", TWICE),
    "examples_do_not_mix": ("its forward pass on one example", FORWARD[1]),
}
"""Of each check, what is tried of the model's code, and what is allowed there."""


def _made(make: Make, input_shape: tuple[int, ...], num_outputs: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        with trying("making it", "an nn.Module of (input_shape, num_outputs)"):
            model = make(input_shape, num_outputs)
    kind = type(model).__name__
    require(isinstance(model, nn.Module), f"gave a {kind} for a model: it must be a torch.nn.Module")
    return model.double()


@contextmanager
def _plain_tensors_said(make: Make, input_shape: tuple[int, ...], num_outputs: int) -> Iterator[None]:
    """A breach is said with the model's tensors that are neither parameters nor buffers: they may be why."""
    try:
        yield
    except AssertionError as error:
        try:
            modules = dict(_made(make, input_shape, num_outputs).named_modules())
        except Exception:  # why, is what was said
            raise error from error.__cause__
        plain = [f"{m}.{n}".lstrip(".") for m, of in modules.items() for n, v in vars(of).items() if _is_plain(v)]
        if not plain:
            raise
        raise AssertionError(
            f"{error}; {', '.join(plain)}: a plain tensor, neither trained, seeded, stacked nor converted; "
            "allowed: nn.Parameter, or register_buffer"
        ) from error.__cause__


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter)


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
    require(bool(exact.norm() > 0), "the loss has no second derivative in the weights; curvature needs one")
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
