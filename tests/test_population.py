"""A replica trained in a population equals the same job alone."""

import copy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from atml_exp.batches import Batch, Batches
from atml_exp.data import Split
from atml_exp.errors import ConfigError
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.adam import Adam
from atml_exp.optimisers.adamw import AdamW
from atml_exp.optimisers.gd import GD
from atml_exp.optimisers.momentum import Momentum
from atml_exp.optimisers.nesterov import Nesterov
from atml_exp.optimisers.noisy_gd import NoisyGD
from atml_exp.optimisers.optimiser import stack
from atml_exp.optimisers.sam import SAM
from atml_exp.optimisers.sgd import SGD
from atml_exp.population import _named, assemble, draws_randomness, update
from atml_exp.seeds import seeded_globally

SEEDS = (3, 7, 11)
SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def splits():
    """Three training sets that share their inputs; the labels of the second and third are noisy."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(96, *SHAPE, generator=g, dtype=torch.float64)
    y = torch.randint(0, 3, (96,), generator=g)
    noisy = [y.clone() for _ in range(2)]
    for k, labels in enumerate(noisy):
        labels[: 10 * (k + 1)] = (labels[: 10 * (k + 1)] + 1) % 3
    return [Split(x, labels) for labels in (y, *noisy)]


def train(make_model, optimisers, splits, seeds, steps=200, batch_size=16):
    models = []
    for seed in seeds:
        with seeded_globally(seed, "initialisation"):
            models.append(make_model(SHAPE, 3).double())
    population = assemble(models, seeds)
    optimiser = stack(optimisers, like=population.w)
    population = type(population)(**{**population.__dict__, "state": optimiser.init(population.w)})
    batches = Batches(splits, seeds, batch_size)
    for t in range(steps):
        population = update(population, optimiser, cross_entropy, batches(t), optimiser.learning_rate)
    return population


OPTIMISERS = {
    "gd": [GD(lr, wd) for lr, wd in ((0.1, 0.0), (0.05, 0.01), (0.2, 0.0))],
    "sgd": [SGD(lr, wd) for lr, wd in ((0.1, 0.0), (0.05, 0.01), (0.2, 0.0))],
    "momentum": [Momentum(lr, b, wd) for lr, b, wd in ((0.05, 0.9, 0.0), (0.02, 0.5, 1e-3), (0.01, 0.0, 1e-2))],
    "nesterov": [Nesterov(lr, b, wd) for lr, b, wd in ((0.05, 0.9, 0.0), (0.02, 0.5, 1e-3), (0.01, 0.0, 1e-2))],
    "adam": [Adam(lr, b, weight_decay=wd) for lr, b, wd in ((1e-3, 0.9, 0.0), (2e-3, 0.5, 1e-3), (5e-4, 0.8, 0.0))],
    "adamw": [
        AdamW(lr, b, weight_decay=wd) for lr, b, wd in ((1e-3, 0.9, 0.0), (2e-3, 0.5, 0.1), (5e-4, 0.8, 0.0))
    ],
    "noisy_gd": [NoisyGD(lr, wd, s) for lr, wd, s in ((0.1, 0.0, 0.01), (0.05, 0.01, 0.1), (0.2, 0.0, 0.0))],
    "sam": [SAM(lr, r, b) for lr, r, b in ((0.05, 0.05, 0.9), (0.02, 0.1, 0.5), (0.05, 0.0, 0.0))],
}
MODELS = {
    "mlp": partial(mlp, width=12, depth=2),
    "mlp_batch_norm": partial(mlp, width=12, depth=2, normalisation="batch"),
    "cnn": partial(cnn, width=4, depth=1),
}


def relative_difference(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_each_replica_equals_the_same_job_alone(model, optimiser, splits):
    rules, size = OPTIMISERS[optimiser], None if optimiser in ("gd", "noisy_gd") else 16
    together = train(MODELS[model], rules, splits, SEEDS, batch_size=size)
    for r, seed in enumerate(SEEDS):
        alone = train(MODELS[model], [rules[r]], [splits[r]], [seed], batch_size=size)
        assert relative_difference(together.w[r], alone.w) <= 1e-9
        assert relative_difference(together.loss[r], alone.loss) <= 1e-9
        for name, buffer in alone.buffers.items():
            assert relative_difference(together.buffers[name][r].double(), buffer.double()) <= 1e-9


def test_training_alone_equals_a_loop_written_by_hand(splits):
    """torch.optim.SGD with backward(), on the same batches."""
    population = train(MODELS["mlp"], [Momentum(0.05, 0.9, 1e-3)], splits[:1], SEEDS[:1], steps=50)
    with seeded_globally(SEEDS[0], "initialisation"):
        model = MODELS["mlp"](SHAPE, 3).double()
    rule = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    batches = Batches(splits[:1], SEEDS[:1], 16)
    for t in range(50):
        rule.zero_grad()
        cross_entropy(model(batches(t).x), batches(t).y).backward()
        rule.step()
    torch.testing.assert_close(population.w, nn.utils.parameters_to_vector(model.parameters()).detach())


def test_replicas_differ_from_one_another(splits):
    population = train(MODELS["mlp"], OPTIMISERS["sgd"], splits, SEEDS, steps=1)
    assert relative_difference(population.w[0], population.w[1]) > 0.1


def test_a_replica_that_diverges_harms_no_other(splits):
    rules = [SGD(0.1), SGD(1e300)]
    together = train(MODELS["mlp"], rules, splits[:2], SEEDS[:2], steps=30)
    alone = train(MODELS["mlp"], rules[:1], splits[:1], SEEDS[:1], steps=30)
    assert together.finite() == [True, False]
    assert relative_difference(together.w[0], alone.w) <= 1e-9


def test_sam_updates_batch_norm_statistics_once_a_step(splits):
    population = train(MODELS["mlp_batch_norm"], [SAM()], splits[:1], SEEDS[:1], steps=5)
    counts = [b for n, b in population.buffers.items() if n.endswith("num_batches_tracked")]
    assert counts
    assert all(c == 5 for c in counts)


def dropout_model(input_shape, num_outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.Dropout(0.5), nn.Linear(8, num_outputs))


def test_dropout_is_refused_in_a_population_and_found_without_a_trace():
    models = [dropout_model(SHAPE, 3).eval() for _ in range(2)]
    before = torch.get_rng_state()
    assert draws_randomness(models[0], torch.zeros(2, *SHAPE), torch.tensor([0, 1]), cross_entropy)
    assert not models[0].training
    assert torch.equal(before, torch.get_rng_state())
    assert not draws_randomness(mlp(SHAPE, 3), torch.zeros(2, *SHAPE), torch.tensor([0, 1]), cross_entropy)
    with pytest.raises(ConfigError, match="dropout"):
        assemble(models, [0, 1], stochastic=True)


def test_dropout_alone_draws_from_the_seed_and_not_from_the_global_state(splits):
    def dropout_run(seed, disturb):
        with seeded_globally(0, "initialisation"):
            population = assemble([dropout_model(SHAPE, 3).double()], [seed], stochastic=True)
        batches = Batches(splits[:1], [seed], 16)
        for t in range(5):
            if disturb:
                torch.rand(1)
            population = update(population, SGD(), cross_entropy, batches(t), 0.1)
        return population.w

    assert torch.equal(dropout_run(1, False), dropout_run(1, True))
    assert not torch.equal(dropout_run(1, False), dropout_run(2, False))


def test_parameters_that_are_frozen_stay_as_they_were(splits):
    def frozen(input_shape, num_outputs):
        model = mlp(input_shape, num_outputs, width=5, depth=1)
        next(iter(model.parameters())).requires_grad_(False)
        return model

    population = train(frozen, [SGD(), SGD(0.2)], splits[:2], SEEDS[:2], steps=3)
    with seeded_globally(SEEDS[1], "initialisation"):
        initial = frozen(SHAPE, 3).double()
    name, weight = next(iter(initial.named_parameters()))
    assert torch.equal(population.replica(1)[name], weight)


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameters"):
        assemble([nn.ReLU()], [0])


@pytest.mark.parametrize(
    "others",
    [
        [mlp(SHAPE, 3, width=4), mlp(SHAPE, 3, width=4, depth=3)],
        [mlp(SHAPE, 3, width=4, normalisation="batch"), mlp(SHAPE, 3, width=5, normalisation="batch")],
        [mlp(SHAPE, 3, width=8), mlp(SHAPE, 4, width=5)],
    ],
    ids=["depth", "statistics", "outputs"],
)
def test_replicas_of_different_shape_are_refused(others):
    with pytest.raises(ConfigError, match="same parameters"):
        assemble(others, [0, 1])


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("optimiser", [name for name in OPTIMISERS if name != "noisy_gd"])
def test_replicas_of_different_width_equal_the_same_jobs_alone(optimiser, activation, splits):
    """Sigmoid units aren't 0 where nothing comes in: what matters is that nothing goes out."""
    rules = OPTIMISERS[optimiser]
    models = [partial(mlp, width=w, depth=2, activation=activation) for w in (5, 12, 1)]
    in_turn = iter(models)
    together = train(lambda *shape: next(in_turn)(*shape), rules, splits, SEEDS)
    for r, seed in enumerate(SEEDS):
        alone = train(models[r], [rules[r]], [splits[r]], [seed])
        own, expected = together.replica(r), alone.replica(0)
        assert all(relative_difference(own[name], expected[name]) <= 1e-9 for name in expected)
        assert relative_difference(together.loss[r], alone.loss) <= 1e-9
        for name, values in alone.state.items():
            assert relative_difference(together.optimiser_state(r)[name], values) <= 1e-9


def test_replicas_of_different_width_show_their_own_models_and_masks(splits):
    models = [mlp(SHAPE, 3, width=w) for w in (2, 3, 2)]
    population = assemble(models, SEEDS)
    assert population.model_of(2) is models[2]
    assert population.alike([0, 1, 2]) == [[0, 2], [1]]
    stacked = population.named_of([0, 2])
    assert torch.equal(stacked["output.weight"][1], models[2].output.weight)
    assert population.named_mask(0)["output.weight"].tolist() == [[True, True]] * 3
    pruned = population.masked(torch.zeros_like(population.w))
    assert not pruned.live.any()
    assert torch.equal(population.vector(0, dict(models[0].named_parameters())), population.w[0])


def running_mean(population):
    return next(b for n, b in population.buffers.items() if n.endswith("running_mean"))


def test_sam_keeps_the_batch_norm_statistics_of_the_weights_and_not_of_its_ascent(splits):
    sam, sgd = (train(MODELS["mlp_batch_norm"], [o], splits[:1], SEEDS[:1], steps=1) for o in (SAM(rho=1), SGD()))
    assert torch.equal(running_mean(sam), running_mean(sgd))


class Masked(nn.Module):
    """Keeps what it drew."""

    def __init__(self):
        super().__init__()
        self.layer, self.masks = nn.Linear(4, 1, bias=False), []

    def forward(self, x):
        self.masks.append(tuple(torch.rand(4).tolist()))
        return self.layer(x)


def test_random_numbers_are_drawn_anew_at_each_step_and_at_each_gradient_of_a_step():
    model, optimiser = Masked(), SAM()
    population = assemble([model], [0], stochastic=True)
    population = replace(population, state=optimiser.init(population.w))
    for _ in range(2):
        population = update(population, optimiser, mse, Batch(torch.ones(2, 4), torch.ones(2)), 0.1)
    assert len(model.masks) == len(set(model.masks)) == 4


def test_populations_of_different_size_do_not_share_a_recording():
    """Full batches have one shape whatever R is."""
    x = torch.randn(20, *SHAPE, generator=torch.Generator().manual_seed(0))
    split = Split(x, torch.randint(0, 3, (20,), generator=torch.Generator().manual_seed(1)))
    recorded = {}
    for size in (3, 2, 1):
        models = [mlp(SHAPE, 3, width=4) for _ in range(size)]
        population = assemble(models, list(range(size)), recorded=recorded)
        batches = Batches([split] * size, list(range(size)), None)
        for t in range(3):
            population = update(population, SGD(), cross_entropy, batches(t), 0.1)
        alone = assemble(models[:1], [0])
        for t in range(3):
            alone = update(alone, SGD(), cross_entropy, Batches([split], [0], None)(t), 0.1)
        first = population.w[0] if size > 1 else population.w
        torch.testing.assert_close(first, alone.w, rtol=1e-5, atol=1e-6)
    assert len(recorded) == 3


class Counting(nn.Module):
    """Another function after its third call."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(4, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) if self.calls <= 3 else self.layer(x).tanh()


def by_frequency(outputs, y):
    return cross_entropy(outputs, y) * (1 + len(y[y == 0]) / 10)


@pytest.mark.parametrize(
    ("model", "loss"),
    [(Counting(), cross_entropy), (nn.Linear(4, 3), by_frequency), (nn.Linear(4, 3), partial(by_frequency))],
    ids=["model", "loss", "partial"],
)
def test_code_that_is_not_ours_runs_as_it_is(model, loss):
    population = assemble([model.double()], [0])
    model, w = copy.deepcopy(model), population.w
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        batch = Batch(
            torch.randn(6, 4, generator=generator).double(), torch.randint(0, 3, (6,), generator=generator)
        )
        population = update(population, SGD(), loss, batch, 0.1)
        parameters = list(model.parameters())
        g = torch.autograd.grad(loss(model(batch.x), batch.y), parameters)
        with torch.no_grad():
            for p, piece in zip(parameters, g, strict=True):
                p -= 0.1 * piece
        w = nn.utils.parameters_to_vector(parameters).detach()
    torch.testing.assert_close(population.w, w, rtol=1e-12, atol=1e-14)
    assert population.recorded == {}


def test_a_class_may_say_that_it_can_be_recorded():
    class Plain(nn.Module):
        recordable = True

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return self.layer(x)

    population = assemble([Plain()], [0])
    batch = Batch(torch.ones(6, 4), torch.zeros(6, dtype=torch.int64))
    assert len(update(population, SGD(), cross_entropy, batch, 0.1).recorded) == 1


def test_losses_of_other_options_are_recorded_apart():
    assert _named(partial(mse, a=1)) != _named(partial(mse, a=2))
    assert _named(partial(mse, a=1)) == _named(partial(mse, a=1))
    assert _named(partial(mse, 1.0)) is None  # which argument that is isn't known
    assert _named(partial(mse, a=torch.ones(1))) is None


def test_a_loss_that_draws_random_numbers_is_found():
    def noisy(outputs, y):
        return cross_entropy(outputs + torch.randn_like(outputs), y)

    assert draws_randomness(mlp(SHAPE, 3), torch.zeros(2, *SHAPE), torch.tensor([0, 1]), noisy)
