"""The best prediction that looks at no input: who does no better than it has learnt nothing."""

import logging
from collections.abc import Iterable, Mapping

from torch import Tensor

__all__ = ["no_better", "warn_of_no_better"]

log = logging.getLogger("atml_exp")

TOLERANCE = 1e-6
"""Of an error or a share of variance: rounding is no learning."""


def no_better(y: Tensor, final: Mapping[str, float]) -> str:
    """What a run ended with on its training split beside the best constant; empty where it did better.

    y: the split's labels or targets. final: the last value of each metric. Labels: the constant is the most
    frequent class, and `train/error` is compared. Targets: it is their mean, and `train/r_squared`, which is then
    at most 0. Empty too where neither was measured.

    >>> import torch
    >>> no_better(torch.tensor([0, 0, 0, 1]), {"train/error": 0.5})
    'train error 0.5, and 0.25 for always the most frequent class'
    >>> no_better(torch.tensor([0, 0, 0, 1]), {"train/error": 0.0})
    ''
    """
    if y.is_floating_point():
        explained = final.get("train/r_squared", 1.0)
        return f"train r_squared {explained:.3g}, and 0 for always the mean" if explained <= TOLERANCE else ""
    error, constant = final.get("train/error", 0.0), 1 - int(y.bincount().max()) / len(y)
    if error < constant - TOLERANCE or error == 0:
        return ""
    return f"train error {error:.3g}, and {constant:.3g} for always the most frequent class"


def warn_of_no_better(each: Iterable[str]) -> None:
    """One line where all runs of a call ended no better than a constant. each: of a run, what `no_better` says.

    A sweep in which some did better shows that by itself; after the first of them no other is looked at.
    """
    found = []
    for text in each:
        if not text:
            return
        found.append(text)
    if not found:
        return
    who, has = ("the run", "it has") if len(found) == 1 else (f"each of {len(found)} runs", "they have")
    log.warning(
        "%s ends no better than the best constant prediction (%s): %s learnt nothing from the inputs; more steps, "
        "another optimiser.learning_rate or another model may",
        who,
        found[0],
        has,
    )
