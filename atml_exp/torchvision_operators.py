"""torchvision on a machine whose torch is CPU-only: its compiled part doesn't load there, the rest works."""

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch.library import Library

__all__ = ["has_compiled_operators", "import_torchvision"]

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def import_torchvision() -> ModuleType:
    """`import torchvision`, where its compiled operators load and where they don't.

    `import torchvision` registers shape rules for two operators and fails if nobody has declared them. The real
    ones are tried first; where they can't be loaded the two are declared without a kernel: datasets, transforms
    and models work, and calling non-maximum suppression raises NotImplementedError.

    >>> import_torchvision().transforms.functional.hflip(torch.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """
    _operators()
    return importlib.import_module("torchvision")


def has_compiled_operators() -> bool:
    """Whether torchvision's own operators are there, and not stand-ins for them."""
    return _operators() is None


@cache  # also keeps the Library alive: its operators vanish when it is collected
def _operators() -> Library | None:
    """The stand-ins, None where the real operators are there."""
    _load_compiled()
    absent = [name for name in SCHEMAS if not hasattr(torch.ops.torchvision, name)]
    if not absent:
        return None
    library = Library("torchvision", "FRAGMENT")
    for name in absent:
        library.define(SCHEMAS[name])
    return library


def _load_compiled() -> bool:
    for path in _compiled_files():
        try:
            torch.ops.load_library(path)
        except OSError:
            continue
        return True
    return False


def _compiled_files() -> list[Path]:
    """torchvision's `_C*.so`, found without an import."""
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("_C*")]
    return sorted(path for path in found if path.suffix in {".so", ".pyd"})
