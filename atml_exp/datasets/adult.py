"""Adult, or census income: does a person earn more than 50,000 dollars a year?"""

from typing import Annotated, Literal

import numpy as np

from atml_exp.data import Dataset
from atml_exp.datasets.table_files import Records, dataset_of, number, read_lines
from atml_exp.errors import ConfigError
from atml_exp.fields import Incidental

__all__ = ["adult"]

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult"
COLUMNS = (
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
)
NUMBERS = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week")
CATEGORIES = ("workclass", "marital-status", "occupation", "relationship", "race", "sex", "native-country")
INCOMES = {"<=50K": 0, ">50K": 1}


def adult(
    *,
    root: Annotated[str, Incidental()] = "data",
    download: Annotated[bool, Incidental()] = False,
    group: Literal["sex", "race"] = "sex",
    groups: list[str] | None = None,
) -> Dataset:
    """48,842 people of the 1994 census, y = 1: income above 50,000 dollars (Kohavi 1996, UCI), as split there.

    Read from root/adult.data and root/adult.test as UCI publishes them. x (N, D): 5 numbers and 7 categories as 0/1
    columns, each standardised by the training split; an unknown entry, `?`, is a category of its own. The sampling
    weight fnlwgt, and education, which education-num says too, are left out. The group stays among the inputs.
    groups: only these are kept; null: all. ConfigError for missing or damaged files, and for unknown groups.
    """
    train, test = (_read(root, name, group, download=download) for name in ("adult.data", "adult.test"))
    return dataset_of("adult", train, test, groups=groups)


def _read(root: str, name: str, group: str, *, download: bool) -> Records:
    rows = [
        _row(line, name, i)
        for i, line in enumerate(read_lines(root, name, f"{URL}/{name}", download=download), 1)
        if line.strip() and not line.startswith("|")  # adult.test begins with |1x3 Cross validator
    ]
    if not rows:
        raise ConfigError(f"dataset.root={root}: {name} holds no person")
    columns = {key: np.array([cells[k] for _, cells in rows]) for k, key in enumerate(COLUMNS)}
    numbers = {
        key: np.array([number(cells[COLUMNS.index(key)], name, i, key) for i, cells in rows]) for key in NUMBERS
    }
    label = np.array([INCOMES[cells[-1]] for _, cells in rows])
    return Records(numbers, {key: columns[key] for key in CATEGORIES}, label, columns[group])


def _row(line: str, name: str, place: int) -> tuple[int, list[str]]:
    cells = [cell.strip() for cell in line.split(",")]
    cells[-1] = cells[-1].removesuffix(".")  # as in adult.test
    if len(cells) != len(COLUMNS) or cells[-1] not in INCOMES:
        raise ConfigError(
            f"{name}, line {place}: {len(cells)} entries that end in {cells[-1]!r}: there must be {len(COLUMNS)}, "
            f"the last of them {' or '.join(INCOMES)}; the file is damaged"
        )
    return place, cells
