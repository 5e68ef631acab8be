"""What a model computes on given inputs, read without leaving a trace in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

__all__ = [
    "evaluation_mode",
    "layer_inputs",
    "layer_outputs",
    "linear_layers",
    "penultimate_features",
    "predict",
    "predict_each",
]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model in eval mode; on leaving, every submodule is back in the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def predict(
    model: nn.Module, x: Tensor, *, parameters: Mapping[str, Tensor] | None = None, batch_size: int = 4096
) -> Tensor:
    """The outputs (N, …) of the model in eval mode, without gradients, `batch_size` examples at a time.

    parameters: used in place of the model's own, by name; the model itself is left untouched.
    Raises ValueError if x holds no example.
    """
    return _collect(lambda output: output, model, x, parameters or {}, batch_size)


def predict_each(
    model: nn.Module, state: Mapping[str, Tensor], x: Sequence[Tensor], *, batch_size: int = 65536
) -> Tensor:
    """The outputs (R, N, …) of R replicas of a model, as `predict` gives them, in one forward pass.

    state: parameters and buffers by name, each (R, …). x: the inputs (N, …) of each replica; one object where they
    share it. batch_size: examples at a time, over all replicas.
    """
    shared = all(other is x[0] for other in x)
    size = max(1, batch_size // len(x))
    batches = x[0].split(size) if shared else torch.stack(list(x)).split(size, 1)
    forward = vmap(lambda state, x: functional_call(model, state, (x,)), in_dims=(0, None if shared else 0))
    with evaluation_mode(model), torch.no_grad():
        return torch.cat([forward(dict(state), batch) for batch in batches], 1)


def penultimate_features(model: nn.Module, x: Tensor, *, batch_size: int = 4096) -> tuple[Tensor, nn.Linear]:
    """The features (N, D), the input of the model's last nn.Linear in eval mode, and that layer.

    The last linear layer is the one whose output is the model's output.
    Raises ValueError if there is none, if its input isn't (N, D), or if x holds no example.

    >>> model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(4, 3))
    >>> features, last = penultimate_features(model, torch.tensor([[[1.0, -1.0], [2.0, -2.0]]]))
    >>> features, last is model[-1]
    (tensor([[1., 0., 2., 0.]]), True)
    """
    with _last_linear_call(model) as call:
        features = _collect(lambda output: _features(model, call, output), model, x, {}, batch_size)
        return features, call[0].layer


def layer_inputs(model: nn.Module, x: Tensor, *, batch_size: int = 1024) -> Iterator[dict[str, Tensor]]:
    """What each linear or convolutional layer is given, in eval mode, batch by batch: {layer's name: (B, D)}.

    In the order in which the layers are called, flattened. The first is the input itself, the last the features
    that the classifier reads. Of a layer called several times, its last call counts.
    Raises ValueError where x holds no example, or there is no such layer.

    >>> model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
    >>> (batch,) = layer_inputs(model, torch.ones(4, 2))
    >>> {name: tuple(h.shape) for name, h in batch.items()}
    {'0': (4, 2), '2': (4, 5)}
    """
    return _overheard(model, x, linear_layers(model), lambda inputs, output: inputs[0].flatten(1), batch_size)


def linear_layers(model: nn.Module) -> dict[str, nn.Linear | nn.modules.conv._ConvNd]:
    """The linear and convolutional layers by name; ValueError where there is none."""
    layers = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no linear or convolutional layer")
    return layers


def layer_outputs(
    model: nn.Module, x: Tensor, layers: Mapping[str, nn.Module], *, batch_size: int = 1024
) -> Iterator[dict[str, Tensor]]:
    """What each of these submodules says, in eval mode, batch by batch: {its name: (B, …)}, as they are called.

    Of a submodule called several times, its last call counts. Raises ValueError where x holds no example.
    """
    return _overheard(model, x, layers, lambda inputs, output: output, batch_size)


def _overheard(
    model: nn.Module,
    x: Tensor,
    layers: Mapping[str, nn.Module],
    read: Callable[[tuple[Tensor, ...], Tensor], Tensor],
    batch_size: int,
) -> Iterator[dict[str, Tensor]]:
    if len(x) == 0:
        raise ValueError("x holds no example: at least 1 is needed")
    found: dict[str, Tensor] = {}

    def remember(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.pop(name, None)
        found[name] = read(inputs, output)

    handles = [
        layer.register_forward_hook(lambda _, inputs, output, name=name: remember(name, inputs, output))
        for name, layer in layers.items()
    ]
    state = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        for batch in x.split(batch_size):
            with evaluation_mode(model), torch.no_grad():
                functional_call(model, state, (batch,))
            yield dict(found)
    finally:
        for handle in handles:
            handle.remove()


def _collect(
    read: Callable[[Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    parameters: Mapping[str, Tensor],
    batch_size: int,
) -> Tensor:
    """What `read` makes of the output of each batch, stacked."""
    if len(x) == 0:
        raise ValueError("x holds no example: at least 1 is needed")
    state = {name: buffer.clone() for name, buffer in model.named_buffers()} | dict(parameters)
    with evaluation_mode(model), torch.no_grad():
        return torch.cat([read(functional_call(model, state, (batch,))) for batch in x.split(batch_size)])


class _Call(NamedTuple):
    layer: nn.Linear
    input: Tensor
    output: Tensor


def _features(model: nn.Module, call: list[_Call], output: Tensor) -> Tensor:
    if not call or call[0].output is not output:
        raise ValueError(f"{type(model).__name__} doesn't end in an nn.Linear: its features are unknown")
    if call[0].input.dim() != 2:
        shape = tuple(call[0].input.shape)
        raise ValueError(f"the last nn.Linear is given an input of shape {shape}: it must be (N, D)")
    return call[0].input


@contextmanager
def _last_linear_call(model: nn.Module) -> Iterator[list[_Call]]:
    """A list that holds the latest call of any nn.Linear in the model."""
    latest: list[_Call] = []

    def remember(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        latest[:] = [_Call(cast(nn.Linear, layer), inputs[0], output)]

    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    handles = [layer.register_forward_hook(remember) for layer in linear]
    try:
        yield latest
    finally:
        for handle in handles:
            handle.remove()
