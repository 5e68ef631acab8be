"""Sanity checks of explanations: do they change when the net's layers are drawn anew?"""

import torch
from torch import nn

from atml_exp.attribution.gradients import explainers
from atml_exp.attribution.randomisation import passes, randomisation_check
from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.attribution import BaselineName, question

__all__ = ["sanity_check"]


@suits("classification")
def sanity_check(
    model: nn.Module,
    data: Split,
    *,
    num_examples: PositiveInt = 20,
    baseline: BaselineName = "zero",
    steps: PositiveInt = 20,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Spearman's correlation of explanations with those of the net with randomised layers, by method and layer.

    The examples are the first of each class in turn; explained is the logit of their label. Arrays, for each method
    of `explainers`, (L + 1,) from nothing randomised, which gives 1, through the L layers from the output down:
    `METHOD_signed`, `METHOD_absolute`, cascading; `METHOD_single_signed`, `METHOD_single_absolute`, that layer
    alone. Scalars: `METHOD_end`, the larger of the two correlations' sizes with the whole net random, and
    `METHOD_passes`, 1 where neither is above ½ (see `passes`). In float64. Adebayo et al. (2018), Sanity checks for
    saliency maps, section 3. seed: of what layers are drawn as.
    """
    asked = question(model, data, num_examples, "label", baseline)
    values: dict[str, Value] = {}
    ways = explainers(asked.model, asked.x, asked.target, baseline=asked.baseline, steps=steps, seed=seed)
    for name, explain in ways.items():
        for kind, cascading in (("", True), ("single_", False)):
            found = randomisation_check(explain, asked.model, asked.x, cascading=cascading, seed=seed)
            for which in ("signed", "absolute"):
                row = [1.0, *(getattr(each, which) for each in found.values())]
                values[f"{name}_{kind}{which}"] = torch.tensor(row, dtype=torch.float64)
            if cascading:
                last = list(found.values())[-1]
                values[f"{name}_end"] = max(abs(last.signed), abs(last.absolute))
                values[f"{name}_passes"] = float(passes(found))
    return values
