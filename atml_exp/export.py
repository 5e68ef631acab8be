"""A trained model for plain PyTorch: a state_dict that loads without atml_exp."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from atml_exp.errors import ConfigError
from atml_exp.masks import prunable
from atml_exp.recorder import Checkpoint
from atml_exp.runs import Run
from atml_exp.store.files import write_atomically

__all__ = ["Naming", "checkpoint_of", "export", "plain_state"]

Naming = Literal["dense", "prune"]
SUFFIXES = (".pt", ".safetensors")


def plain_state(state: Mapping[str, Tensor], naming: Naming = "dense") -> dict[str, Tensor]:
    """A state_dict of the model's module: parameters and buffers by name, each a tensor of its own.

    naming: `dense` has zeros where weights have been pruned, and loads into the module as it is. `prune` names them
    as torch.nn.utils.prune does: each weight of two dimensions or more as `<name>_orig` and `<name>_mask` (1.0
    where it is kept), for a module on which `prune.identity(layer, "weight")` was called for each of these layers.
    A weight counts as pruned where it is exactly 0. ValueError for another naming.

    >>> state = plain_state({"0.weight": torch.tensor([[0.0, 2.0]]), "0.bias": torch.zeros(1)}, "prune")
    >>> {name: tensor.tolist() for name, tensor in state.items()}
    {'0.weight_orig': [[0.0, 2.0]], '0.weight_mask': [[0.0, 1.0]], '0.bias': [0.0]}
    """
    if naming not in get_args(Naming):
        raise ValueError(f"naming is {naming!r}: it must be 'dense' or 'prune'")
    own = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    if naming == "dense":
        return own
    weights, found = prunable(own), dict[str, Tensor]()
    for name, tensor in own.items():
        if name in weights:
            found[f"{name}_orig"], found[f"{name}_mask"] = tensor, (tensor != 0).to(tensor.dtype)
        else:
            found[name] = tensor
    return found


def export(directory: str | Path, file: str | Path, naming: Naming = "dense", step: int | None = None) -> Path:
    """Writes the model of a run's checkpoint, the last or that of a step, into a new file, and returns its path.

    `.pt`: as torch.save writes it, to be loaded with `torch.load(file, weights_only=True)`. `.safetensors`: without
    pickle. Raises ConfigError where the directory holds no such checkpoint, for other suffixes, and where the file
    exists.
    """
    path = Path(file)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{file}: allowed are the suffixes {', '.join(SUFFIXES)}")
    if path.exists():
        raise ConfigError(f"{file}: exists already; name a new file")
    if not path.parent.is_dir():
        raise ConfigError(f"{file}: there is no folder {path.parent}")
    state = plain_state(checkpoint_of(Run(directory), step).model, naming)
    save = save_file if path.suffix == ".safetensors" else torch.save
    write_atomically(path, lambda temporary: save(state, temporary))
    return path


def checkpoint_of(run: Run, step: int | None = None) -> Checkpoint:
    """A run's last checkpoint, or that of a step. ConfigError where there is none."""
    found = {checkpoint.step: checkpoint for checkpoint in map(Checkpoint, run.with_checkpoints())}
    if step is None:
        return found[max(found)]
    if step not in found:
        raise ConfigError(f"{run.directory}: no checkpoint of step {step}; allowed: {', '.join(map(str, found))}")
    return found[step]
