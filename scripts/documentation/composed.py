"""What the runs of figures and experiments are composed of, as Hydra reads the lists of defaults."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra

from atml_exp.figure_spec import SCALES, FigureSpec
from atml_exp.overrides import parse
from atml_exp.search_path import configs_directory, register_search_path

__all__ = ["composed", "jobs_of"]

Job = tuple[str, ...]
"""Overrides."""


def jobs_of(figure: Mapping[str, Any], groups: Collection[str]) -> set[Job]:
    """The jobs of a figure at all scales that differ in what they choose of the groups: those overrides alone.

    figure: what its YAML says.
    """
    spec = FigureSpec(
        **figure
        | {
            "base": _choosing(figure.get("base", []), groups),
            "sweeps": {name: _choosing(lines, groups) for name, lines in figure["sweeps"].items()},
            "scales": {
                scale: {name: _choosing(lines, groups) for name, lines in extra.items()}
                for scale, extra in figure["scales"].items()
            },
        }
    )
    return {tuple(job) for scale in SCALES for _, job in spec.jobs(scale)}


def _choosing(lines: Sequence[Any] | None, groups: Collection[str]) -> list[Any] | None:
    """Without the options of which a figure has thousands of combinations; null, a sweep left out, as it is."""
    if lines is None:
        return None
    kept = (_choosing(line, groups) if isinstance(line, list) else line for line in lines)
    return [line for line in kept if isinstance(line, list) or parse([line])[0][1].key_or_group in groups]


def composed(jobs: Iterable[Job]) -> dict[Job, frozenset[tuple[str, str]]]:
    """(group, name) of each choice in each job's config: its own, an experiment's, the default ones and theirs.

    Only the lists of defaults are read, with one cache of files: a fiftieth of the time of composing the configs.
    """
    register_search_path()
    with initialize_config_dir(str(configs_directory()), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        _, files = loader._parse_overrides_and_create_caching_repo("config", [])
        return {job: _choices(files, job) for job in jobs}


def _choices(files: Any, job: Job) -> frozenset[tuple[str, str]]:
    overrides = [override for _, override in parse(job)]
    found = create_defaults_list(files, "config", overrides, prepend_hydra=True, skip_missing=False).defaults
    paths = (str(entry.config_path).rpartition("/") for entry in found)
    return frozenset((group, name) for group, _, name in paths if group and group.partition("/")[0] != "hydra")
