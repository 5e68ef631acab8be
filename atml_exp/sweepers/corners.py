"""Jobs that stand for a search whose own jobs are not known beforehand."""

from collections.abc import Sequence

from hydra.core.override_parser.types import IntervalSweep, Override

from atml_exp.errors import ConfigError
from atml_exp.overrides import parse

__all__ = ["corner_jobs", "refuse_intervals"]


def corner_jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Each of the searched values at least once: all at their first, then one at a time at its others.

    >>> corner_jobs(["model=mlp", "seed=int(interval(1,9))", "model.width=4,8"])
    [['model=mlp', 'seed=1', 'model.width=4'], ['model=mlp', 'seed=9', 'model.width=4'], \
['model=mlp', 'seed=1', 'model.width=8']]
    """
    choices = [_values(override) for _, override in parse(overrides)]
    first = [values[0] for values in choices]
    others = [(k, value) for k, values in enumerate(choices) for value in values[1:]]
    return [first, *([*first[:k], value, *first[k + 1 :]] for k, value in others)]


def refuse_intervals(overrides: Sequence[str]) -> None:
    """ConfigError for an interval, which only a search can use."""
    for text, override in parse(overrides):
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise ConfigError(f"{text}: an interval; allowed: values, 1,2,3, or hydra/sweeper=optuna to search")


def _values(override: Override) -> list[str]:
    key, value = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        return [f"{key}={override.get_value_element_as_str()}"]
    if isinstance(value, IntervalSweep):
        return [f"{key}={value.start}", f"{key}={value.end}"]
    return [f"{key}={text}" for text in override.sweep_string_iterator()]
