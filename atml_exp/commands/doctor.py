"""What this machine has, measured and not guessed, and what will be slow on it."""

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from atml_exp.errors import RunBusyError
from atml_exp.memory import available_memory, gigabytes
from atml_exp.search_path import configs_directory, installed_packages
from atml_exp.store.lock import Lock
from atml_exp.torchvision_operators import has_compiled_operators, import_torchvision

__all__ = ["Finding", "examine"]

Grade = Literal["ok", "slow", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """What there is of something. slow: it works, but; missing: what needs it is refused; broken: nothing runs."""

    topic: str
    said: str
    grade: Grade = "ok"
    advice: str = ""


def examine(output_dir: str | Path = "outputs") -> Iterator[Finding]:
    """Everything that a run here depends on, in the order in which one would ask; takes a few seconds."""
    yield _python()
    yield _package()
    yield _processor()
    yield _memory()
    yield from _gpu()
    yield _torch()
    yield _torchvision()
    yield from _folder(Path(output_dir))
    yield from _extras()
    yield _wandb()
    yield _large_nets()


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} on {platform.platform(terse=True)}")


def _package() -> Finding:
    others = ", ".join(installed_packages()) or "none"
    said = (
        f"{importlib.metadata.version('atml_exp')}, configs in {configs_directory()}; packages with more: {others}"
    )
    if not (configs_directory() / "config.yaml").exists():
        return Finding("atml_exp", said, "broken", "config.yaml is not there: install atml_exp again")
    return Finding("atml_exp", said)


def _processor() -> Finding:
    """CPUs that this process may use, and torch's threads on them."""
    cpus, threads = _usable_cpus(), torch.get_num_threads()
    said = f"{_counted(cpus, 'CPU')}, of which torch uses {threads}"
    if threads > cpus:
        return Finding("processor", said, "slow", f"more threads than CPUs: OMP_NUM_THREADS={cpus}")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > cpus / 2 and threads > 1:
        advice = "others use it too: with OMP_NUM_THREADS=1 small nets train faster than with threads that wait"
        return Finding("processor", f"{said}; load {busy:.1f}", "slow", advice)
    return Finding("processor", said)


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _memory() -> Finding:
    free = available_memory(torch.device("cpu"))
    if free is None:
        return Finding("memory", "unknown on this system")
    if free < 2e9:
        advice = "large populations are halved until they fit; hydra.launcher.max_replicas=16 keeps them small"
        return Finding("memory", f"{gigabytes(free)} free", "slow", advice)
    return Finding("memory", f"{gigabytes(free)} free")


def _gpu() -> Iterator[Finding]:
    """Of CUDA each; or why there is none."""
    for number in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(number).total_memory
        yield Finding("GPU", f"cuda:{number} {torch.cuda.get_device_name(number)}, {gigabytes(total)}")
    if torch.cuda.device_count():
        return
    if torch.backends.mps.is_available():
        yield Finding("GPU", "Apple's (mps), in float32 only: dtype=float64 trains on the CPU")
    elif shutil.which("nvidia-smi"):
        build = "built without CUDA" if torch.version.cuda is None else f"built for CUDA {torch.version.cuda}"
        advice = "install a torch that fits the driver: https://pytorch.org/get-started/locally"
        yield Finding("GPU", f"there is a driver, but this torch, {build}, sees no GPU", "slow", advice)
    else:
        yield Finding("GPU", "none: device=auto is the CPU")


def _torch() -> Finding:
    speeds = [f"{_speed(dtype):.0f} GFLOP/s in {name}" for name, dtype in _DTYPES.items()]
    build = "CPU only" if torch.version.cuda is None else f"CUDA {torch.version.cuda}"
    return Finding("torch", f"{torch.__version__} ({build}); products of matrices, on the CPU: {', '.join(speeds)}")


_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _speed(dtype: torch.dtype, size: int = 512) -> float:
    """Best of several products of square matrices, in 10⁹ operations a second."""
    a = torch.ones(size, size, dtype=dtype)
    return 2 * size**3 / min(_seconds(lambda: a @ a) for _ in range(5)) / 1e9


def _seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _torchvision() -> Finding:
    version = import_torchvision().__version__
    if has_compiled_operators():
        return Finding("torchvision", f"{version}, with its compiled operators")
    return Finding(
        "torchvision", f"{version}: its compiled operators don't load beside this torch, and aren't needed"
    )


def _folder(output_dir: Path) -> Iterator[Finding]:
    """Whether runs can be written, how fast, how many, and one process at a time."""
    there = next(p for p in (output_dir.absolute(), *output_dir.absolute().parents) if p.exists())
    free = gigabytes(shutil.disk_usage(there).free)
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".doctor-") as name:
            each = _seconds(lambda: _write_files(Path(name), 20)) / 20
            locks = _locks(Path(name))
    except OSError as error:
        yield Finding("outputs", f"{there}: {error}", "broken", "output_dir=FOLDER, one that can be written")
        return
    said = f"{output_dir}: {free} free, {1000 * each:.1f} ms for a file"
    slow = "a run writes about ten files: sweeps of small nets are faster with output_dir=FOLDER on a local disk"
    yield Finding("outputs", said, "slow", slow) if each > 0.02 else Finding("outputs", said)
    if not locks:
        advice = "start no second process on the same run: none would be told of the other"
        yield Finding("locks", f"{there}: files can't be locked", "missing", advice)


def _write_files(folder: Path, number: int) -> None:
    from atml_exp.store.files import write_text

    for k in range(number):
        write_text(folder / f"{k}.txt", "doctor\n")


def _locks(folder: Path) -> bool:
    """Whether a second lock on a folder is refused."""
    first = Lock(folder)
    try:
        Lock(folder).release()
    except RunBusyError:
        return True
    finally:
        first.release()
    return False


def _extras() -> Iterator[Finding]:
    """Each optional extra of ours, and how to have it."""
    for extra, names in _requirements(importlib.metadata.requires("atml_exp") or ()).items():
        absent = [name for name in names if not _is_installed(name)]
        if not absent:
            yield Finding(extra, "installed")
        else:
            said = f"not installed ({', '.join(absent)})"
            yield Finding(extra, said, "missing", f"to have it: pip install 'atml_exp[{extra}]'")


def _requirements(lines: Iterable[str]) -> dict[str, list[str]]:
    """The packages of each extra for users.

    >>> _requirements(["torch>=2.4", "ray[default]>=2.30; extra == 'ray'", "ruff>=0.6; extra == 'test'"])
    {'ray': ['ray']}
    """
    found: dict[str, list[str]] = {}
    for line in lines:
        parts = re.match(r"([\w.-]+).*;\s*extra == ['\"](\w+)['\"]", line)
        if parts and parts[2] not in ("test", "benchmark", "docs"):
            found.setdefault(parts[2], []).append(parts[1])
    return found


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _wandb() -> Finding:
    """Whether there is a login; never which."""
    if find_spec("wandb") is None:
        return Finding("wandb", "not installed", "missing", "logger=[wandb] needs it: pip install wandb")
    netrc = Path("~/.netrc").expanduser()
    logged_in = "WANDB_API_KEY" in os.environ or (netrc.exists() and "wandb" in netrc.read_text(errors="ignore"))
    how = "logged in" if logged_in else "no login: logger=[wandb] writes offline, for `wandb sync` later"
    return Finding("wandb", how)


def _large_nets(batch_size: int = 16) -> Finding:
    """An epoch of the largest of our nets on CIFAR-10, from one step of it here."""
    from atml_exp.models.resnet18 import resnet18

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = resnet18((3, 32, 32), 10).to(device)
    x = torch.zeros(batch_size, 3, 32, 32, device=device)
    _step(model, x)
    minutes = _seconds(lambda: _step(model, x)) * 50_000 / batch_size / 60
    said = f"model=resnet18 dataset=cifar10: {_duration(minutes)} for an epoch on {device}"
    if minutes < 3:
        return Finding("large nets", said)
    advice = (
        "a GPU; or model=cnn, +dataset/wrapper=subset, dataset=mnist1d. Nets such as mlp on digits take seconds"
    )
    return Finding("large nets", said, "slow", advice)


def _duration(minutes: float) -> str:
    """
    >>> _duration(0.42), _duration(170)
    ('about 0.4 min', 'about 3 h')
    """
    return f"about {minutes / 60:.0f} h" if minutes > 100 else f"about {minutes:.{0 if minutes >= 3 else 1}f} min"


def _step(model: nn.Module, x: Tensor) -> None:
    """Gradients, waited for."""
    loss = model(x).square().mean()
    torch.autograd.grad(loss, list(model.parameters()))[0].sum().item()
