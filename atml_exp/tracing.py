"""A function of tensors as the list of operations that it comes down to, to be run again and again."""

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from atml_exp.channels_last import prefers_channels_last, store_channels_last

__all__ = ["traced"]

log = logging.getLogger("atml_exp")

Function = Callable[..., Any]


def traced(fn: Function, *arguments: Any, exact: bool = True) -> Function:
    """`fn`, recorded once on arguments of these shapes and run without what it takes to find the operations.

    vmap and autograd cost about a millisecond a call in Python, whatever the tensors hold; the operations that they
    come down to are the same at each step. What the function writes into its arguments in place is recorded too.

    Given back is `fn` itself where recording fails, or where what was recorded doesn't give the very same numbers,
    in the values and in what was written, on these arguments: then control flow or state was at work. Only
    functions that draw no random numbers and don't branch on values may be passed.

    With exact=False, operations that are slow on stacks of small matrices are then replaced by others that differ
    in rounding only (a softmax over a short last axis, a product and the bias added to it), unless what they give
    differs by more than 100 units of rounding.

    >>> double = traced(lambda x: x + x, torch.zeros(2))
    >>> double(torch.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    expected = _result(fn, arguments)
    try:
        graph = _recorded(fn, arguments)
        same = not _depends_on_values(graph) and _same(_result(graph, arguments), expected)
    except Exception as error:
        log.info("a step is run as it is, since it can't be recorded: %s: %s", type(error).__name__, error)
        return fn
    if not same:
        return fn
    if exact:
        return graph
    faster = _regrouped(graph)
    return faster if _close(_result(faster, arguments), expected) else _recorded(fn, arguments)


def _recorded(fn: Function, arguments: Any) -> GraphModule:
    """The operations below autograd and vmap.

    torch's own make_fx finds them too, but imports a compiler, which takes longer than many a training.
    """
    arguments = _copies(arguments)
    tape = _Tape(pytree.tree_leaves(arguments))
    with tape:
        result = fn(*arguments)
    return _without_needless(tape.module(result))


class _Tape(TorchDispatchMode):
    """Writes down each operation as a node of a graph whose inputs are the leaves of the arguments."""

    def __init__(self, leaves: Sequence[Any]) -> None:
        super().__init__()
        self._graph = Graph()
        self._nodes: dict[Any, Node] = {}
        self._kept: list[Tensor] = []  # so that no memory is used twice while it is told tensors apart
        for i, leaf in enumerate(leaves):
            node = self._graph.placeholder(f"argument_{i}")
            if isinstance(leaf, Tensor):
                self._remember(leaf, node)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else torch imports its compiler to keep it away from here

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = pytree.tree_map_only(Tensor, self._node_of, (args, kwargs or {}))
        node = self._graph.call_function(func, *inputs)
        if isinstance(result, Tensor):
            self._remember(result, node)
        elif isinstance(result, list | tuple):
            for i, item in enumerate(result):
                if isinstance(item, Tensor):
                    self._remember(item, self._graph.call_function(operator.getitem, (node, i)))
        return result

    def module(self, result: Any) -> "Recording":
        """What was written down, giving back `result`."""
        leaves, spec = pytree.tree_flatten(result)
        self._graph.output([self._node_of(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves])
        return Recording(self._graph, spec)

    def _remember(self, tensor: Tensor, node: Node) -> None:
        node.meta["val"] = tensor.detach()
        self._kept.append(tensor)
        self._nodes[_memory(tensor)] = self._nodes[id(tensor)] = node

    def _node_of(self, tensor: Tensor) -> Node:
        """autograd hands back what it saved as another tensor on the same memory."""
        node = self._nodes.get(id(tensor)) or self._nodes.get(_memory(tensor))
        if node is None:
            raise ValueError("a tensor is neither an argument nor made of arguments")
        return node


def _memory(tensor: Tensor) -> Any:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


class Recording(GraphModule):
    """A graph that is called like the function that it was recorded of."""

    def __init__(self, graph: Graph, spec: Any) -> None:
        super().__init__(torch.nn.Module(), graph)
        self._spec = spec

    def __call__(self, *arguments: Any) -> Any:
        return pytree.tree_unflatten(self.forward(*pytree.tree_leaves(arguments)), self._spec)


def _depends_on_values(graph: GraphModule) -> bool:
    """Whether an operation's shapes depend on values, or it draws random numbers."""
    tags = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output, torch.Tag.nondeterministic_seeded}
    return any(tags & set(getattr(node.target, "tags", ())) for node in graph.graph.nodes)


def _result(fn: Function, arguments: Any) -> Any:
    """What a function gives, and its arguments after it."""
    ours = _copies(arguments)
    return fn(*ours), ours


def _copies(arguments: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), arguments)


def _same(a: Any, b: Any) -> bool:
    left, right = pytree.tree_leaves(a), pytree.tree_leaves(b)
    return len(left) == len(right) and all(
        torch.equal(x.nan_to_num(), y.nan_to_num()) if isinstance(x, Tensor) else x == y
        for x, y in zip(left, right, strict=True)
    )


def _close(a: Any, b: Any) -> bool:
    """Whether all numbers agree; those of a replica that has diverged, and is gone on with, may not be finite."""
    return all(
        torch.allclose(x, y, rtol=_tolerance(x), atol=_tolerance(x) * _largest(y), equal_nan=True)
        if isinstance(x, Tensor) and x.is_floating_point() and x.numel()
        else True
        for x, y in zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True)
    )


def _largest(x: Tensor) -> float:
    return float(x.nan_to_num(0, 0, 0).abs().max())


def _tolerance(x: Tensor) -> float:
    return 100 * torch.finfo(x.dtype).eps


def _regrouped(module: GraphModule) -> GraphModule:
    """Replaces what is slow on stacks of small matrices or images; changes the module that it is given."""
    if prefers_channels_last(module):
        store_channels_last(module)
    for node in list(module.graph.nodes):
        if _is_transpose(node) and _is_product(node.args[0]) and len(node.args[0].users) == 1:
            _transpose_first(module.graph, node)
        elif node.target in _ACROSS and _is_over_short_last_axis(node):
            node.target = _ACROSS[node.target]
        elif node.target is torch.ops.aten.add.Tensor and (product := _product(node)):
            with module.graph.inserting_before(node):
                together = module.graph.call_function(torch.ops.aten.baddbmm.default, (node.args[0], *product.args))
            node.replace_all_uses_with(together)
    for node in list(module.graph.nodes):
        is_copy = node.target is torch.ops.aten.clone.default and _is_product(node.args[0])
        if is_copy and len(node.args[0].users) == 1:
            node.replace_all_uses_with(node.args[0])  # which lies in memory as it should, and nobody else reads
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _transpose_first(graph: Graph, node: Node) -> None:
    """(A B)ᵀ as Bᵀ Aᵀ: autograd gives a weight's gradient transposed, and to put it right takes a slow copy."""
    product: Any = node.args[0]
    with graph.inserting_before(node):
        left, right = (_transposed(graph, factor) for factor in reversed(product.args))
        node.replace_all_uses_with(graph.call_function(torch.ops.aten.bmm.default, (left, right)))


def _transposed(graph: Graph, node: Node) -> Any:
    """The node before its transposition, where it is one."""
    if _is_transpose(node):
        return node.args[0]
    return graph.call_function(torch.ops.aten.transpose.int, (node, 1, 2))


def _is_transpose(node: Any) -> bool:
    return isinstance(node, Node) and node.target is torch.ops.aten.transpose.int and node.args[1:] == (1, 2)


def _is_product(node: Any) -> bool:
    return isinstance(node, Node) and node.target is torch.ops.aten.bmm.default


def _log_softmax_across(x: Tensor, axis: int, half_to_float: bool) -> Tensor:
    """Over a last axis of few classes: 20 times faster with the examples last, where they fill vector registers."""
    columns = x.transpose(-1, -2).contiguous()
    return torch.ops.aten._log_softmax.default(columns, axis - 1, half_to_float).transpose(-1, -2)


def _log_softmax_backward_across(g: Tensor, output: Tensor, axis: int, dtype: torch.dtype) -> Tensor:
    columns = g.transpose(-1, -2).contiguous(), output.transpose(-1, -2)
    return torch.ops.aten._log_softmax_backward_data.default(*columns, axis - 1, dtype).transpose(-1, -2)


_ACROSS: Mapping[Any, Function] = {
    torch.ops.aten._log_softmax.default: _log_softmax_across,
    torch.ops.aten._log_softmax_backward_data.default: _log_softmax_backward_across,
}


def _is_over_short_last_axis(node: Node) -> bool:
    shape, axis = _shape(node), node.args[-2]
    return isinstance(axis, int) and len(shape) == 3 and axis in (2, -1) and shape[-1] <= 32


def _product(add: Node) -> Node | None:
    """The product that an addition of a row (R, 1, D) adds to, where nothing else needs it: bias + x @ W."""
    bias, summand = add.args[:2]
    while isinstance(summand, Node) and summand.target is torch.ops.aten._unsafe_view.default:
        summand = summand.args[0] if len(summand.users) == 1 else None
    if not isinstance(bias, Node) or not isinstance(summand, Node) or add.kwargs:
        return None
    is_product = summand.target is torch.ops.aten.bmm.default and len(summand.users) == 1
    is_row = len(_shape(bias)) == 3 and _shape(bias)[1] == 1 and _shape(summand) == _shape(add)
    return summand if is_product and is_row else None


def _without_needless(module: GraphModule) -> GraphModule:
    """Drops what changes neither values nor shapes: expand to the same shape, axes left in order, factors of 1."""
    for node in module.graph.nodes:
        if node.op == "call_function" and _is_needless(node):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.recompile()
    return module


def _is_needless(node: Node) -> bool:
    source = node.args[0] if node.args else None
    if not isinstance(source, Node) or _kind(source) != _kind(node):
        return False
    if node.target in (torch.ops.aten.expand.default, torch.ops.aten.view.default, torch.ops.aten.detach.default):
        return True
    if node.target is torch.ops.aten.permute.default:
        return node.args[1] == list(range(len(_shape(node))))
    by_number = (torch.ops.aten.mul.Scalar, torch.ops.aten.mul.Tensor)
    return node.target in by_number and isinstance(node.args[1], int | float) and node.args[1] == 1


def _kind(node: Node) -> Any:
    """Shape and dtype."""
    found = node.meta.get("val", node.meta.get("tensor_meta"))
    return (found.shape, found.dtype) if isinstance(found, Tensor) else node


def _shape(node: Node) -> Any:
    found = node.meta.get("val", node.meta.get("tensor_meta"))
    return getattr(found, "shape", node)
