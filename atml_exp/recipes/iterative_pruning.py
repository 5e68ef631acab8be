"""Train, prune, train on; once or in rounds."""

from functools import partial
from typing import Literal

from atml_exp.fields import Duration, PositiveInt, Schedule
from atml_exp.masks import Density
from atml_exp.population import Population
from atml_exp.prune import Criterion, PruningScope, pruned
from atml_exp.schedule import within_steps
from atml_exp.train import Bench

__all__ = ["iterative_pruning"]

Retraining = Literal["fine_tuning", "learning_rate_rewinding", "weight_rewinding", "none"]


@within_steps("retrain", lambda recipe: recipe["retraining"].endswith("rewinding"))
def iterative_pruning(
    fit: Bench,
    population: Population,
    *,
    criterion: Criterion = "magnitude",
    density: Density = 0.1,
    rounds: PositiveInt = 1,
    retraining: Retraining = "fine_tuning",
    retrain: Duration = "10ep",
    scope: PruningScope = "global",
    steps: Duration = "30ep",
    batch_size: PositiveInt | None = 64,
    evaluate_every: Schedule = "end",
) -> Population:
    """Trains for `steps`; then, `rounds` times, prunes and trains on, until a fraction `density` is kept.

    Each round keeps density^(1/rounds) of what is left; one round is one-shot pruning. Then, after Renda, Frankle &
    Carbin (2020), Comparing rewinding and fine-tuning in neural network pruning, which compares them at equal cost:

    fine_tuning: `retrain` more steps with the learning rate of the schedule's last step (Han et al. 2015).
    learning_rate_rewinding: `retrain` more steps with the schedule of the last `retrain` steps of the training.
    weight_rewinding: the same, from the weights that were had at that step.
    none: nothing; the net is measured as it is.

    The optimiser starts anew in each round; data come in the order of the steps of the schedule that are trained.
    """
    train = partial(fit, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
    more = fit.num_steps(retrain, batch_size)
    back = max(0, fit.num_steps(steps, batch_size) - more)
    early = train(population, until=back) if retraining == "weight_rewinding" and back > 0 else population
    net = train(early)
    for k in range(1, rounds + 1):
        left = pruned(fit, net, density ** (k / rounds), criterion=criterion, scope=scope)
        if retraining == "fine_tuning":
            net = train(left, extra=k * more)
        elif retraining == "learning_rate_rewinding":
            net = train(left.at(back))
        elif retraining == "weight_rewinding":
            net = train(early.masked(left.kept))
        else:
            net = train(left)
    return net
