"""Pieces of a ReLU net along a line: found exactly, layer by layer, not by sampling."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.datasets.sampling import stream
from atml_exp.fields import Finite, NonNegativeInt, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value

__all__ = ["Path", "affine_pieces", "linear_pieces", "monotone_pieces", "path_along"]

KINKED = (nn.ReLU, nn.LeakyReLU)
AFFINE = (
    nn.Linear,
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,  # in eval mode
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.Identity,
    nn.Flatten,
)
RESOLUTION = 1e-12
"""Of the segment: nodes that are closer are one."""
SAME = 1e-9
"""Of the largest slope: slopes that differ by less are one."""


class Path(NamedTuple):
    """t ↦ f(a + t(b − a)) on [0, 1], float64: between two nodes no unit goes on or off, and so f is affine.

    nodes (R + 1,): from 0 to 1, ascending, R activation regions between them. slopes (R, K): df/dt in each.
    """

    nodes: Tensor
    slopes: Tensor


def linear_pieces(
    model: nn.Module,
    data: Split,
    *,
    interval: list[Finite] | None = None,
    segments: PositiveInt = 20,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Pieces of a net with ReLUs or leaky ReLUs along a line, exact in float64, in eval mode (see `path_along`).

    Of inputs with one entry: on the interval [low, high], by default from the least to the greatest x of `data`.
    Of others: means over `segments` segments between two different examples, drawn by the seed.
    `pieces`: affine ones of the outputs, `affine_pieces`; `regions`: activation regions, of which pieces may hold
    several; `monotone`: `monotone_pieces`, of a net with one output. ValueError for an interval where inputs have
    several entries or that isn't two ascending numbers, for fewer than two examples, and as `path_along`.
    """
    paths = [path_along(model, a, b) for a, b in _segments(data.x, interval, segments, seed)]
    counts = {"pieces": [affine_pieces(p) for p in paths], "regions": [len(p.slopes) for p in paths]}
    if paths[0].slopes.shape[1] == 1:
        counts["monotone"] = [monotone_pieces(p) for p in paths]
    return {name: sum(each) / len(each) for name, each in counts.items()}


def affine_pieces(path: Path) -> int:
    """On how many intervals a path is affine, each as long as can be: 1 + the changes of its slopes.

    >>> net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> for p, v in zip(net.parameters(), ([[2.0], [2.0]], [0.0, -1.0], [[1.0, -2.0]], [0.0]), strict=True):
    ...     p.data = torch.tensor(v)
    >>> tent = path_along(net, torch.zeros(1), torch.ones(1))
    >>> tent.nodes.tolist(), tent.slopes[:, 0].tolist(), affine_pieces(tent), monotone_pieces(tent)
    ([0.0, 0.5, 1.0], [2.0, -2.0], 2, 2)
    """
    changes = path.slopes.diff(dim=0).abs().amax(1)
    return 1 + int((changes > SAME * path.slopes.abs().max()).sum())


def monotone_pieces(path: Path) -> int:
    """On how many intervals, each as long as can be, a path (K = 1) never turns; it may be level on a part of one.

    ValueError for several outputs.
    """
    if path.slopes.shape[1] != 1:
        raise ValueError(f"the net has {path.slopes.shape[1]} outputs: monotone pieces are those of 1")
    slopes = path.slopes[:, 0]
    signs = slopes[slopes.abs() > SAME * slopes.abs().max()].sign()
    return 1 + int((signs.diff() != 0).sum())


def path_along(model: nn.Module, start: Tensor, end: Tensor) -> Path:
    """All kinks of the model on the segment from start to end, each shaped like one input, in eval mode.

    Between the nodes that the layers before have made, a unit's preactivation is affine: where its values at two of
    them have different signs, it crosses 0 at one place in between, which is a new node. So one forward pass for
    each call of a ReLU finds all, wherever it stands: skip connections, convolutions, batch norms in eval mode may
    come between. Up to rounding and 10⁻¹² of the segment, within which nodes count as one.

    After Hanin & Rolnick (2019), Complexity of linear regions in deep networks, who count regions along lines.
    ValueError where start and end are equal or of different shape; where the model has a layer of torch.nn that is
    neither affine nor a (leaky) ReLU, such as tanh, max-pooling, layer norm; and where it isn't affine between the
    nodes, by anything else in its code.
    """
    if start.shape != end.shape or bool((start == end).all()):
        raise ValueError(
            f"start and end must differ, and be of one shape; got {tuple(start.shape)}, {tuple(end.shape)}"
        )
    _check_layers(model)
    a, b = as_float64(start), as_float64(end)
    net = copy.deepcopy(model).to(a.device, torch.float64).eval()

    def of(t: Tensor) -> Tensor:
        return net(a + t.reshape(-1, *[1] * a.dim()) * (b - a)).flatten(1)

    with torch.no_grad():
        nodes = _nodes(net, of, a.new_tensor([0.0, 1.0]))
        slopes = _derivatives(of, (nodes[1:] + nodes[:-1]) / 2)
        _check_affine(of, nodes)
    return Path(nodes, slopes)


def _nodes(net: nn.Module, of: Callable[[Tensor], Tensor], nodes: Tensor) -> Tensor:
    """The given ends, and between them wherever a unit changes its side."""
    calls: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0].flatten(1).clone()))
        for layer in net.modules()
        if isinstance(layer, KINKED)
    ]
    try:
        done, total = 0, 1
        while done < total:
            calls.clear()
            of(nodes)
            total = len(calls)
            if done < total:
                nodes = _with_crossings(nodes, calls[done])
            done += 1
    finally:
        for handle in handles:
            handle.remove()
    return nodes


def _with_crossings(nodes: Tensor, z: Tensor) -> Tensor:
    """The nodes (B,) and the zeros between them of functions with the values z (B, U) there, affine in between."""
    left, right = z[:-1], z[1:]
    i, u = torch.nonzero(left * right < 0, as_tuple=True)
    share = left[i, u] / (left[i, u] - right[i, u])
    found = torch.cat([nodes, nodes[i] + share * (nodes[i + 1] - nodes[i])]).sort().values
    inner = found[(found > RESOLUTION) & (found < 1 - RESOLUTION)]
    apart = inner.diff(prepend=inner.new_zeros(1)) > RESOLUTION
    return torch.cat([nodes[:1], inner[apart], nodes[-1:]])


def _derivatives(of: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """(B, K) of functions of one number at t (B,): exact however near the nodes are, which differences aren't."""
    with torch.enable_grad():
        t = t.requires_grad_()
        columns = of(t).sum(0)
        return torch.stack([torch.autograd.grad(column, t, retain_graph=True)[0] for column in columns], 1)


def _check_layers(model: nn.Module) -> None:
    for layer in model.modules():
        ours = not type(layer).__module__.startswith("torch.nn") or isinstance(layer, nn.Sequential | nn.ModuleList)
        if not ours and not isinstance(layer, KINKED + AFFINE):
            raise ValueError(
                f"the model has a {type(layer).__name__}: pieces are counted where all layers are affine, ReLU or "
                "LeakyReLU"
            )


def _check_affine(of: Callable[[Tensor], Tensor], nodes: Tensor) -> None:
    """At a third of the way between nodes, where neither a parabola nor a cubic passes by accident; to 1e-8."""
    at_nodes, inside = of(nodes), of((2 * nodes[:-1] + nodes[1:]) / 3)
    off = (inside - (2 * at_nodes[:-1] + at_nodes[1:]) / 3).abs().max()
    if not bool(off <= 1e-8 * at_nodes.abs().max()):
        raise ValueError(
            "the model isn't affine between the kinks of its ReLUs: its code does something else besides"
        )


def _segments(x: Tensor, interval: list[float] | None, segments: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    if x[0].numel() == 1:
        low, high = _ends(x, interval)
        return [(torch.full_like(x[0], low), torch.full_like(x[0], high))]
    if interval is not None:
        raise ValueError(f"interval = {interval}: inputs have {x[0].numel()} entries, an interval is of 1")
    if len(x) < 2:
        raise ValueError(f"{len(x)} example: a segment lies between 2")
    generator = stream(seed, "linear_pieces")
    pairs = [torch.randperm(len(x), generator=generator)[:2].tolist() for _ in range(segments)]
    return [(x[i], x[j]) for i, j in pairs]


def _ends(x: Tensor, interval: list[float] | None) -> tuple[float, float]:
    if interval is None:
        return float(x.min()), float(x.max())
    if len(interval) != 2 or not interval[0] < interval[1]:
        raise ValueError(f"interval = {interval}: it must be two ascending numbers, or null for the data's own")
    return interval[0], interval[1]
