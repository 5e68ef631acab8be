"""Cross-entropy and a penalty on how far groups' predictions differ: fairness while training."""

from typing import Literal

import torch
from torch import Tensor

from atml_exp.data import of_group, stacks, suits
from atml_exp.fields import NonNegative
from atml_exp.losses.cross_entropy import cross_entropy

__all__ = ["Kind", "group_penalty", "spread"]

Kind = Literal["demographic_parity", "equalised_odds"]


@of_group
@stacks("strength")
@suits("binary")
def group_penalty(
    outputs: Tensor,
    y: Tensor,
    group: Tensor | None = None,
    *,
    strength: NonNegative = 1.0,
    kind: Kind = "demographic_parity",
) -> Tensor:
    """(1/N) Σᵢ −log softmax(oᵢ)[yᵢ] + strength·R: outputs (N, 2), labels y and groups (N,), int64.

        R = Σ_{g < h} (p̄_g − p̄_h)²

    With pᵢ the softmax's probability of class 1, R = `spread` of p by group (demographic parity), or the sum of the
    same over each class's examples alone (equalised odds); with two groups (p̄₀ − p̄₁)² of their means. A
    relaxation: fairness of decisions is of 1[pᵢ ≥ ½], whose mean has no gradient. Penalties on the groups' mean
    scores go back to Kamishima, Akaho, Asoh & Sakuma (2012) and Zafar et al. (2017); the squared difference of
    mean probabilities is chosen by us. R is of the mini-batch, and biased upwards by the variance of its means.

    Without groups it is the cross-entropy, which is what losses that are measured are. A group without examples (of
    the class) takes no part, and where fewer than two groups are left R = 0. ValueError as `cross_entropy`.

    >>> o, y, g = torch.tensor([[0.0, 9e9], [9e9, 0.0]]), torch.tensor([1, 0]), torch.tensor([0, 1])
    >>> group_penalty(o, y, g, strength=3.0).item()
    3.0
    """
    loss = cross_entropy(outputs, y)
    if group is None:
        return loss
    p = (outputs[:, 1] - outputs[:, 0]).sigmoid()
    if kind == "demographic_parity":
        return loss + strength * spread(p, group, torch.ones_like(p))
    return loss + strength * sum(spread(p, group, (y == c).to(p)) for c in (0, 1))


MOST_GROUPS = 32
"""Shapes can't depend on values where replicas are stacked: so many groups are averaged over, present or not."""


def spread(p: Tensor, group: Tensor, counted: Tensor) -> Tensor:
    """Σ (p̄_g − p̄_h)² over pairs of groups, p̄_g the mean of p over a group's examples that count; scalar.

    p, group (int64) and counted (0 or 1): (N,). A group that has no examples takes no part. NaN where a group's
    number isn't in 0 … 31: values can't be refused where replicas are stacked.

    >>> spread(torch.tensor([0.25, 0.75, 0.5]), torch.tensor([0, 0, 3]), torch.tensor([1.0, 0.0, 1.0])).item()
    0.0625
    """
    known = ((group >= 0) & (group < MOST_GROUPS)).all()
    slot = group.clamp(0, MOST_GROUPS - 1)
    n, total = (torch.zeros_like(p[:1]).expand(MOST_GROUPS).scatter_add(0, slot, v) for v in (counted, p * counted))
    present = (n > 0).to(p)
    mean = total / n.clamp_min(1)
    pairs = (mean[:, None] - mean[None]).square() * present[:, None] * present[None]
    return torch.where(known, pairs.sum() / 2, torch.nan)
