"""Winning tickets: what iterative pruning with rewinding finds, and the controls that say what made it win."""

from functools import partial
from typing import Literal

from atml_exp.fields import Duration, PositiveInt, Schedule
from atml_exp.masks import Density
from atml_exp.population import Population
from atml_exp.prune import Criterion, PruningScope, pruned, redrawn, shuffled_mask
from atml_exp.schedule import within_steps
from atml_exp.train import Bench

__all__ = ["lottery_ticket"]

Arm = Literal["ticket", "redrawn", "shuffled", "random", "dense"]


@within_steps("rewind_to")
def lottery_ticket(
    fit: Bench,
    population: Population,
    *,
    arm: Arm = "ticket",
    rounds: PositiveInt = 10,
    keep: Density = 0.8,
    rewind_to: Duration = "0it",
    scope: PruningScope = "global",
    look_at: Literal["trained", "untrained"] = "trained",
    steps: Duration = "30ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "end",
) -> Population:
    """Train for `steps`, prune by magnitude to `keep` of what is left, rewind the rest; `rounds` times, then train.

    Frankle & Carbin (2019), The lottery ticket hypothesis; with `rewind_to` > 0 Frankle, Dziugaite, Roy & Carbin
    (2020), Linear mode connectivity and the lottery ticket hypothesis. After round k a fraction keep^k is left, up
    to rounding, with the very weights of the step `rewind_to`; the optimiser starts anew, the schedule and the
    order of the data as at that step. The run measures one arm at every density:

    ticket: what was found. redrawn: its masks with other initial weights, trained from step 0. shuffled: its masks
    with the kept places of each layer drawn anew, the ticket's weights. random: random masks of the same densities
    over all layers. dense: nothing is pruned; one training.

    look_at: `trained` measures each net while it is trained and at its end; `untrained` only as it is before, which
    is what a probe such as `instability` asks of a ticket. Then no control is trained.
    """
    train = partial(fit, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
    measured = look_at == "trained"

    def look(net: Population) -> Population:
        """The net measured: trained, or stopped where it stands."""
        return train(net) if measured else train(net, until=f"{net.step}it")

    early = train(population, until=rewind_to) if rewind_to not in (0, "0it", "0ep") else population
    result = look(early)
    found = result if measured else train(early, measured=False)
    for k in range(1, 1 if arm == "dense" else rounds + 1):
        criterion: Criterion = "random" if arm == "random" else "magnitude"
        ticket = early.masked(pruned(fit, found, keep**k, criterion=criterion, scope=scope).kept)
        if arm == "redrawn":
            result = look(redrawn(fit, ticket, k))
        elif arm == "shuffled":
            result = look(early.masked(shuffled_mask(ticket, k)))
        else:
            result = look(ticket)
        if k < rounds:
            is_it = measured and arm in ("ticket", "random")
            found = result if is_it else train(ticket, measured=False)
    return result
