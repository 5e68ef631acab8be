"""German Credit: is a customer of a bank a good risk?"""

from typing import Annotated, Literal

import numpy as np

from atml_exp.data import Dataset
from atml_exp.datasets.splitting import OpenFraction
from atml_exp.datasets.table_files import Records, dataset_of, number, read_lines
from atml_exp.errors import ConfigError
from atml_exp.fields import Incidental, NonNegativeInt

__all__ = ["german_credit"]

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/statlog/german"
FILE = "german.data"
COLUMNS = (
    *("status", "duration", "history", "purpose", "amount", "savings", "employment", "rate", "personal_status"),
    *("debtors", "residence", "property", "age", "plans", "housing", "credits", "job", "dependents", "telephone"),
    *("foreign_worker", "risk"),
)
NUMBERS = ("duration", "amount", "rate", "residence", "age", "credits", "dependents")
WOMEN = ("A92", "A95")
"""Codes of personal_status, which joins sex and marital status."""
YOUNG = 25


def german_credit(
    *,
    root: Annotated[str, Incidental()] = "data",
    download: Annotated[bool, Incidental()] = False,
    group: Literal["sex", "age"] = "sex",
    test_fraction: OpenFraction = 0.3,
    split_seed: NonNegativeInt = 0,
) -> Dataset:
    """1,000 customers, y = 1: a good risk (Hofmann 1994, UCI's Statlog).

    Read from root/german.data as UCI publishes it: 20 attributes, of which 7 are numbers and 13 codes such as A11,
    and the risk, 1 good or 2 bad. x (N, D): numbers and codes as 0/1 columns, each standardised by the training
    split; the group stays among them. group: sex, by the codes A92 and A95 of the ninth attribute, or age, up to 25
    against older (Kamiran & Calders 2009). The test split is stratified by y. ConfigError for a missing or damaged
    file.
    """
    lines = read_lines(root, FILE, f"{URL}/{FILE}", download=download)
    rows = [_row(line, i) for i, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise ConfigError(f"dataset.root={root}: {FILE} holds no customer")
    records = _records(rows, group)
    return dataset_of(
        "german_credit", records, None, groups=None, test_fraction=test_fraction, split_seed=split_seed
    )


def _row(line: str, place: int) -> tuple[int, dict[str, str]]:
    cells = line.split()
    if len(cells) != len(COLUMNS) or cells[-1] not in ("1", "2"):
        raise ConfigError(
            f"{FILE}, line {place}: {len(cells)} entries that end in {cells[-1]!r}: there must be {len(COLUMNS)}, "
            "the last of them 1 or 2; the file is damaged"
        )
    return place, dict(zip(COLUMNS, cells, strict=True))


def _records(rows: list[tuple[int, dict[str, str]]], group: str) -> Records:
    numbers = {name: np.array([number(c[name], FILE, i, name) for i, c in rows]) for name in NUMBERS}
    codes = [name for name in COLUMNS[:-1] if name not in NUMBERS]
    categories = {name: np.array([c[name] for _, c in rows]) for name in codes}
    if group == "sex":
        names = np.where(np.isin(categories["personal_status"], WOMEN), "female", "male")
    else:
        names = np.where(numbers["age"] <= YOUNG, f"up to {YOUNG}", f"over {YOUNG}")
    return Records(numbers, categories, np.array([c["risk"] == "1" for _, c in rows]), names)
