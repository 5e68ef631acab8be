"""Where configs are found: ours, and those of installed packages that offer some."""

import os
import sys
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

__all__ = [
    "add_working_directory",
    "configs_directory",
    "configs_folders",
    "installed_packages",
    "register_search_path",
]

GROUP = "atml_exp.configs"
"""Entry points of this group name a package whose folder `configs` is searched too, and whose code is trusted."""


def configs_directory() -> Path:
    """`configs` inside the installed package, else beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def add_working_directory() -> None:
    """Python code in the working directory can be imported, last, as with `python -m`."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


@cache
def installed_packages() -> tuple[str, ...]:
    """Packages that offer configs by an entry point: `[project.entry-points."atml_exp.configs"] mine = "mine"`."""
    return tuple(sorted({e.value for e in entry_points(group=GROUP)}))


def configs_folders() -> list[Path]:
    """Ours, then that of each such package."""
    return [configs_directory(), *(folder for _, folder in _installed_folders())]


def _installed_folders() -> list[tuple[str, Path]]:
    """(package, its folder `configs`)."""
    specs = [(package, find_spec(package)) for package in installed_packages()]
    return [
        (package, Path(folder) / "configs")
        for package, spec in specs
        if spec is not None
        for folder in spec.submodule_search_locations or []
    ]


class InstalledConfigs(SearchPathPlugin):
    """Adds the `configs` folder of each such package, after ours."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for package, folder in _installed_folders():
            search_path.append(package, f"file://{folder}")


def register_search_path() -> None:
    """Tells Hydra, once a process."""
    Plugins.instance().register(InstalledConfigs)
