"""Where the terminal phase of training begins, and what has changed by its end."""

from collections.abc import Callable

import pandas as pd

from atml_exp.figures.panels import rows

__all__ = ["compared", "starts"]


def starts(table: pd.DataFrame) -> dict[str, float]:
    """For each run the first epoch from which on the training error stays 0; without those where it doesn't."""
    error = rows(table, "train/error").sort_values("step", kind="stable")
    found = {}
    for run, rows_ in error.groupby("run_id", observed=True):
        above = rows_["epoch"][rows_["value"] > 0]
        after = rows_["epoch"][rows_["epoch"] > (above.max() if len(above) else -1)]
        if len(after):
            found[str(run)] = float(after.min())
    return found


def compared(table: pd.DataFrame, metric: str, compare: Callable[[float, float], float]) -> list[float]:
    """compare(value at the begin, value at the end of the terminal phase) of a metric, for each run.

    KeyError where a run has no terminal phase.
    """
    begins = starts(table)
    found = []
    for run, series in rows(table, metric).groupby("run_id", observed=True):
        series = series.sort_values("step", kind="stable")
        begin = series[series["epoch"] >= begins[str(run)]]["value"].iloc[0]
        found.append(compare(begin, series["value"].iloc[-1]))
    return found
