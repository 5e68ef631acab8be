"""The number that a sweeper searches by: the last value of a metric."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from atml_exp.errors import ConfigError

__all__ = ["check_objective", "objective_of"]

PERFORMANCE = tuple(f"{split}/{name}" for split in ("train", "test") for name in ("loss", "error", "r_squared"))


def check_objective(config: DictConfig) -> None:
    """ConfigError for a metric that no run of this config can have, as far as can be said before one is there."""
    name = config.get("objective")
    prefixes = [f"{probe}/" for probe in (*config.probe, "optimiser")]
    if name is not None and name not in PERFORMANCE and not name.startswith(tuple(prefixes)):
        raise _no_such_metric(name, [*PERFORMANCE, *(f"{prefix}…" for prefix in prefixes)])


def objective_of(result: Any, name: str) -> float:
    """The metric's last value in a RunResult. ConfigError with the nearest spelling where it has no such metric."""
    if name not in result.final:
        raise _no_such_metric(name, list(result.final))
    return float(result.final[name])


def _no_such_metric(name: str, allowed: Sequence[str]) -> ConfigError:
    from atml_exp.schema import nearest

    return ConfigError(
        f"objective = {name}: no such metric; allowed: {', '.join(allowed)}{nearest(name, list(allowed))}"
    )
