"""What a run that prunes in several trainings reached at each density."""

import pandas as pd

from atml_exp.figures.panels import rows

__all__ = ["at_each_density"]


def at_each_density(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a metric that end each training, with the column `density`: the fraction of weights kept.

    A run's last reading at a density counts: the one after the training at that density. Before it is pruned, and
    where it never is, its density is 1.
    """
    density = rows(table, "mask/density")[["run_id", "step", "value"]].rename(columns={"value": "density"})
    found = rows(table, name).merge(density, on=["run_id", "step"], how="left").sort_values("step", kind="stable")
    found = found.fillna({"density": 1.0})
    return found.groupby(["run_id", "density"], observed=True, sort=False).tail(1).sort_index()
