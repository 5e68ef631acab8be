"""Tensors that are mostly zeros as one bit for each entry and the entries that aren't zero; nothing is lost."""

import json
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

__all__ = ["packed", "unpacked"]

BITS, VALUES = "bits.", "values."


def packed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, each as it is or, where it is smaller so, as `bits.<name>` (uint8) and `values.<name>` (1-D).

    Returns them and the shapes, as text, of those that were packed. The bits, eight to a byte, the first the
    highest, tell which entries (row-major) are stored: all but +0, so that −0 and NaN come back as they were.

    >>> sorted(packed({"w": torch.zeros(1000)})[0])
    ['bits.w', 'values.w']
    """
    stored, shapes = {}, {}
    for name, tensor in tensors.items():
        there = _is_there(tensor)
        if there is None or not _is_worth_it(tensor, there):
            stored[name] = tensor
            continue
        stored[BITS + name] = torch.from_numpy(np.packbits(there.numpy()))
        stored[VALUES + name] = tensor.flatten()[there]
        shapes[f"shape.{name}"] = json.dumps(list(tensor.shape))
    return stored, shapes


def unpacked(stored: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Tensor]:
    """What `packed` was given, bit for bit."""
    tensors = {name: t for name, t in stored.items() if not name.startswith((BITS, VALUES))}
    for key, text in metadata.items():
        if not key.startswith("shape."):
            continue
        name, shape = key.removeprefix("shape."), json.loads(text)
        values = stored[VALUES + name]
        whole = torch.zeros(shape, dtype=values.dtype)
        there = np.unpackbits(stored[BITS + name].numpy(), count=whole.numel()).astype(bool)
        whole.view(-1)[torch.from_numpy(there)] = values
        tensors[name] = whole
    return tensors


def _is_there(tensor: Tensor) -> Tensor | None:
    """Where the entries (flat) have another bit pattern than +0; None for what isn't of real numbers."""
    integers = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}
    integers[torch.float64] = torch.int64
    if tensor.dtype not in integers or tensor.dim() == 0:
        return None
    return tensor.flatten().view(integers[tensor.dtype]) != 0


def _is_worth_it(tensor: Tensor, there: Tensor) -> bool:
    """Half the size at most, names and shape included."""
    size = tensor.numel() * tensor.element_size()
    return tensor.numel() / 8 + int(there.sum()) * tensor.element_size() + 200 <= size / 2
