"""Attribution: which entries of an input made a net say what it says, by several methods on a few examples."""

import copy
import itertools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from atml_exp.attribution.agreement import spearman
from atml_exp.attribution.grad_cam import grad_cam
from atml_exp.attribution.gradient_input import gradient_input
from atml_exp.attribution.integrated_gradients import integrated_gradients
from atml_exp.attribution.kernel_shap import kernel_shap
from atml_exp.attribution.lime import lime, lime_over_seeds
from atml_exp.attribution.occlusion import occlusion
from atml_exp.attribution.output import baseline_like, output_of
from atml_exp.attribution.players import patches
from atml_exp.attribution.randomisation import randomisation_check
from atml_exp.attribution.saliency import saliency
from atml_exp.attribution.shapley import exact_shap, exact_shapley
from atml_exp.attribution.smoothgrad import smoothgrad
from atml_exp.data import Split
from atml_exp.fields import NonNegativeInt, PositiveInt
from atml_exp.linalg import as_float64
from atml_exp.probe import Value
from atml_exp.probes.features import predict

__all__ = [
    "BaselineName",
    "Method",
    "Question",
    "attribution",
    "exact_shapley",
    "integrated_gradients",
    "question",
    "randomisation_check",
]

Method = Literal[
    "saliency",
    "gradient_input",
    "smoothgrad",
    "integrated_gradients",
    "grad_cam",
    "occlusion",
    "lime",
    "kernel_shap",
    "exact_shap",
]
BaselineName = Literal["zero", "mean", "minimum"]
TargetName = Literal["predicted", "label"]

_SHARES = ("gradient_input", "integrated_gradients", "lime", "kernel_shap", "exact_shap")
_LIME_SEEDS = 3


class Question(NamedTuple):
    """What is to be explained, in float64: a copy of the model, inputs x (K, *shape), outputs `target` (K,), x′.

    rows: where in the split the examples stand.
    """

    model: nn.Module
    x: Tensor
    target: Tensor
    baseline: Tensor
    rows: Tensor


def attribution(
    model: nn.Module,
    data: Split,
    *,
    methods: tuple[Method, ...] = (
        "saliency",
        "gradient_input",
        "smoothgrad",
        "integrated_gradients",
        "occlusion",
        "lime",
        "kernel_shap",
    ),
    num_examples: PositiveInt = 6,
    target: TargetName = "predicted",
    baseline: BaselineName = "zero",
    steps: PositiveInt = 50,
    patch: PositiveInt | None = None,
    window: PositiveInt = 1,
    samples: PositiveInt = 1000,
    seed: NonNegativeInt = 0,
) -> dict[str, Value]:
    """Attributions of `num_examples` examples of `data` by each of `methods`, in float64, eval mode.

    The examples are the first of each class in turn (of a regression: the first). Explained is the logit of the
    class `predicted`, or of the `label`; the only output where there is one. baseline: the input of no evidence: 0
    (the mean, where data are standardised), the `mean` of `data`, or its `minimum`, entry by entry (black).
    steps: of integrated gradients (midpoint rule). patch: LIME and the Shapley values play with squares of so many
    pixels (runs of features of a table); None: the smallest that leave at most 64 players. window: occlusion's, at
    stride 1. samples: of LIME and kernel SHAP. See atml_exp.attribution for each method's conventions.

    Returns, by method, arrays (K, *shape); `input` (K, *shape), `example` (K,), the rows of `data`, `target` (K,),
    `label` (K, …), `change` (K,), F(x) − F(x′); `ranks` (M, M), Spearman's correlations of absolute attributions,
    means over examples, and `agreement`, their mean over pairs. `completeness_error/METHOD`: Σ_k |Σ attribution −
    change| / Σ_k |change|, of methods whose entries are shares of the output (occlusion: by window 1).
    `lime_spread`: standard deviation over 3 seeds to the size of the mean (both root mean squares);
    `kernel_shap_error`: the largest difference from exact_shap to the largest value. Raises ValueError where a
    method can't be used: Grad-CAM without convolutions, exact_shap with more than 12 players; and for methods that
    are named twice, or none.
    """
    if not methods or len(set(methods)) < len(methods):
        raise ValueError(f"methods is {list(methods)}: name at least one, each once")
    asked = question(model, data, num_examples, target, baseline)
    players = _players(tuple(asked.x.shape[1:]), patch)
    ways = _ways(asked.baseline, players, steps=steps, window=window, samples=samples, seed=seed)
    found: dict[str, Tensor] = {name: ways[name](asked.model, asked.x, asked.target) for name in methods}
    values: dict[str, Value] = dict(found)
    values |= {"input": asked.x, "example": asked.rows, "target": asked.target, "label": data.y[asked.rows]}
    shares = {n: each for n, each in found.items() if n in _SHARES or (n == "occlusion" and window == 1)}
    values |= _completeness(asked, shares) | _alike(found)
    if "lime" in methods:
        values["lime_spread"] = _lime_spread(asked, players, samples, seed)
    if {"kernel_shap", "exact_shap"} <= set(methods):
        exact = found["exact_shap"]
        values["kernel_shap_error"] = float(
            (found["kernel_shap"] - exact).abs().max() / exact.abs().max().clamp(min=1e-300)
        )
    return values


def question(
    model: nn.Module,
    data: Split,
    num_examples: int,
    target: TargetName = "predicted",
    baseline: BaselineName = "zero",
) -> Question:
    """The examples, outputs and baseline that `attribution` describes."""
    index = _in_turn(data, num_examples)
    x = as_float64(data.x[index])
    exact = copy.deepcopy(model).to(x.device, torch.float64)
    outputs = predict(exact, x)
    if outputs.dim() == 1 or outputs.shape[1] == 1:
        chosen = torch.zeros_like(index)
    else:
        chosen = outputs.argmax(1) if target == "predicted" else data.y[index].to(x.device)
    of = {"zero": torch.zeros_like, "mean": lambda x: x.mean(0), "minimum": lambda x: x.amin(0)}
    start = of[baseline](as_float64(data.x)) if baseline != "zero" else torch.zeros_like(x[0])
    return Question(exact, x, chosen.to(x.device), start, index)


def _in_turn(data: Split, number: int) -> Tensor:
    """Rows: the first of each class, then the second of each, …; of a regression the first."""
    rows = torch.arange(len(data), device=data.y.device)
    if data.y.is_floating_point():
        return rows[:number]
    turn = torch.zeros_like(rows)
    for label in data.y.unique():
        turn[data.y == label] = torch.arange(int((data.y == label).sum()), device=rows.device)
    order = (turn * (int(data.y.max()) + 1) + data.y).argsort(stable=True)
    return order[:number]


def _players(shape: tuple[int, ...], patch: int | None) -> Tensor:
    sizes = itertools.count(1) if patch is None else iter([patch])
    return next(p for p in (patches(shape, size) for size in sizes) if patch is not None or int(p.max()) < 64)


def _ways(
    baseline: Tensor, players: Tensor, *, steps: int, window: int, samples: int, seed: int
) -> Mapping[str, Callable[[nn.Module, Tensor, Tensor], Tensor]]:
    game: dict[str, Any] = {"baseline": baseline, "segments": players}
    return {
        "saliency": saliency,
        "gradient_input": partial(gradient_input, baseline=baseline),
        "smoothgrad": partial(smoothgrad, seed=seed),
        "integrated_gradients": lambda model, x, target: integrated_gradients(model, x, baseline, target, steps),
        "grad_cam": grad_cam,
        "occlusion": partial(occlusion, window=window, baseline=baseline),
        "lime": partial(lime, **game, samples=samples, seed=seed),
        "kernel_shap": partial(kernel_shap, **game, samples=samples, seed=seed),
        "exact_shap": partial(exact_shap, **game),
    }


def _completeness(asked: Question, shares: Mapping[str, Tensor]) -> dict[str, Value]:
    start = baseline_like(asked.x, asked.baseline)
    with torch.no_grad():
        change = output_of(asked.model, asked.x, asked.target) - output_of(asked.model, start, asked.target)
    gaps = {name: (each.flatten(1).sum(1) - change).abs().sum() for name, each in shares.items()}
    size = change.abs().sum().clamp(min=torch.finfo(change.dtype).tiny)
    return {"change": change} | {f"completeness_error/{name}": float(gap / size) for name, gap in gaps.items()}


def _alike(found: Mapping[str, Tensor]) -> dict[str, Value]:
    """Only where there are two entries to rank, and two methods for a mean."""
    each = [values.abs() for values in found.values()]
    if each[0][0].numel() < 2:
        return {}
    ranks = torch.stack([torch.stack([spearman(a, b).mean() for b in each]) for a in each])
    pairs = ranks[tuple(torch.triu_indices(len(each), len(each), 1))]
    return {"ranks": ranks} | ({"agreement": float(pairs.mean())} if len(each) > 1 else {})


def _lime_spread(asked: Question, players: Tensor, samples: int, seed: int) -> float:
    seeds = range(seed, seed + _LIME_SEEDS)
    options: dict[str, Any] = {"baseline": asked.baseline, "segments": players, "samples": samples}
    over = lime_over_seeds(asked.model, asked.x, asked.target, seeds, **options)
    return float((over.variance.mean() / over.mean.square().mean().clamp(min=1e-300)).sqrt())
