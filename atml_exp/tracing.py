"""A function of tensors as the list of operations that it comes down to, to be run again and again."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

__all__ = ["traced"]

log = logging.getLogger("atml_exp")

Function = Callable[..., Any]


def traced(fn: Function, *arguments: Any) -> Function:
    """`fn`, recorded once on arguments of these shapes and run without what it takes to find the operations.

    vmap and autograd cost about a millisecond a call in Python, whatever the tensors hold; the operations that they
    come down to are the same at each step. What the function writes into its arguments in place is recorded too.

    Given back is `fn` itself where recording fails, or where what was recorded doesn't give the very same numbers,
    in the values and in what was written, on these arguments: then control flow or state was at work. Only
    functions that draw no random numbers and don't branch on values may be passed.

    >>> double = traced(lambda x: x + x, torch.zeros(2))
    >>> double(torch.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    try:
        graph = _without_needless(make_fx(fn, pre_dispatch=False)(*_copies(arguments)))
    except Exception as error:
        log.info("a step is run as it is, since it can't be recorded: %s: %s", type(error).__name__, error)
        return fn
    ours, theirs = _copies(arguments), _copies(arguments)
    return graph if _same((graph(*ours), ours), (fn(*theirs), theirs)) else fn


def _copies(arguments: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), arguments)


def _same(a: Any, b: Any) -> bool:
    left, right = pytree.tree_leaves(a), pytree.tree_leaves(b)
    return len(left) == len(right) and all(
        torch.equal(x.nan_to_num(), y.nan_to_num()) if isinstance(x, Tensor) else x == y
        for x, y in zip(left, right, strict=True)
    )


def _without_needless(module: GraphModule) -> GraphModule:
    """Drops what changes neither values nor shapes: expand to the same shape, multiplication by 1."""
    for node in module.graph.nodes:
        if node.op == "call_function" and _is_needless(node):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)
    module.recompile()
    return module


def _is_needless(node: Node) -> bool:
    source = node.args[0] if node.args else None
    if not isinstance(source, Node) or _shape(source) != _shape(node):
        return False
    if node.target in (torch.ops.aten.expand.default, torch.ops.aten.view.default):
        return True
    by_number = (torch.ops.aten.mul.Scalar, torch.ops.aten.mul.Tensor)
    return node.target in by_number and isinstance(node.args[1], int | float) and node.args[1] == 1


def _shape(node: Node) -> Any:
    found = node.meta.get("val", node.meta.get("tensor_meta"))
    return getattr(found, "shape", node)
