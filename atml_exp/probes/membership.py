"""Membership inference: does the loss of an example give away that it was trained on?"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import vmap

from atml_exp.data import Dataset, Split
from atml_exp.linalg import as_float64
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probe import Value
from atml_exp.probes.features import predict
from atml_exp.probes.performance import misclassified

__all__ = ["advantage", "advantage_at", "auc", "membership"]


def membership(
    model: nn.Module, data: Dataset, *, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
) -> dict[str, Value]:
    """How well training examples (members) are told from test examples by their loss ℓ; eval mode, float64.

        TPR − FPR = P(ℓ ≤ t | member) − P(ℓ ≤ t | other)

    An attack says 'member' or not; its advantage is TPR − FPR, the share of members found less that of others taken
    for members. `auc`: the probability that a member's loss is the smaller one, ties counted half. `advantage`: of
    'member where ℓ ≤ t' at the best t, known to no attacker: an upper end. `mean_loss_advantage`: at t = the mean
    training loss, which an attacker may know. For classes `error_advantage`: of 'member where the answer is right',
    which is the test error less the training error: Yeom, Giacomelli, Fredrikson & Jha (2018), Privacy risk in
    machine learning, Theorem 2, for the 0–1 loss (there: says 'no member' with probability ℓ/B of a loss bounded by
    B; the advantage is the generalisation gap over B). Where the losses are alike, ½ and 0.

    loss: a mean over examples. Raises ValueError where a split is empty or a loss is NaN.
    """
    if not len(data.train) or not len(data.test):
        raise ValueError(
            f"{len(data.train)} training and {len(data.test)} test examples: there must be some of both"
        )
    outputs = [as_float64(predict(model, split.x)) for split in (data.train, data.test)]
    members, others = (_losses(o, s, loss) for o, s in zip(outputs, (data.train, data.test), strict=True))
    found: dict[str, Value] = {
        "auc": auc(members, others),
        "advantage": advantage(members, others),
        "mean_loss_advantage": advantage_at(float(members.mean()), members, others),
    }
    if data.num_classes is not None:
        found["error_advantage"] = misclassified(outputs[1], data.test.y) - misclassified(outputs[0], data.train.y)
    return found


def auc(members: Tensor, others: Tensor) -> float:
    """P(ℓ < ℓ′) + ½P(ℓ = ℓ′) of the losses ℓ (N,) of members and ℓ′ (M,) of others: Mann & Whitney's U/(NM).

    ValueError where one of them is empty or holds NaN.

    >>> auc(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    0.875
    """
    above, below = _counts(others, members)
    return float((1 - (above + below) / (2 * len(others))).mean())


def advantage(members: Tensor, others: Tensor) -> float:
    """max_t P(ℓ ≤ t) − P(ℓ′ ≤ t), at least 0: the one-sided Kolmogorov–Smirnov distance. Refusals as `auc`.

    >>> advantage(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    0.5
    """
    thresholds = members.sort().values  # the difference is largest at a member's loss
    found = _counts(members, thresholds)[0] / len(members) - _counts(others, thresholds)[0] / len(others)
    return max(0.0, float(found.max()))


def advantage_at(threshold: float, members: Tensor, others: Tensor) -> float:
    """P(ℓ ≤ t) − P(ℓ′ ≤ t) at one threshold t. Refusals as `auc`."""
    at = torch.tensor([threshold], dtype=members.dtype, device=members.device)
    return float(_counts(members, at)[0] / len(members) - _counts(others, at)[0] / len(others))


def _counts(values: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """How many values are ≤ and how many are < each entry of `at`, in float64."""
    for losses in (values, at):
        if not len(losses) or losses.isnan().any():
            raise ValueError(
                f"{int(losses.isnan().sum())} of {len(losses)} losses are NaN: both sides need numbers"
            )
    ordered = values.sort().values
    upto, below = (torch.searchsorted(ordered, at.contiguous(), right=right) for right in (True, False))
    return upto.double(), below.double()


def _losses(outputs: Tensor, split: Split, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Of each example, (N,)."""
    y = as_float64(split.y) if split.y.is_floating_point() else split.y
    return vmap(lambda output, label: loss(output[None], label[None]))(outputs, y)
