"""Where a run trains."""

import torch

from atml_exp.errors import ConfigError

__all__ = ["choose_device"]


def choose_device(name: str, dtype: torch.dtype) -> torch.device:
    """`auto` takes CUDA, then MPS (which has no float64), then the CPU. ConfigError for one that isn't there."""
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available() and dtype != torch.float64,
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(n for n, usable in there.items() if usable))
    if not there[name]:
        why = " for float64" if name == "mps" and dtype == torch.float64 else ""
        usable = ", ".join(["auto", *(n for n, is_usable in there.items() if is_usable)])
        raise ConfigError(f"device = {name}: not available{why} here; allowed: {usable}")
    return torch.device(name)
