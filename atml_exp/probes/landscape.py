"""Loss landscape: one- and two-dimensional slices of the loss around a net's weights, along random directions."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, Positive, PositiveInt
from atml_exp.layout import Layout
from atml_exp.loss_at import LossAt, has_running_statistics, loss_at
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value

__all__ = ["Slice", "filter_normalised", "landscape", "loss_on_grid", "random_directions", "slice_of_loss"]

Normalisation = Literal["filter", "none"]


class Slice(NamedTuple):
    """loss and error at w + Σ_k a_k d_k for a_k in `coordinates` (n,), −reach … reach with 0 in the middle.

    loss, error: (n,) for one direction, (n, n) for two, the first index along the first. A regression has no error.
    """

    coordinates: Tensor
    loss: Tensor
    error: Tensor | None


def landscape(
    model: nn.Module,
    data: Split,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    dimensions: Literal[1, 2] = 2,
    normalisation: Normalisation = "filter",
    reach: Positive = 1.0,
    points_per_side: PositiveInt = 10,
    num_slices: PositiveInt = 1,
    seed: NonNegativeInt = 0,
    recompute: bool = True,
    chunk_size: PositiveInt | None = None,
) -> dict[str, Value]:
    """Slices of the mean loss over `data` through the weights, along random directions, in eval mode.

        f(a, b) = L(w + a d + b d′)
        d_ij ← d_ij ‖w_ij‖/‖d_ij‖

    Li, Xu, Taylor, Studer & Goldstein 2018 (Visualizing the loss landscape of neural nets): a Gaussian direction is
    rescaled filter by filter to the weights, so that a net and its copy with rescaled layers look the same; see
    `filter_normalised`. Coordinate 1 is then a move as long, in every filter, as its weights. `none`: directions of
    length 1, the coordinate is the Euclidean distance.

    points_per_side: on each side of the centre, n = 2·points_per_side + 1 on an axis. num_slices: how many, each
    along directions of its own. recompute: the running statistics of batch norm, on `data`, at every point.

    Returns `coordinates` (n,); `loss` and `error` (num_slices, n) or (num_slices, n, n); `centre`, the loss there;
    `rise`, the mean of the loss over the slices less `centre`, and `error_rise`, the same of the error.
    """
    drawn = random_directions(model, dimensions * num_slices, normalisation=normalisation, seed=seed)
    found = [
        slice_of_loss(
            model,
            directions,
            data,
            loss=loss,
            reach=reach,
            points_per_side=points_per_side,
            statistics=data if recompute else None,
            chunk_size=chunk_size,
        )
        for directions in drawn.split(dimensions)
    ]
    return _values(found)


def _values(found: list[Slice]) -> dict[str, Value]:
    losses = torch.stack([s.loss for s in found])
    centre = _centre(losses[0])
    values: dict[str, Value] = {"coordinates": found[0].coordinates, "loss": losses, "centre": centre.item()}
    values["rise"] = (losses.double() - centre.double()).mean().item()
    if found[0].error is not None:
        errors = torch.stack([s.error for s in found if s.error is not None])
        values["error"] = errors
        values["error_rise"] = (errors.double() - _centre(errors[0]).double()).mean().item()
    return values


def _centre(values: Tensor) -> Tensor:
    return values.flatten()[values.numel() // 2]


def random_directions(
    model: nn.Module, number: int, *, normalisation: Normalisation = "filter", seed: int = 0
) -> Tensor:
    """(number, P) Gaussian directions in the space of the trainable parameters.

    filter: see `filter_normalised`; weights outside filters stand still. none: each of length 1.
    Raises ValueError under `filter` where the model has no filter: no weight of two dimensions or more.
    """
    layout = Layout.of(model)
    w = layout.vector(dict(model.named_parameters()))
    if normalisation == "filter" and all(len(shape) < 2 for shape in layout.shapes):
        raise ValueError("the model has no filters (weights of two dimensions or more): use normalisation=none")
    draw = torch.Generator().manual_seed(seed)
    raw = torch.randn(number, layout.size, generator=draw, dtype=torch.float64)
    if normalisation == "none":
        return (raw / raw.norm(dim=1, keepdim=True)).to(w)
    return torch.stack([filter_normalised(model, row.to(w)) for row in raw])


def filter_normalised(model: nn.Module, direction: Tensor) -> Tensor:
    """d_ij ← d_ij ‖w_ij‖/‖d_ij‖ for every filter j of every layer i (Li et al. 2018, section 4): a new vector (P,).

    A filter is what one unit or output channel is computed with: w[j] of a weight with two dimensions or more.
    Biases and the parameters of normalisation layers, with one dimension, get 0, and so does a filter that is 0 in
    the weights or in the direction. Raises ValueError where `direction` isn't (P,).

    >>> model = nn.Linear(2, 2)
    >>> _ = nn.init.constant_(model.weight[0], 0.0), nn.init.constant_(model.weight[1], 3.0)
    >>> filter_normalised(model, torch.tensor([1.0, 2.0, 0.0, 5.0, 7.0, 7.0]))
    tensor([0.0000, 0.0000, 0.0000, 4.2426, 0.0000, 0.0000])
    """
    layout = Layout.of(model)
    if direction.shape != (layout.size,):
        raise ValueError(f"direction has shape {tuple(direction.shape)}: it must be ({layout.size},)")
    w = layout.pieces(layout.vector(dict(model.named_parameters())))
    return layout.flatten([_rescaled(d, v) for d, v in zip(layout.pieces(direction), w, strict=True)])


def _rescaled(direction: Tensor, weight: Tensor) -> Tensor:
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    own, wanted = (t.flatten(1).norm(dim=1) for t in (direction, weight))
    factor = torch.where(own > 0, wanted / own.clamp_min(torch.finfo(own.dtype).tiny), 0.0)
    return direction * factor.view(-1, *[1] * (weight.dim() - 1))


def slice_of_loss(
    model: nn.Module,
    directions: Tensor,
    data: Split,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    reach: float = 1.0,
    points_per_side: int = 10,
    statistics: Split | None = None,
    chunk_size: int | None = None,
) -> Slice:
    """The loss along one or two directions (1 or 2, P) through the model's weights.

    statistics: examples on which batch norm's running statistics are recomputed at each point; None: they stay.
    chunk_size: points at a time, see `loss_at`. Raises ValueError unless there are one or two directions.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.zeros_(model.weight)
    >>> data = Split(torch.ones(1, 1), torch.zeros(1, 1))
    >>> slice_of_loss(model, torch.ones(1, 1), data, loss=nn.MSELoss(), reach=2.0, points_per_side=2).loss
    tensor([4., 1., 0., 1., 4.])
    """
    if directions.dim() != 2 or len(directions) not in (1, 2):
        raise ValueError(f"directions has shape {tuple(directions.shape)}: it must be (1, P) or (2, P)")
    w = Layout.of(model).vector(dict(model.named_parameters()))
    coordinates = reach * torch.arange(-points_per_side, points_per_side + 1, dtype=w.dtype) / points_per_side
    axes = [coordinates.to(w.device)] * len(directions)
    found = loss_on_grid(model, w, directions, axes, data, loss=loss, statistics=statistics, chunk_size=chunk_size)
    return Slice(coordinates, *found)


def loss_on_grid(
    model: nn.Module,
    origin: Tensor,
    directions: Tensor,
    axes: list[Tensor],
    data: Split,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    statistics: Split | None = None,
    chunk_size: int | None = None,
) -> LossAt:
    """loss and error (n_1, …, n_K) at origin + Σ_k a_k d_k for all a_k in axes[k] (n_k,)."""
    places = torch.cartesian_prod(*axes).view(-1, len(axes))
    coefficients = torch.cat([torch.ones_like(places[:, :1]), places], 1)
    recomputed = statistics if has_running_statistics(model) else None
    vectors = torch.cat([origin[None], directions.to(origin)])
    found = loss_at(model, vectors, coefficients, data, loss=loss, statistics=recomputed, chunk_size=chunk_size)
    shape = [len(a) for a in axes]
    return LossAt(found.loss.view(shape), None if found.error is None else found.error.view(shape))
