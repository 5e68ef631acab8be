"""What a model gives, tried on two examples before any training: outputs of another shape train wrong or fail
late.
"""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from atml_exp.build import building
from atml_exp.data import Split
from atml_exp.errors import ConfigError

__all__ = ["check_loss_value", "check_outputs"]


def check_outputs(model: nn.Module, split: Split, num_outputs: int, name: str) -> Tensor:
    """The outputs (n, num_outputs) of the first n ≤ 2 examples, floating, in eval mode; ConfigError where they are
    anything else. They may be infinite: a run that diverges at its start is a result.

    Changes nothing: neither weights, buffers nor modes of the model, nor random state. name: as the config says.
    """
    x = split.x[:2]
    with building(f"model = {name}: on inputs {tuple(x.shape)} it"), torch.no_grad(), torch.random.fork_rng():
        outputs = _copied(model).eval()(x)
    expected = (len(x), num_outputs)
    if not isinstance(outputs, Tensor):
        found = f"a {type(outputs).__name__}"
    elif tuple(outputs.shape) != expected:
        found = f"outputs of shape {tuple(outputs.shape)}"
    elif not outputs.is_floating_point():
        found = f"outputs of type {outputs.dtype}"
    else:
        return outputs
    raise ConfigError(
        f"model = {name}: gives {found} for {len(x)} examples; allowed: a tensor {expected} of floating numbers, "
        "with the num_outputs that the model's function is given"
    )


def check_loss_value(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, y: Tensor, name: str) -> None:
    """ConfigError where a loss of these outputs (n, K) is no scalar, or where one of others than ours takes targets
    (n,) beside outputs (n, 1) for a table (n, n): torch's losses broadcast, and the number is wrong.
    """
    of_table = outputs.shape[1] == 1 and y.dim() == 1 and y.is_floating_point()
    where = building(f"loss = {name}: on outputs {tuple(outputs.shape)} it")
    with where, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own of this very thing
        value = loss(outputs, y)
        broadcasts = of_table and _broadcasts(loss, outputs)
    if not isinstance(value, Tensor) or value.dim() != 0:
        found = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ConfigError(f"loss = {name}: gives {found}; allowed: one number, a mean over the examples")
    if broadcasts:
        raise ConfigError(
            f"loss = {name}: compares every output (N, 1) with every target (N,), since it broadcasts; allowed: a "
            "loss that compares each with its own, such as loss=mse, or a dataset with targets (N, 1)"
        )


def _broadcasts(loss: Callable[[Tensor, Tensor], Tensor], like: Tensor) -> bool:
    """Whether the order of targets (2,) beside outputs (2, 1) doesn't count, and their values do."""
    outputs, y = like.new_tensor([[0.25], [1.0]]), like.new_tensor([0.0, 1.0])
    value, swapped, others = (loss(outputs, t) for t in (y, y.flip(0), y + 2))
    return torch.allclose(value, swapped) and not torch.allclose(value, others)


def _copied(model: nn.Module) -> nn.Module:
    """A copy whose forward pass can do no harm to the model. Parameters and training data are shared, which a
    forward pass without gradients has no business to change; they would be most of the copying.
    """
    shared: list[Tensor] = list(model.parameters())
    if getattr(model, "nonparametric", False):
        shared += list(model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
