"""Published tables about people, read from local files: text in, one-hot features and groups out."""

import os
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atml_exp.data import Dataset, Split
from atml_exp.datasets.splitting import hold_out, standardise
from atml_exp.errors import ConfigError
from atml_exp.schema import nearest

__all__ = ["Records", "dataset_of", "number", "read_lines"]


@dataclass(frozen=True)
class Records:
    """A table before it is numbers, each of its columns (N,).

    numbers: float64. categories: text, one-hot later. label: 0 or 1. group: text.
    """

    numbers: Mapping[str, np.ndarray]
    categories: Mapping[str, np.ndarray]
    label: np.ndarray
    group: np.ndarray

    def rows(self, index: np.ndarray) -> "Records":
        """The rows that an index or mask names."""
        numbers, categories = ({k: v[index] for k, v in part.items()} for part in (self.numbers, self.categories))
        return Records(numbers, categories, self.label[index], self.group[index])


def read_lines(root: str, name: str, url: str, *, download: bool) -> list[str]:
    """The lines of `root/name`; with download=true fetched from the url first, where it is missing.

    Raises ConfigError where the file is missing, with how to get it, can't be fetched, or isn't text.
    """
    path = Path(root).expanduser().absolute() / name
    if download and not path.is_file():
        _download(url, path)
    if not path.is_file():
        raise ConfigError(
            f"dataset.root={root}: {path} is missing. Either put it there or set dataset.download=true (from {url})"
        )
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"dataset.root={root}: {path} can't be read: {error}") from error


def number(text: str, name: str, line: int, column: str) -> float:
    """A cell as a number; ConfigError with its place where it isn't one."""
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            f"{name}, line {line}: {column} is {text!r}: not a number; the file is damaged"
        ) from error


def dataset_of(
    name: str,
    train: Records,
    test: Records | None,
    *,
    groups: Sequence[str] | None,
    test_fraction: float | None = None,
    split_seed: int = 0,
) -> Dataset:
    """x (N, D) float32: numbers, then a 0/1 column for each category, standardised by the training split; y 0/1.

    groups: the groups whose rows are kept, None: all; 0 … G−1 are in their order, or in alphabetical order.
    test: where it is published; None: a stratified part of `test_fraction` is held out.
    Raises ConfigError for a group that isn't there, and where only one is left.
    """
    names = _group_names(name, train, groups)
    train = _of_groups(train, names)
    test = None if test is None else _of_groups(test, names)
    levels = {k: sorted({*v, *(() if test is None else test.categories[k])}) for k, v in train.categories.items()}
    if test is None:
        x, y, group = _arrays(train, levels, names)
        assert test_fraction is not None
        order = np.stack([y, np.arange(len(y))], 1)
        parts = hold_out(order, y, test_fraction=test_fraction, split_seed=split_seed, stratified=True)
        index = [part.x[:, 1].long().numpy() for part in parts]
        whole = [(x[i], y[i], group[i]) for i in index]
    else:
        whole = [_arrays(part, levels, names) for part in (train, test)]
    (x0, y0, g0), (x1, y1, g1) = [[torch.as_tensor(a) for a in part] for part in whole]
    x0, x1 = standardise(x0, x1, (0,))
    return Dataset(name, Split(x0.float(), y0, g0), Split(x1.float(), y1, g1), 2, group_names=tuple(names))


def _group_names(name: str, records: Records, wanted: Sequence[str] | None) -> list[str]:
    there = sorted(set(records.group.tolist()))
    for group in wanted or ():
        if group not in there:
            raise ConfigError(
                f"dataset.groups: {name} has no group {group!r}; allowed: {', '.join(there)}{nearest(group, there)}"
            )
    names = list(wanted) if wanted else there
    if len(names) < 2:
        raise ConfigError(f"dataset.groups: {name} is left with the group {names[0]} alone; at least 2 are needed")
    return names


def _of_groups(records: Records, names: Sequence[str]) -> Records:
    return records.rows(np.isin(records.group, list(names)))


def _arrays(
    records: Records, levels: Mapping[str, Iterable[str]], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (N, D) float64, y (N,) and group (N,) int64."""
    one_hot = [records.categories[k] == level for k, found in levels.items() for level in found]
    x = np.stack([*records.numbers.values(), *one_hot], 1).astype(np.float64)
    place = {group: i for i, group in enumerate(names)}
    group = np.array([place[g] for g in records.group.tolist()], dtype=np.int64)
    return x, records.label.astype(np.int64), group


def _download(url: str, path: Path) -> None:
    """Whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(url, partial)
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"dataset.download=true: {url} couldn't be fetched to {path}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
