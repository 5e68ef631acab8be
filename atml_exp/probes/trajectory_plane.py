"""The plane that holds most of a training's path, and the loss on it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegative, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value, of_model_and_points
from atml_exp.probes.landscape import loss_on_grid

__all__ = ["Plane", "principal_plane", "trajectory_plane", "walk_variance"]


class Plane(NamedTuple):
    """The plane through the last point along the first two principal components, float64.

    origin: (P,), the last point. directions: (2, P), orthonormal. path: (T, 2), the points in the plane's
    coordinates, the last at 0. variance: (min(T, P),), each component's share of the variance. distance: (T,), of
    each point from the plane.
    """

    origin: Tensor
    directions: Tensor
    path: Tensor
    variance: Tensor
    distance: Tensor


@of_model_and_points
def trajectory_plane(
    model: nn.Module,
    data: Split,
    points: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    points_per_axis: PositiveInt = 21,
    margin: NonNegative = 0.25,
    recompute: bool = True,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """The loss over `data` on the principal plane of recorded weights (T, P), with their path in it.

    Li et al. 2018, section 7; see `principal_plane`. The grid of points_per_axis² losses spans the path and
    `margin` times its extent on each side. recompute: batch norm's running statistics, on `data`, at each point.

    Returns `loss` and `error` (n, n), the first index along the first component; `axes` (2, n), `path` (T, 2),
    `variance` (up to 10,), each component's share of the path's variance; `explained`, the share of the two;
    `walk`, that of a random walk of T points (Antognini & Sohl-Dickstein 2018), which explains much of itself too;
    `distance`, the largest distance of a recorded point from the plane.
    """
    plane = principal_plane(points)
    axes = _axes(plane.path, points_per_axis, margin)
    like = next(model.parameters()).detach()
    found = loss_on_grid(
        model,
        plane.origin.to(like),
        plane.directions.to(like),
        [a.to(like) for a in axes],
        data,
        loss=loss,
        statistics=data if recompute else None,
        chunk_size=chunk_size,
    )
    values: dict[str, Value] = {"loss": found.loss, "axes": torch.stack(axes), "path": plane.path}
    values |= {"variance": plane.variance[:10], "explained": plane.variance[:2].sum().item()}
    values |= {"walk": walk_variance(len(points))[:2].sum().item(), "distance": plane.distance.max().item()}
    return values if found.error is None else values | {"error": found.error}


def principal_plane(points: Tensor) -> Plane:
    """The plane through the last of points (T, …) along the principal components of all of them.

    The components are those of the centred points, so that a path in a plane lies in this one. Computed in float64.
    Raises ValueError where points are fewer than 3, not finite, or lie on one line, which is in no one plane.

    >>> plane = principal_plane(torch.tensor([[0.0, 0, 5], [2, 0, 5], [0, 1, 5]]))
    >>> plane.variance.numpy().round(3).tolist(), plane.distance.max().item() < 1e-12
    ([0.861, 0.139, 0.0], True)
    """
    rows = as_float64(points).flatten(1)
    if len(rows) < 3 or not bool(rows.isfinite().all()):
        raise ValueError(f"points must be at least 3 finite ones to span a plane; got {len(rows)} points")
    _, scale, components = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    if len(scale) < 2 or scale[1] <= 1e-12 * scale[0] or scale[0] == 0:
        raise ValueError("points lie on one line: they span no plane")
    origin, directions = rows[-1], components[:2]
    path = (rows - origin) @ directions.T
    distance = (rows - origin - path @ directions).norm(dim=1)
    return Plane(origin, directions, path, scale.square() / scale.square().sum(), distance)


def walk_variance(num_points: int) -> Tensor:
    """(T − 1,): each principal component's share of the variance of a random walk of T points in many dimensions.

    ∝ 1/(1 − cos(πk/T)), k = 1 … T − 1, which tends to 1/k²: 61 % and 15 % for the first two (Antognini &
    Sohl-Dickstein 2018, PCA of high dimensional random walks).

    >>> [round(v, 2) for v in walk_variance(1000)[:2].tolist()]
    [0.61, 0.15]
    """
    k = torch.arange(1, num_points, dtype=torch.float64)
    shares = 1 / (1 - torch.cos(torch.pi * k / num_points))
    return shares / shares.sum()


def _axes(path: Tensor, number: int, margin: float) -> list[Tensor]:
    """Coordinates along each component: the path's range, widened by `margin` on each side."""
    low, high = path.min(0).values, path.max(0).values
    room = margin * (high - low)
    return [torch.linspace(a, b, number, dtype=path.dtype) for a, b in zip(low - room, high + room, strict=True)]
