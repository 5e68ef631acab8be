"""The config's values of very many runs, and a frame of them beside the metrics, in little memory. Needs no torch.

A sweep's runs have the same keys and mostly the same texts: the keys are held once for all of them, each text once,
and a column of one text throughout takes up no memory in a table of millions of rows.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from operator import itemgetter
from sys import intern
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "Layouts", "beside", "one_row_each"]

BLOCK = 2**16
"""Rows of a text that are made; a longer column points to the same rows again."""

Layouts = dict[tuple[str, ...], dict[str, int]]
"""The keys that runs have: where each stands."""


class Columns(Mapping[str, Any]):
    """A run's values by column; runs with the same keys share them.

    >>> layouts = {}
    >>> runs = [Columns({"seed": seed, "model": "mlp"}, layouts) for seed in range(3)]
    >>> runs[2]["seed"], len(layouts)
    (2, 1)
    """

    __slots__ = ("layout", "values_in_order")

    def __init__(self, values: Mapping[str, Any], layouts: Layouts) -> None:
        keys = tuple(values)
        if keys not in layouts:
            layouts[keys] = {key: place for place, key in enumerate(keys)}
        self.layout = layouts[keys]
        self.values_in_order = tuple(intern(v) if type(v) is str else v for v in values.values())

    def __getitem__(self, key: str) -> Any:
        return self.values_in_order[self.layout[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout)

    def __len__(self) -> int:
        return len(self.layout)


def one_row_each(runs: Sequence[Columns], first: Sequence[str]) -> "pd.DataFrame":
    """A row for each run; `first`, then the other columns as they come up; NaN where a run lacks one."""
    import pandas as pd

    layouts = {id(run.layout): run.layout for run in runs}
    keys = list(dict.fromkeys([*first, *(key for layout in layouts.values() for key in layout)]))
    pick = {name: itemgetter(*(layout.get(key, -1) for key in keys)) for name, layout in layouts.items()}
    return pd.DataFrame([pick[id(run.layout)]((*run.values_in_order, np.nan)) for run in runs], columns=keys)


def beside(per_run: "pd.DataFrame", lengths: Sequence[int] | np.ndarray, rows: "pd.DataFrame") -> "pd.DataFrame":
    """`rows`, of which each run has so many, with its run's values beside them; three of these come first."""
    import pandas as pd

    owner = np.repeat(np.arange(len(per_run)), lengths)
    same: dict[Hashable, Any] = {name: _same(per_run[name], len(owner)) for name in per_run}
    constant = {name: values for name, values in same.items() if values is not None}
    varying = per_run.drop(columns=list(constant)).take(owner).reset_index(drop=True)
    order = [*per_run.columns[:3], *rows.columns, *per_run.columns[3:]]
    return pd.concat([varying, rows, pd.DataFrame(constant, index=rows.index, copy=False)], axis=1)[order]


def _same(column: "pd.Series[Any]", num_rows: int) -> Any:
    """A column of one text throughout, `num_rows` long; None of any other column."""
    import pandas as pd

    dtype = column.dtype
    if not isinstance(dtype, pd.StringDtype) or dtype.storage != "pyarrow" or column.nunique(dropna=False) != 1:
        return None
    text = pa.array([column.iloc[0]], pa.large_string(), from_pandas=True)[0]
    block = pa.repeat(text, min(num_rows, BLOCK))
    whole, rest = divmod(num_rows, BLOCK)
    chunks = pa.chunked_array([*[block] * whole, block.slice(0, rest)], pa.large_string())
    made: Any = dtype  # whose stubs lack what makes a column
    return made.__from_arrow__(chunks)
