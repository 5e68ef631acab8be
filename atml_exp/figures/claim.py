"""What a paper says, what was measured, and whether it held."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from atml_exp.pictures.recorded import number
from atml_exp.ranking import kendall_tau

__all__ = ["Claim", "by_seed", "kendall", "with_spread"]

Relation = Literal["<=", ">="]


@dataclass(frozen=True)
class Claim:
    """A published statement as one number for each seed and a threshold, stated before anything is measured.

    paper: who says it. statement: one line; formulas between dollar signs. values: the measured quantity, one for
    each seed, NaN where it couldn't be measured. relation: what the measured quantity must be to the threshold;
    the threshold comes from the paper or from theory, else the statement says that it was chosen by us.
    reason: why nothing could be measured, where nothing could.

    Raises TypeError or ValueError, in a sentence that says what is allowed, for anything else.

    >>> claim = Claim("We 2026", "the answer is at least 40", (41.0, 43.0), ">=", 40)
    >>> claim.measured, round(claim.spread, 2), claim.holds, claim.seeds_holding
    (42.0, 1.41, True, 2)
    """

    paper: str
    statement: str
    values: Sequence[float]
    relation: Relation
    threshold: float
    unit: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        for field in ("paper", "statement", "unit", "reason"):
            if not isinstance(text := getattr(self, field), str):
                raise TypeError(f"Claim: {field} = {text!r}: allowed: text")
        if "\n" in self.statement or not self.statement.strip():
            raise ValueError(f"Claim: statement = {self.statement!r}: allowed: one line of text")
        where = f"Claim {self.statement!r}"
        if self.relation not in (known := get_args(Relation)):
            raise ValueError(f"{where}: relation = {self.relation!r}: allowed: {' or '.join(known)}")
        if not _is_number(self.threshold):
            raise TypeError(f"{where}: threshold = {self.threshold!r}: allowed: a number")
        _check_values(self.values, where)

    @property
    def measured(self) -> float | None:
        """The mean over seeds; None where a seed gave no number."""
        return float(np.mean(self.values)) if len(self.values) and np.isfinite(self.values).all() else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with fewer than two."""
        return float(np.std(self.values, ddof=1)) if self.measured is not None and len(self.values) > 1 else None

    @property
    def holds(self) -> bool:
        """Whether the mean over seeds is on the right side; what wasn't measured doesn't hold."""
        return self.measured is not None and self._passes(self.measured)

    @property
    def seeds_holding(self) -> int:
        """For how many of the seeds it holds."""
        return sum(self._passes(value) for value in self.values)

    @property
    def verdict(self) -> str:
        """holds, does not hold, or not measured."""
        if self.measured is None:
            return "not measured"
        return "holds" if self.holds else "does not hold"

    def as_dict(self) -> dict[str, Any]:
        """As it stands in claims.json."""
        reason = {} if self.measured is not None else {"reason": self.reason or "a seed gave no number"}
        return {
            "paper": self.paper,
            "statement": self.statement,
            "measured": self.measured,
            "spread": self.spread,
            "threshold": float(self.threshold),
            "relation": self.relation,
            "unit": self.unit,
            "values": [float(v) for v in self.values],
            "holds": self.holds,
            **reason,
        }

    def _passes(self, value: float) -> bool:
        return bool(value <= self.threshold if self.relation == "<=" else value >= self.threshold)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | np.bool_)


def _check_values(values: Any, where: str) -> None:
    """TypeError unless these are numbers in a row."""
    allowed = "allowed: a sequence of numbers, one for each seed, NaN where it couldn't be measured"
    if not (isinstance(values, Sequence | np.ndarray | pd.Series) and not isinstance(values, str)):
        hint = f": values=({values!r},) for one seed" if _is_number(values) else ""
        raise TypeError(f"{where}: values = {values!r}: {allowed}{hint}")
    if wrong := [value for value in values if not _is_number(value)]:
        raise TypeError(f"{where}: values hold {wrong[0]!r}: {allowed}")


def with_spread(value: float | None, spread: float | None) -> str:
    """Two figures of the spread and as many decimals of the value.

    >>> with_spread(1.8034, 1.02), with_spread(2.0, 0.0), with_spread(12345.0, 321.0), with_spread(None, None)
    ('1.8 ± 1.0', '2', '12,345 ± 320', '—')
    """
    if value is None or not spread or not math.isfinite(spread):
        return number(value)
    decimals = 1 - math.floor(math.log10(spread))
    if not 0 < decimals < 6:
        return f"{number(value)} ± {number(float(f'{spread:.2g}'))}"
    return f"{value:,.{decimals}f} ± {spread:.{decimals}f}".replace("-", "−")


def by_seed(table: pd.DataFrame, quantity: Callable[[pd.DataFrame], float]) -> tuple[float, ...]:
    """A quantity of the rows of each seed; NaN where it can't be had of them (empty, too short).

    >>> by_seed(pd.DataFrame({"seed": [0, 0, 1], "value": [1.0, 2.0, 5.0]}), lambda rows: rows["value"].max())
    (2.0, 5.0)
    """
    return tuple(_attempt(quantity, rows) for _, rows in table.groupby("seed", observed=True))


def kendall(rows: pd.DataFrame, x: str) -> float:
    """Kendall's τ-b of the column x and `value`: 1 where the larger x, the larger the value, always.

    Raises ValueError for NaN.

    >>> kendall(pd.DataFrame({"x": [1, 2, 3], "value": [0.1, 0.2, 0.3]}), "x")
    1.0
    """
    return round(kendall_tau(rows[x], rows["value"], "b"), 12)  # rounding makes 1 of 0.9999999999999999


def _attempt(quantity: Callable[[pd.DataFrame], float], rows: pd.DataFrame) -> float:
    try:
        return float(quantity(rows))
    except (ValueError, IndexError, KeyError):
        return float("nan")
