"""Contracts as executable checks, for our own objects and for users': AssertionError with a sentence."""

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from atml_exp.data import Dataset, Split
from atml_exp.errors import BuildError, ConfigError
from atml_exp.figure_module import check_functions, claimed, drawn
from atml_exp.figures.claim import Claim
from atml_exp.figures.style import svg
from atml_exp.soundness import check_sound

__all__ = ["check_dataset", "check_figure", "check_probe"]


def check_probe(fn: Callable[..., Mapping[str, Any]], model: nn.Module, data: Split | Dataset) -> Mapping[str, Any]:
    """A probe leaves parameters, buffers, modes, gradients, data and random state as they were, and repeats itself.

    data: a split, or the whole dataset for a probe of both. Returns its values. fn(model, data) must give finite
    scalars or tensors, the same ones when asked again.
    """
    _mark_everything(model)
    before = _snapshot(model, data)
    first = fn(model, data)
    _require(isinstance(first, Mapping), f"the probe returned a {type(first).__name__}: it must be a mapping")
    for key, value in first.items():
        fits = isinstance(key, str) and isinstance(value, Tensor | float | int)
        _require(fits, f"{key!r} is a {type(value).__name__}: values are numbers or tensors, under names")
    _assert_same(before, _snapshot(model, data))
    for key, value in _as_tensors(first).items():
        if not bool(torch.isfinite(value).all()):
            raise AssertionError(
                f"{key} is {value.item()}: not finite"
                if value.dim() == 0
                else f"{key} holds values that are not finite"
            )
    torch.rand(3)  # a probe that draws from global state would now give something else
    _assert_same(_as_tensors(first), _as_tensors(fn(model, data)), "the probe, asked twice,")
    return first


def check_dataset(data: Dataset) -> None:
    """What is asked of data before any training, see `atml_exp.soundness.check_sound`: splits that aren't empty,
    finite floating inputs, classes in range, one shape for training and test, types and shapes of labels.
    """
    try:
        check_sound(data)
    except ConfigError as error:
        raise AssertionError(str(error)) from None


def check_figure(module: Any, table: pd.DataFrame) -> list[Claim]:
    """A figure's module draws the same picture twice, names its axes, leaves the table alone, and states claims.

    Returns its claims. module: with draw(table) and claims(table); table: as `atml-figures make` gives it.
    """
    before = table.copy(deep=True)
    try:
        check_functions(module)
        first, second, claims = drawn(module, table), drawn(module, table), claimed(module, table)
    except (BuildError, ConfigError) as error:
        raise AssertionError(str(error)) from error.__cause__
    _require(_same_picture(svg(first), svg(second)), "draw gave two different pictures of one table")
    shown = [axes for axes in first.get_axes() if axes.axison]
    _require(bool(shown), "the figure has no axes")
    for side in ("x", "y"):
        named = any(getattr(axes, f"get_{side}label")() or axes.get_title("left") for axes in shown)
        _require(named, f"no {side} axis has a name")
    for claim in claims:
        _require(bool(claim.paper), f"{claim.statement!r} needs a paper")
    pd.testing.assert_frame_equal(table, before)
    return claims


def _same_picture(first: str, second: str) -> bool:
    """Whether two SVG documents differ at most in the rounding of positions, which solving for a layout leaves, and
    so in the names that are hashed of them.
    """
    number = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    plain = [re.sub(r"\b[a-z][0-9a-f]{10}\b", "", text) for text in (first, second)]
    words = [re.sub(number, "", text) for text in plain]
    if words[0] != words[1]:
        return False
    one, other = (np.array(re.findall(number, text), dtype=float) for text in plain)
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-6, atol=1e-4)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _mark_everything(model: nn.Module) -> None:
    """Gives the model gradients and mixed modes, so that a probe that resets either is found out."""
    for i, p in enumerate(model.parameters()):
        p.grad = torch.full_like(p, float(i + 1)) if p.requires_grad else None
    model.eval()
    for i, module in enumerate(model.children()):
        if not any(isinstance(m, nn.modules.batchnorm._BatchNorm | nn.Dropout) for m in module.modules()):
            module.training = i % 2 == 0


def _snapshot(model: nn.Module, data: Split | Dataset) -> dict[str, Tensor]:
    tensors = {f"parameter {n}": p.detach() for n, p in model.named_parameters()}
    tensors |= {f"gradient of {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    tensors |= {f"requires_grad of {n}": torch.tensor(p.requires_grad) for n, p in model.named_parameters()}
    tensors |= {f"buffer {n}": b for n, b in model.named_buffers()}
    tensors |= {f"mode of {n or 'the model'}": torch.tensor(m.training) for n, m in model.named_modules()}
    splits = [data] if isinstance(data, Split) else [data.train, data.test]
    for i, split in enumerate(splits):
        of = "" if len(splits) == 1 else (" of the training set", " of the test set")[i]
        tensors |= {f"inputs{of}": split.x, f"labels{of}": split.y}
    tensors |= {"gradient mode": torch.tensor(torch.is_grad_enabled())}
    tensors |= {"the CPU's random state": torch.get_rng_state()}
    if splits[0].x.is_cuda:
        tensors |= {"CUDA's random state": torch.cuda.get_rng_state(splits[0].x.device)}
    return {n: copy.deepcopy(t) for n, t in tensors.items()}


def _as_tensors(values: Mapping[str, Any]) -> dict[str, Tensor]:
    return {k: torch.as_tensor(v).detach().clone() for k, v in values.items()}


def _assert_same(before: Mapping[str, Tensor], after: Mapping[str, Tensor], who: str = "the probe") -> None:
    if before.keys() != after.keys():
        raise AssertionError(f"{who} changed which of these exist: {sorted(before.keys() ^ after.keys())}")
    for name, tensor in before.items():
        if not torch.equal(tensor, after[name]):
            raise AssertionError(f"{who} changed {name}")
