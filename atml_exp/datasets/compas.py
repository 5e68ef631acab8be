"""COMPAS: is a defendant in Broward County charged again within two years?"""

import csv
from typing import Annotated, Literal

import numpy as np

from atml_exp.data import Dataset
from atml_exp.datasets.splitting import OpenFraction
from atml_exp.datasets.table_files import Records, dataset_of, number, read_lines
from atml_exp.errors import ConfigError
from atml_exp.fields import Incidental, NonNegativeInt

__all__ = ["compas"]

URL = "https://raw.githubusercontent.com/propublica/compas-analysis/master"
FILE = "compas-scores-two-years.csv"
NUMBERS = ("age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count")
CATEGORIES = ("sex", "race", "c_charge_degree")
NEEDED = (*NUMBERS, *CATEGORIES, "age_cat", "days_b_screening_arrest", "is_recid", "score_text", "two_year_recid")


def compas(
    *,
    root: Annotated[str, Incidental()] = "data",
    download: Annotated[bool, Incidental()] = False,
    group: Literal["race", "sex", "age_cat"] = "race",
    groups: list[str] | None = None,
    test_fraction: OpenFraction = 0.3,
    split_seed: NonNegativeInt = 0,
) -> Dataset:
    """Defendants of 2013 and 2014, y = 1: a new charge within two years (Larson, Mattu, Kirchner & Angwin 2016).

    Read from root/compas-scores-two-years.csv as ProPublica publishes it, with its filters: charged within 30 days
    of the screening, the case and its outcome known, no ordinary traffic offence; 6,172 of 7,214 people. x (N, D):
    5 numbers and 3 categories as 0/1 columns, each standardised by the training split; the COMPAS score itself
    isn't among them, the group is. groups: only these are kept, for instance [African-American,Caucasian]; null:
    all. The test split is stratified by y. ConfigError for a missing or damaged file, and for unknown groups.
    """
    records = _read(read_lines(root, FILE, f"{URL}/{FILE}", download=download), group)
    return dataset_of("compas", records, None, groups=groups, test_fraction=test_fraction, split_seed=split_seed)


def _read(lines: list[str], group: str) -> Records:
    header, *rows = list(csv.reader(lines)) or [[]]
    if missing := [name for name in NEEDED if name not in header]:
        raise ConfigError(f"{FILE}, line 1: no column {missing[0]!r}; the file is damaged, or another one")
    place = {name: header.index(name) for name in NEEDED}  # of two columns of one name the first
    kept: list[tuple[int, dict[str, str]]] = []
    for i, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ConfigError(
                f"{FILE}, line {i}: {len(row)} entries for {len(header)} columns; the file is damaged"
            )
        cells = {name: row[k] for name, k in place.items()}
        if _is_kept(cells, i):
            kept.append((i, cells))
    if not kept:
        raise ConfigError(f"{FILE} holds no case that passes ProPublica's filters")
    numbers = {name: np.array([number(c[name], FILE, i, name) for i, c in kept]) for name in NUMBERS}
    label = np.array([number(c["two_year_recid"], FILE, i, "two_year_recid") for i, c in kept])
    text = {name: np.array([c[name] for _, c in kept]) for name in (*CATEGORIES, "age_cat")}
    return Records(numbers, {name: text[name] for name in CATEGORIES}, label, text[group])


def _is_kept(cells: dict[str, str], line: int) -> bool:
    days = cells["days_b_screening_arrest"]
    return (
        bool(days)
        and abs(number(days, FILE, line, "days_b_screening_arrest")) <= 30
        and cells["is_recid"] != "-1"
        and cells["c_charge_degree"] != "O"
        and cells["score_text"] != "N/A"
    )
