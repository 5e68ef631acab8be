"""The types that a config value may have.

A function that a config names with `_target_` is its own schema: validation reads its signature, so a range
is written once, in the annotation, and holds for the command line, for YAML files and for users' own classes.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Interval
from pydantic import StringConstraints

__all__ = [
    "Duration",
    "Finite",
    "Fraction",
    "Incidental",
    "Name",
    "NonNegative",
    "NonNegativeInt",
    "OpenFraction",
    "Positive",
    "PositiveInt",
    "ProperFraction",
    "Says",
    "Schedule",
    "Start",
]


class Incidental:
    """Marks a parameter that can't change a result (a path, say): it doesn't enter the run id."""


@dataclass(frozen=True)
class Says:
    """What is allowed, in words, for a type that a pattern describes."""

    text: str


PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
Finite = Annotated[float, Interval(gt=float("-inf"), lt=float("inf"))]
Positive = Annotated[float, Interval(gt=0, lt=float("inf"))]
NonNegative = Annotated[float, Interval(ge=0, lt=float("inf"))]
Fraction = Annotated[float, Interval(ge=0, le=1)]
ProperFraction = Annotated[float, Interval(ge=0, lt=1)]
"""In [0, 1): a momentum, for instance."""
OpenFraction = Annotated[float, Interval(gt=0, lt=1)]

Name = Annotated[str, StringConstraints(min_length=1), Says("non-empty text")]

Duration = Annotated[
    Annotated[int, Ge(0)] | Annotated[str, StringConstraints(pattern=r"^(\d+(\.\d+)?ep|\d+it)$", max_length=100)],
    Says("a number of steps, or text such as 500it (steps) or 20ep (epochs)"),
]

Schedule = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\d+\.\d*[1-9]\d*ep|\d*[1-9]\d*(\.\d+)?ep|\d*[1-9]\d*it|log|end)$", max_length=100
    ),
    Says("100it (every 100 steps), 2ep (every 2 epochs), log (steps 0, 1, 2, 4, 8, …) or end"),
]

Start = Annotated[
    str,
    StringConstraints(pattern=r"^-?(\d+(\.\d+)?ep|\d+it)$", max_length=100),
    Says("text such as 500it, 10ep, or -500it (counted from the end)"),
]
