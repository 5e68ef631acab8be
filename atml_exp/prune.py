"""Prunes populations: scores each replica's weights, keeps the largest, and says where a layer is left empty."""

import logging
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from atml_exp.masks import density_of, emptied, keep_largest, keep_units, prunable, shuffled
from atml_exp.population import Population, assemble
from atml_exp.probe import specimen
from atml_exp.pruning_scores import grasp_scores, obd_scores, snip_scores, synflow_scores
from atml_exp.seeds import generator
from atml_exp.train import Bench

__all__ = ["Criterion", "PruningScope", "pruned", "redrawn", "shuffled_mask"]

log = logging.getLogger("atml_exp")

Criterion = Literal["magnitude", "random", "snip", "grasp", "synflow", "obd"]
PruningScope = Literal["global", "layer", "unit"]

BY_DATA: Mapping[str, Callable[..., Mapping[str, Tensor]]] = {
    "snip": snip_scores,
    "grasp": grasp_scores,
    "obd": obd_scores,
}


def pruned(
    bench: Bench,
    population: Population,
    density: float,
    *,
    criterion: Criterion = "magnitude",
    scope: PruningScope = "global",
    rounds: int = 1,
) -> Population:
    """The population, at the same step, with a fraction `density` of each replica's prunable weights kept.

    What was pruned before stays so. In several rounds the density falls geometrically, and each round scores what
    the one before has left. Where the criterion needs data it gets the training set. A replica whose weights aren't
    finite keeps what it has. Layers that are left empty are said in a warning.

    Raises ValueError where the density isn't in (0, 1], and where there is no prunable weight.
    """
    start = density_of(prunable(population.named_mask(0)))
    for k in range(1, rounds + 1):
        target = start * (density / start) ** (k / rounds) if k < rounds else density
        each = [_mask(bench, population, r, target, criterion, scope) for r in range(population.size)]
        population = population.masked(torch.stack(each) if population.stacked else each[0])
    _say_what_is_empty(population, density, criterion)
    return population


def redrawn(bench: Bench, population: Population, draw: int) -> Population:
    """The population's mask with other initial weights, at step 0: the control that says whether these matter."""
    if bench.redraw is None or population.mask is None:
        raise ValueError("a mask, and a way to draw the models anew, are needed")
    fresh = assemble(
        bench.redraw(draw), population.seeds, stochastic=population.stochastic, recorded=population.recorded
    )
    return fresh.masked(population.mask)


def shuffled_mask(population: Population, draw: int) -> Tensor:
    """The mask with the kept places of each layer drawn anew: the control that says whether the places matter."""
    found = []
    for r, seed in enumerate(population.seeds):
        mask = population.named_mask(r)
        places = shuffled(prunable(mask), generator(seed, "shuffled_mask", draw))
        found.append(population.layout.vector({**mask, **places}))
    return torch.stack(found) if population.stacked else found[0]


def _mask(
    bench: Bench, population: Population, r: int, density: float, criterion: Criterion, scope: PruningScope
) -> Tensor:
    """Which of replica r's weights are kept (P,); what isn't prunable is."""
    before, weights = population.named_mask(r), population.layout.named(_row(population, population.w, r))
    if not all(bool(torch.isfinite(w).all()) for w in weights.values()):
        return population.layout.vector(before)
    scores = _scores(bench, population, r, criterion)
    standing = {n: s.masked_fill(~before[n], -torch.inf) for n, s in prunable(scores).items()}
    kept = _units(standing, before, density) if scope == "unit" else keep_largest(standing, density, scope)
    return population.layout.vector({**before, **{n: before[n] & m for n, m in kept.items()}})


def _units(scores: Mapping[str, Tensor], named: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Whole units, each with its bias."""
    kept = keep_units(scores, density)
    biases = {f"{n.removesuffix('weight')}bias": m.flatten(1).any(1) for n, m in kept.items()}
    return {**kept, **{n: m for n, m in biases.items() if n in named}}


def _scores(bench: Bench, population: Population, r: int, criterion: Criterion) -> Mapping[str, Tensor]:
    split, state = bench.splits[r], population.replica(r)
    named = {name: state[name] for name in population.layout.names}
    if criterion == "magnitude":
        return {name: w.abs() for name, w in named.items()}
    if criterion == "random":  # the same draws each time: masks are nested
        draw = generator(population.seeds[r], "random_pruning")
        return {name: torch.rand(w.shape, generator=draw).to(w.device) for name, w in named.items()}
    model = specimen(population.model, state)
    if criterion == "synflow":
        return synflow_scores(model, tuple(split.x.shape[1:]))
    return BY_DATA[criterion](model, bench.loss_fn, split.x, split.y)


def _row(population: Population, stacked: Tensor, r: int) -> Tensor:
    return stacked[r] if population.stacked else stacked


def _say_what_is_empty(population: Population, density: float, criterion: str) -> None:
    for r, seed in enumerate(population.seeds):
        if names := emptied(prunable(population.named_mask(r))):
            log.warning(
                "seed %d: at density %.3g the criterion %s leaves nothing of %s: no signal passes (layer collapse)",
                seed, density, criterion, ", ".join(names),
            )  # fmt: skip
