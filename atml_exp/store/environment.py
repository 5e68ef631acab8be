"""What a run was made with: versions, code, machine."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig

__all__ = ["command", "determinism", "environment"]

_LIBRARIES = ("atml_exp", "torch", "torchvision", "numpy", "hydra-core", "scikit-learn", "scipy")


@cache
def environment() -> dict[str, Any]:
    """Versions, git state of our code, processor and threads."""
    return {
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in _LIBRARIES}},
        "git": _git_state(Path(__file__).resolve().parent),
        "machine": {
            "platform": platform.platform(),
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def determinism(device: str) -> dict[str, str]:
    """How nearly the same config gives the same numbers again: for the run itself, and for what it may be compared
    with. PyTorch's deterministic algorithms are not asked for on a GPU, where some sums have no fixed order.

    >>> determinism("cpu")["level"], determinism("cuda")["level"]
    ('bit-identical', 'up to rounding')
    """
    on_cpu = device == "cpu"
    return {
        "level": "bit-identical" if on_cpu else "up to rounding",
        "for": "the same machine, library versions and number of threads",
        "resumed": "bit-identical" if on_cpu else "up to rounding",
        "population against single runs": "1e-9 relative in float64; in float32 up to rounding",
        "another number of threads, machine or library version": "up to rounding",
        "cpu against gpu": "up to rounding",
    }


def command() -> str | None:
    """The command line of the Hydra job that is running, with a sweep's choices for this job, or None."""
    if not HydraConfig.initialized():
        return None
    settings = HydraConfig.get()
    folders = [s.path for s in settings.runtime.config_sources if s.provider == "command-line"]
    flags = [word for folder in folders for word in ("--config-dir", folder)]
    return shlex.join(["atml-exp", *flags, *settings.overrides.task])


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether files differ from it; None where our code isn't part of a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files", "."):
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
