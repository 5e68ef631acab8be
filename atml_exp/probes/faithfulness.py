"""Deletion and insertion: does what an attribution ranks high decide what the net says?"""

from torch import nn

from atml_exp.attribution.faithfulness import deletion_insertion, random_order
from atml_exp.attribution.gradients import explainers
from atml_exp.data import Split, suits
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.attribution import BaselineName, question
from atml_exp.probes.features import predict

__all__ = ["faithfulness"]


@suits("classification")
def faithfulness(
    model: nn.Module,
    data: Split,
    *,
    num_examples: PositiveInt = 100,
    baseline: BaselineName = "zero",
    steps: PositiveInt = 20,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Areas under deletion and insertion curves of the predicted class's probability, by method, and of chance.

    `METHOD_deletion` (small is good) and `METHOD_insertion` (large is good), means over the examples, the first of
    each class in turn, for the methods of `explainers` and for `random`, an order drawn anew for each example;
    arrays `METHOD_deletion_curve`, `METHOD_insertion_curve` and `shares` (k + 1,), k = min(`steps`, entries).
    Entries are put to the baseline. In float64. See `deletion_insertion` (Petsiuk, Das & Saenko 2018).
    """
    asked = question(model, data, num_examples, "predicted", baseline)
    x, target, number = asked.x, asked.target, min(steps, asked.x[0].numel())
    ways = explainers(asked.model, x, target, baseline=asked.baseline, seed=seed)
    maps = {name: explain(asked.model, x) for name, explain in ways.items()} | {
        "random": random_order(x, seed=seed)
    }
    values: dict[str, Value] = {}
    softmax = predict(asked.model, x[:1]).shape[-1] > 1
    for name, each in maps.items():
        curves = deletion_insertion(
            asked.model, x, target, each, baseline=asked.baseline, steps=number, probability=softmax
        )
        values |= {
            f"{name}_deletion": float(curves.deletion_area().mean()),
            f"{name}_insertion": float(curves.insertion_area().mean()),
            f"{name}_deletion_curve": curves.deletion.mean(0),
            f"{name}_insertion_curve": curves.insertion.mean(0),
            "shares": curves.shares,
        }
    return values
