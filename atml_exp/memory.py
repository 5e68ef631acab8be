"""How much memory there is for what a quantity needs, and whether an error says that it didn't suffice."""

from pathlib import Path

import torch

__all__ = ["available_memory", "gigabytes", "is_out_of_memory"]

CONTAINER = Path("/sys/fs/cgroup")


def available_memory(device: torch.device) -> int | None:
    """Bytes that can still be had on a device, of a CPU those of its machine or container; None: nobody knows."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    known = [size for size in (_machine(), _container(CONTAINER)) if size is not None]
    return min(known, default=None)


def _machine(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    lines = meminfo.read_text().splitlines() if meminfo.exists() else []
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0].split()[1]) if found else None


def _container(folder: Path) -> int | None:
    """What a container's limit leaves; None where there is no limit."""
    limit, used = folder / "memory.max", folder / "memory.current"
    if not (limit.exists() and used.exists()) or limit.read_text().strip() == "max":
        return None
    return int(limit.read_text()) - int(used.read_text())


def gigabytes(size: float) -> str:
    """
    >>> gigabytes(3_200_000_000), gigabytes(45_000_000)
    ('3.2 GB', '0.045 GB')
    """
    return f"{size / 1e9:.2g} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device's or the machine's memory didn't suffice."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text
