"""How stable explanations are: under small changes of the input and, compared across runs, under the seed."""

import torch
from torch import Tensor, nn

from atml_exp.attribution.agreement import Agreement, agreement
from atml_exp.attribution.gradients import explainers
from atml_exp.attribution.randomisation import Explain, within
from atml_exp.data import Split, suits
from atml_exp.fields import NonNegative, NonNegativeInt, PositiveInt
from atml_exp.probe import Value
from atml_exp.probes.attribution import BaselineName, question
from atml_exp.probes.features import predict
from atml_exp.seeds import generator

__all__ = ["explanation_instability", "over_models", "under_noise"]


def over_models(explain: Explain, models: list[nn.Module], x: Tensor) -> Agreement:
    """Mean agreement, over pairs of models (of different seeds, say), of their explanations of the same inputs x.

    1 where all explain alike. ValueError for fewer than two models.
    """
    return within([explain(model, x) for model in models])


def under_noise(
    explain: Explain, model: nn.Module, x: Tensor, *, noise: float, samples: int = 5, seed: int = 0
) -> Agreement:
    """Mean agreement of explain(model, x) with explain(model, x + ε), ε Gaussian of standard deviation `noise`.

    After Alvarez-Melis & Jaakkola (2018), On the robustness of interpretability methods, who look for the worst
    change nearby instead of the mean. noise 0 gives 1. ValueError for noise < 0 or samples < 1.
    """
    if not noise >= 0 or samples < 1:
        raise ValueError(f"noise is {noise} and samples {samples}: they must be at least 0 and 1")
    draw = generator(seed, "explanation_instability")
    before, found = explain(model, x), []
    for _ in range(samples):
        epsilon = torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x)
        found.append(agreement(before, explain(model, x + noise * epsilon)))
    return Agreement(*(sum(values) / samples for values in zip(*found, strict=True)))


@suits("classification")
def explanation_instability(
    model: nn.Module,
    data: Split,
    *,
    num_examples: PositiveInt = 40,
    noise: NonNegative = 0.1,
    samples: PositiveInt = 5,
    baseline: BaselineName = "zero",
    steps: PositiveInt = 20,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Explanations by each method of `explainers`, to be compared across runs, and how they stand noise.

    Explained is the label's logit of examples that are the first of each class in turn: in each run of a sweep over
    seeds the same ones, if the test set is. Arrays `METHOD` (K, *shape); scalars `METHOD_noise_signed` and
    `METHOD_noise_absolute`, the agreement of x and x + ε, ε of standard deviation `noise` times that of all entries
    of x (see `under_noise`); `same_answer`, the share of these x + ε at which the predicted class is still the
    same: where the net itself changes its mind, so may an explanation. In float64.
    """
    asked = question(model, data, num_examples, "label", baseline)
    size = noise * float(asked.x.std())
    ways = explainers(asked.model, asked.x, asked.target, baseline=asked.baseline, steps=steps, seed=seed)
    values: dict[str, Value] = {name: explain(asked.model, asked.x) for name, explain in ways.items()}
    for name, explain in ways.items():
        found = under_noise(explain, asked.model, asked.x, noise=size, samples=samples, seed=seed)
        values |= {f"{name}_noise_{which}": value for which, value in found._asdict().items()}
    return values | {"same_answer": _same_answer(asked.model, asked.x, size, samples, seed)}


def _same_answer(model: nn.Module, x: Tensor, size: float, samples: int, seed: int) -> float:
    """With the draws of `under_noise`."""
    draw = generator(seed, "explanation_instability")
    noises = [torch.randn(x.shape, generator=draw, dtype=torch.float64).to(x) for _ in range(samples)]

    def answers(inputs: Tensor) -> Tensor:
        outputs = predict(model, inputs)
        return outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).long()

    same = [(answers(x + size * noise) == answers(x)).double().mean() for noise in noises]
    return float(torch.stack(same).mean())
