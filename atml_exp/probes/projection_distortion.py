"""Projection distortion: how far distances among stored iterates are from those among the weights themselves."""

from torch import Tensor

from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.trajectory import Precision, stored
from atml_exp.projection import distortion

__all__ = ["projection_distortion"]


def projection_distortion(
    points: Tensor,
    *,
    precision: Precision = "exact",
    dimension: PositiveInt | None = None,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """The relative error |d̂/d − 1| of the distances among exact iterates (T, P) once they are stored.

    `max` and `mean` over the pairs, and their number `num_pairs`; stored as `trajectory` does with these options.

    Raises ValueError as `distortion` does: for NaN, fewer than two points, and points that are all alike.
    """
    found = distortion(points, stored(points, precision, dimension, seed))
    return {"max": found.max, "mean": found.mean, "num_pairs": float(found.num_pairs)}
