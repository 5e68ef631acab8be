"""Recorded steps of stacked convolutional nets, their images stored as a CPU likes them: channels last."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

__all__ = ["prefers_channels_last", "store_channels_last", "stored"]

aten = torch.ops.aten

CONVOLUTIONS: Mapping[Any, int] = {aten.convolution.default: 1, aten.convolution_backward.default: 2}
"""Each with the number of its leading arguments that are images: the input, or the gradient and the input."""

BY_CHANNEL: Mapping[Any, int | None] = {
    aten.avg_pool2d.default: None,
    aten.avg_pool2d_backward.default: None,
    aten.max_pool2d_with_indices.default: None,
    aten.max_pool2d_with_indices_backward.default: None,
    aten._adaptive_avg_pool2d.default: None,
    aten._adaptive_avg_pool2d_backward.default: None,
    aten.native_group_norm.default: 3,
    aten.native_group_norm_backward.default: 5,
}
"""Operations that treat channels, or groups of them, alike; for groups, where the numbers of examples, channels,
pixels and groups stand among its arguments."""


def prefers_channels_last(module: GraphModule) -> bool:
    """Whether a recorded step holds convolutions of stacked models, in float32 on a CPU, and will be faster.

    oneDNN computes these; those in float64 torch itself does, which is up to twice slower with channels last. Each
    number that is pooled, normalised by groups or convolved in few channels then saves about 3 ns; each number of
    the kernels, which are turned over with their gradients, costs 6 and more: a ResNet-18 has too many.
    """
    nodes = [n for n in module.graph.nodes if n.target in CONVOLUTIONS or n.target in BY_CHANNEL]
    forward = [n for n in nodes if "backward" not in str(n.target) and len(_shape(n.args[0])) == 4]
    convolutions = [n for n in forward if n.target in CONVOLUTIONS]
    gaining = sum(_size(n.args[0]) for n in forward if n.target in BY_CHANNEL or _shape(n.args[1])[1] % 16)
    kernels = sum(_size(n.args[1]) for n in convolutions)
    return gaining > 2 * kernels and any(_is_stacked(n) for n in convolutions)


def _is_stacked(convolution: Any) -> bool:
    x, groups = convolution.args[0].meta["val"], convolution.args[8]
    by_onednn = x.dtype == torch.float32 and x.device.type == "cpu" and torch.backends.mkldnn.is_available()
    return bool(groups > 1 and by_onednn)


def store_channels_last(module: GraphModule) -> None:
    """Changes how a recorded step's images lie in memory, and its values by rounding only.

    vmap makes of R convolutions one of R groups, of images (N, R·C, H, W) whose channels are the models' one after
    the other, but of R poolings or group norms one of images (R·N, C, H, W): between them lies a transposition.
    Here all take (N, R·C, H, W), stored as (N, H, W, R·C), and convolutions add their biases. What acts on each
    number alone keeps the order in memory that it finds; views become copies where this order needs it.

    Measured on one core of an EPYC of the fourth generation, R = 4, N = 64, 3×3 kernels, forward and backward
    together, microseconds a model, stored as (N, R·C, H, W) and as (N, H, W, R·C): convolution from 1 to 16
    channels, 8×8 pixels, 170 and 49; from 3 to 16, 355 and 85; from 12 to 24, 1692 and 871; from 16 to 32, 4×4
    pixels, 319 and 288; from 64 to 64, 1766 and 1821, the only kind that gains nothing. Mean pooling of 16
    channels, 8×8 pixels: 233 and 24. Matrix products of the kernels with the images' columns took 126, 271, 1348,
    442 and 3925: oneDNN needs fewer passes over memory.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default
        elif node.target is aten.clone.default and node.kwargs.get("memory_format") is torch.contiguous_format:
            node.replace_all_uses_with(node.args[0])  # a copy for the sake of its order in memory
    _rewrite(graph, BY_CHANNEL, _put_models_beside_channels)
    _rewrite(graph, [aten.reshape.default], _without_detour)
    _rewrite(graph, [aten.add.Tensor], _add_bias_within)
    _rewrite(graph, CONVOLUTIONS, _store_images)
    module.recompile()


def _rewrite(graph: Graph, targets: Any, change: Callable[[Graph, Node], None]) -> None:
    for node in list(graph.nodes):
        if node.target in targets:
            change(graph, node)
    graph.eliminate_dead_code()


def _put_models_beside_channels(graph: Graph, node: Node) -> None:
    """An operation on (R·N, C, H, W) as one on (R, N, C, H, W), where that is what the images are a reshape of."""
    target: Any = node.target
    tensors = [a for a in node.args if isinstance(a, Node)]
    stack = next(filter(None, map(_stack, tensors)), None)
    if stack is None or any(_shape(t)[0] != stack[0] * stack[1] for t in tensors):
        return
    with graph.inserting_before(node):
        args = [_unstacked(graph, a, stack) if isinstance(a, Node) else a for a in _arguments(node, *stack)]
        together = graph.call_function(_over_channels, (target, *args), node.kwargs)
        for old in [user for user in node.users if user.target is operator.getitem] or [node]:
            new = together if old is node else graph.call_function(operator.getitem, (together, old.args[1]))
            new.meta["val"] = old.meta["val"].unflatten(0, stack)
            old.replace_all_uses_with(_reshaped(graph, new, _shape(old)))


def _arguments(node: Node, models: int, examples: int) -> list[Any]:
    """An operation's arguments, the numbers of examples, channels and groups as they will be."""
    arguments: list[Any] = list(node.args)
    if first := BY_CHANNEL[node.target]:
        _, channels, pixels, groups = arguments[first : first + 4]
        arguments[first : first + 4] = examples, models * channels, pixels, models * groups
    return arguments


def _unstacked(graph: Graph, x: Node, stack: tuple[int, int]) -> Node:
    return _reshaped(graph, x, (*stack, *_shape(x)[1:]))


def _stack(images: Node) -> tuple[int, int] | None:
    """(R, N) of images that are a reshape (R·N, C, H, W) of (R, N, C, H, W)."""
    if images.target is not aten.reshape.default:
        return None
    source: Any = images.args[0]
    before, after = _shape(source), _shape(images)
    return before[:2] if len(before) == 5 and len(after) == 4 and before[2:] == after[1:] else None


def _over_channels(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """An operation on (R, N, C, …), which treats channels alike, as one on (N, R·C, …)."""
    models = next(a.shape[0] for a in args if isinstance(a, Tensor))
    found = operation(*(_together(a) if isinstance(a, Tensor) else a for a in args), **kwargs)
    if isinstance(found, Tensor):
        return _apart(found, models)
    return tuple(f if f is None else _apart(f, models) for f in found)


def _together(x: Tensor) -> Tensor:
    x = x.transpose(0, 1).flatten(1, 2)
    return stored(x) if x.dim() == 4 else x


def _apart(x: Tensor, models: int) -> Tensor:
    return x.unflatten(1, (models, -1)).transpose(0, 1)


def _without_detour(graph: Graph, node: Node) -> None:
    """A reshape of a reshape is one reshape, or none."""
    source: Any = node.args[0]
    if source.target is aten.reshape.default:
        source = source.args[0]
    node.args = (source, node.args[1])
    if _shape(source) == _shape(node):
        node.replace_all_uses_with(source)


def _add_bias_within(graph: Graph, add: Node) -> None:
    """A convolution plus biases (R, 1, C, 1, 1) as one with biases, where nothing else needs it without."""
    path, bias = _convolved(add.args[0]), add.args[1]
    shape = _shape(add)
    if not path or not isinstance(bias, Node) or _shape(bias) != (shape[0], 1, shape[2], 1, 1) or add.kwargs:
        return
    found: Any = None
    with graph.inserting_before(add):  # where the bias is known
        flat = _reshaped(graph, bias, [bias.meta["val"].numel()])
        for old in path:
            new = graph.node_copy(old)
            new.args = (found, *old.args[1:]) if found else (*old.args[:2], flat, *old.args[3:])
            found = new
    add.replace_all_uses_with(found)


def _convolved(images: Any) -> list[Node]:
    """The convolution without biases, the reshape and the permutation that give images (R, N, C, H, W), if so."""
    path: list[Node] = []
    for target in (aten.permute.default, aten.reshape.default, aten.convolution.default):
        if not isinstance(images, Node) or images.target is not target or len(images.users) > 1:
            return []
        path.insert(0, images)
        images = images.args[0]
    return path if path[0].args[2] is None else []


def _store_images(graph: Graph, convolution: Node) -> None:
    count = CONVOLUTIONS[convolution.target]
    images: Any = convolution.args[:count]
    if all(len(_shape(image)) == 4 for image in images):
        with graph.inserting_before(convolution):
            images = [graph.call_function(stored, (image,)) for image in images]
        convolution.args = (*images, *convolution.args[count:])


def stored(images: Tensor) -> Tensor:
    """Images (N, C, H, W) as they are, if they are stored as (N, H, W, C), else a copy that is.

    An axis of length 1 gets the stride that it would have if it were longer, by which torch knows the order.

    >>> stored(torch.zeros(2, 3, 4, 5)).stride(), stored(torch.zeros(2, 1, 4, 5)).stride()
    ((60, 1, 15, 3), (20, 1, 5, 1))
    """
    _, c, h, w = images.shape
    return images.contiguous(memory_format=torch.channels_last).as_strided(images.shape, (h * w * c, 1, w * c, c))


def _reshaped(graph: Graph, source: Node, shape: Sequence[int]) -> Node:
    node = graph.call_function(aten.reshape.default, (source, list(shape)))
    node.meta["val"] = source.meta["val"].reshape(shape)
    return node


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape)


def _size(node: Any) -> int:
    return int(node.meta["val"].numel())
