"""Hydra's launchers and sweepers: ours, which are registered here, and those that extras of ours install."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from atml_exp.errors import ConfigError

__all__ = ["check_installed", "register_plugins"]

EXTRAS = {
    ("hydra/launcher", "joblib"): ("joblib", "hydra_joblib_launcher"),
    ("hydra/launcher", "submitit_local"): ("submitit", "hydra_submitit_launcher"),
    ("hydra/launcher", "submitit_slurm"): ("submitit", "hydra_submitit_launcher"),
    ("hydra/launcher", "ray"): ("ray", "hydra_ray_launcher"),
    ("hydra/sweeper", "optuna"): ("optuna", "hydra_optuna_sweeper"),
}
"""Which extra brings a choice, and in which package below `hydra_plugins`."""
OURS = (("sweeper", "optuna"), ("launcher", "ray"))
"""Choices of these plugins for which there is a YAML of ours, with other defaults."""
ALIASES = {"hydra.launcher.over": "hydra/launcher"}
"""Keys whose value is a choice of a group."""


def check_installed(overrides: Sequence[str]) -> None:
    """ConfigError with the extra to install where overrides ask for a plugin that isn't there."""
    for text in overrides:
        key, _, value = text.lstrip("+").partition("=")
        extra, package = EXTRAS.get((ALIASES.get(key, key), value), ("", ""))
        if extra and not _is_installed(package):
            raise ConfigError(f"{key} = {value}: is not installed; to have it: pip install 'atml_exp[{extra}]'")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(f"hydra_plugins.{package}") is not None
    except ModuleNotFoundError:
        return False


def register_plugins() -> None:
    """Tells Hydra of ours, once a process. It takes plugins from below `hydra_plugins` only; registered under such
    names, ours need no such package.
    """
    from atml_exp.launchers.fused import FusedLauncher
    from atml_exp.sweepers.optuna import OptunaSweeper

    classes: dict[str, Any] = Plugins.instance().class_name_to_class
    classes["hydra_plugins.atml_exp.FusedLauncher"] = FusedLauncher
    classes["hydra_plugins.atml_exp.OptunaSweeper"] = OptunaSweeper
    _forget(ConfigStore.instance().repo["hydra"])
    # Hydra copies the configs of all plugins at each of its hundred look-ups, although what it hands out is a copy.
    ConfigStore.__deepcopy__ = _itself  # type: ignore[attr-defined]


def _forget(store: dict[str, Any]) -> None:
    """The plugins' own configs where ours bear the same name: Hydra would take one as the other's schema."""
    for group, name in OURS:
        store[group].pop(f"{name}.yaml", None)


def _itself(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
    return store
