"""Per-example gradients against a loop and curvlinops; noise against closed forms and all mini-batches."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.probes import gradient_noise as module
from atml_exp.probes.gradient_noise import (
    gradient_noise,
    noise_spectrum,
    per_example_gradients,
    signal_to_noise,
    unbiased_noise_scale,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def net(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()  # they were made before the seed was set
    return nn.Sequential(*layers).double()


def mlp(width: int = 5) -> nn.Sequential:
    return net(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3)).eval()


X, Y = normal(12, 4), torch.arange(12) % 3


def looped(model: nn.Module, loss_fn, x: Tensor, y: Tensor) -> Tensor:
    """One backward pass for each example."""
    trained = [p for p in model.parameters() if p.requires_grad]
    rows = [torch.autograd.grad(loss_fn(model(x[i : i + 1]), y[i : i + 1]), trained) for i in range(len(x))]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


MODELS = {
    "mlp": mlp(),
    "batch norm in eval mode": net(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).eval(),
    "layer norm in training mode": net(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)).train(),
    "convolution": net(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(4, 3)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chunk_size", [None, 5])
def test_gradients_are_those_of_a_loop(name, chunk_size):
    found = per_example_gradients(MODELS[name], cross_entropy, X, Y, chunk_size=chunk_size)
    torch.testing.assert_close(found, looped(MODELS[name], cross_entropy, X, Y), rtol=1e-10, atol=1e-12)


def test_only_parameters_that_require_gradients_count():
    model = mlp()
    model[0].weight.requires_grad_(False)
    found = per_example_gradients(model, cross_entropy, X, Y)
    assert found.shape == (12, 5 + 18)
    torch.testing.assert_close(found, looped(model, cross_entropy, X, Y))


def test_their_mean_is_the_gradient_of_the_mean_loss_though_autograd_is_off():
    model = mlp()
    whole = torch.autograd.grad(cross_entropy(model(X), Y), list(model.parameters()))
    with torch.no_grad():
        found = per_example_gradients(model, cross_entropy, X, Y)
    torch.testing.assert_close(found.mean(0), torch.cat([g.flatten() for g in whole]))
    assert not found.requires_grad


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_their_second_moment_is_curvlinops_empirical_fisher():
    from curvlinops import EFLinearOperator

    model = mlp()
    fisher = EFLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), [(X, Y)])
    gradients = per_example_gradients(model, cross_entropy, X, Y)
    dense = fisher @ torch.eye(gradients.shape[1], dtype=torch.float64)
    torch.testing.assert_close(gradients.T @ gradients / 12, dense, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("width", [5, 1])
def test_spectrum_is_that_of_the_dense_covariance(width, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 8 * 12 * 4)  # four columns at a time
    gradients = per_example_gradients(mlp(width), cross_entropy, X, Y)[:, : 43 if width == 5 else 7]
    dense = torch.cov(gradients.T)
    found = noise_spectrum(gradients, 4)
    truth = torch.linalg.eigvalsh(dense).flip(0)[: min(gradients.shape)]
    torch.testing.assert_close(found.eigenvalues, truth, rtol=1e-9, atol=1e-14)
    assert found.trace == pytest.approx(dense.trace().item())
    assert found.signal == pytest.approx(gradients.mean(0).square().sum().item())
    images = found.directions @ dense
    torch.testing.assert_close(images, truth[:4, None] * found.directions, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(found.directions @ found.directions.T, torch.eye(4, dtype=torch.float64))


def test_spectrum_does_not_change_with_order_and_rotation_and_scales_with_the_square():
    gradients = 1 + normal(12, 30)
    rotation = torch.linalg.qr(normal(30, 30, seed=1))[0]
    reference = noise_spectrum(gradients)
    moved = noise_spectrum(3 * gradients.flip(0) @ rotation)
    torch.testing.assert_close(moved.eigenvalues[:-1], 9 * reference.eigenvalues[:-1])
    assert moved.scale.value == pytest.approx(reference.scale.value)


def test_small_noise_about_a_large_mean_is_not_lost():
    noise = 1e-6 * normal(12, 30)
    torch.testing.assert_close(
        noise_spectrum(1.0 + noise).eigenvalues[:10], noise_spectrum(noise).eigenvalues[:10], rtol=1e-8, atol=0
    )


def regression_at_its_minimum(sigma: float) -> tuple[nn.Module, Split, Tensor]:
    """Each x twice, with residuals +σ and −σ: w = 0 is the minimum, and Σ (/n) = σ²H exactly. Also H."""
    x = normal(20, 4, seed=3).repeat_interleave(2, 0)
    y = sigma * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(20)
    model = nn.Linear(4, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    return model, Split(x, y), x.T @ x / 40


def test_linear_regression_at_its_minimum_has_the_noise_sigma_squared_h():
    model, data, h = regression_at_its_minimum(0.3)
    gradients = per_example_gradients(model, mse, data.x, data.y)
    torch.testing.assert_close(torch.cov(gradients.T, correction=0), 0.09 * h)
    values = gradient_noise(model, data, loss=mse, num_directions=4)
    scale = 0.09 * 40 / 39
    h_values = torch.linalg.eigvalsh(h).flip(0)
    torch.testing.assert_close(values["eigenvalues"], scale * h_values)
    torch.testing.assert_close(values["curvatures"], h_values)
    assert values["curvature_along_noise"] == pytest.approx((h_values.square().sum() / h_values.sum()).item())
    assert values["signal"] < 1e-30
    assert "noise_scale_unbiased" not in values


def test_the_mean_of_a_batch_without_replacement():
    """Over all batches of B of N: E‖g_B − G‖² = (trΣ/B)(N − B)/(N − 1), Σ divided by N (not N − 1)."""
    gradients = per_example_gradients(mlp(), cross_entropy, X[:8], Y[:8])
    trace = noise_spectrum(gradients).trace * 7 / 8
    for size in (1, 3, 7):
        means = torch.stack([gradients[list(batch)].mean(0) for batch in combinations(range(8), size)])
        scatter = (means - gradients.mean(0)).square().sum(1).mean().item()
        assert scatter == pytest.approx(trace / size * (8 - size) / 7)


def test_two_batch_sizes_averaged_over_all_batches_give_the_spectrums_own_scale():
    gradients = per_example_gradients(mlp(), cross_entropy, X[:8], Y[:8])
    exact = noise_spectrum(gradients).scale

    def squares(size: int) -> Tensor:
        batches = combinations(range(8), size)
        return torch.stack([gradients[list(batch)].mean(0).square().sum() for batch in batches])

    for b, big in ((1, 8), (2, 5), (3, 4)):
        found = unbiased_noise_scale(squares(b), squares(big), b, big)
        assert (found.trace, found.signal) == pytest.approx((exact.trace, exact.signal))


def test_the_unbiased_scale_is_unbiased_where_the_simple_one_is_not():
    """Gradients G + z with ‖G‖² = 1 and trΣ = 50: true scale 50; 16 of them give ‖G‖² + 50/16 as the signal."""
    samples = 1 / 50**0.5 + normal(4000, 16, 50)
    found = [noise_spectrum(rows) for rows in samples[:400]]
    simple = sum(f.trace for f in found) / sum(f.signal for f in found)
    unbiased = sum(f.trace for f in found) / sum(f.scale.signal for f in found)
    assert simple == pytest.approx(50 / (1 + 50 / 16), rel=0.05)
    means, single = samples.mean(1).square().sum(1), samples[:, 0].square().sum(1)
    from_batches = unbiased_noise_scale(single, means, 1, 16)
    for value in (unbiased, from_batches.value):
        assert value == pytest.approx(50, rel=0.1)


def test_no_signal_is_not_a_scale():
    found = unbiased_noise_scale(torch.tensor([4.0]), torch.tensor([0.5]), 1, 4)
    assert found.signal < 0
    assert found.value != found.value  # NaN


def test_signal_to_noise_of_each_parameter():
    gradients = torch.tensor([[1.0, 4.0, 7.0], [3.0, 4.0, -7.0]])  # means 2, 4, 0; variances 2, 0, 98
    assert signal_to_noise(gradients) == pytest.approx((4 / 2 + 0) / 2)
    pure = normal(100, 3000)
    assert signal_to_noise(pure) == pytest.approx(1 / 100, rel=0.1)


def test_probe_leaves_everything_as_it_was_and_takes_the_same_examples_each_time():
    model, data = MODELS["batch norm in eval mode"], Split(normal(30, 4), torch.arange(30) % 3)
    values = check_probe(lambda m, d: gradient_noise(m, d, num_examples=20, num_directions=3), model, data)
    assert values["eigenvalues"].shape == (20,)
    assert values["curvatures"].shape == (3,)
    assert values["noise_scale"] == pytest.approx(values["trace"] / values["signal"])
    other = gradient_noise(model, data, num_examples=20, num_directions=3, seed=1)
    assert other["trace"] != values["trace"]


def test_probe_measures_in_eval_mode_and_leaves_the_mode():
    model = net(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3)).train()
    values = gradient_noise(model, Split(X, Y), num_directions=0)
    assert all(layer.training for layer in model)
    truth = noise_spectrum(looped(model.eval(), cross_entropy, X, Y))
    torch.testing.assert_close(values["eigenvalues"], truth.eigenvalues, rtol=1e-9, atol=1e-14)
    assert "curvatures" not in values


def test_gaussian_directions_estimate_the_mean_curvature():
    model, data, h = regression_at_its_minimum(0.3)
    values = [
        gradient_noise(model, data, loss=mse, num_directions=4, seed=s)["curvature_at_random"] for s in range(200)
    ]
    assert sum(values) / 200 == pytest.approx(h.trace().item() / 4, rel=0.1)


def summed(outputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, y, reduction="sum")


def weighted(outputs: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, y, torch.tensor([1.0, 2.0, 3.0], dtype=outputs.dtype))


WITHOUT_STATISTICS = net(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()


class Mixing(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0))


@pytest.mark.parametrize(
    ("model", "loss_fn", "message"),
    [
        (nn.Flatten(), cross_entropy, r"no parameter that requires gradients.*requires_grad_\(\)"),
        (net(nn.Linear(4, 3), nn.BatchNorm1d(3)).train(), cross_entropy, r"1 is a batch norm.*model.eval\(\)"),
        (WITHOUT_STATISTICS, cross_entropy, "1 is a batch norm"),
        (net(nn.Linear(4, 3), nn.Dropout()).train(), cross_entropy, r"dropout in training mode.*model.eval\(\)"),
        (Mixing(4, 3).double(), cross_entropy, "or the model mixes them"),
        (mlp(), summed, "must be a mean over examples"),
        (mlp(), weighted, "isn't a mean over examples"),
        (mlp(), nn.CrossEntropyLoss(reduction="none"), r"gave the shape \(1,\): it must give a scalar"),
        (mlp(), lambda o, y: cross_entropy(o, y) / 0, "isn't finite"),
    ],
)  # fmt: skip
def test_what_has_no_gradient_of_each_example_is_refused(model, loss_fn, message):
    with pytest.raises(ValueError, match=message):
        per_example_gradients(model, loss_fn, X, Y)


def test_a_sum_is_found_out_even_with_one_example():
    with pytest.raises(ValueError, match=r"is 0\.969\d+ on 1 examples and 1\.939\d+ on the same ones twice"):
        per_example_gradients(mlp(), summed, X[:1], Y[:1])


@pytest.mark.parametrize("scale", [1.0, 4.0, 16.0])
def test_rounding_of_a_small_loss_is_no_reason_to_refuse(scale):
    """Classes that float32 tells apart by a margin of up to 16, where 1 + exp(−16) is rounded in its last digit."""
    model = nn.Linear(3, 3, bias=False)
    nn.init.eye_(model.weight)
    y = torch.arange(600) % 3
    x = scale * (torch.eye(3)[y] + 0.05 * normal(600, 3).float())
    found = per_example_gradients(model, nn.CrossEntropyLoss(), x, y)
    truth = looped(model.double(), cross_entropy, x.double(), y)
    torch.testing.assert_close(found.double(), truth, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("loss_fn", [nn.MSELoss(), nn.L1Loss(), mse])
def test_regression_with_several_targets(loss_fn):
    y = normal(12, 3, seed=5)
    found = per_example_gradients(mlp(), loss_fn, X, y)
    torch.testing.assert_close(found, looped(mlp(), loss_fn, X, y))


def test_more_gradients_than_memory_are_refused_before_they_are_computed():
    x = torch.zeros(1, 4, dtype=torch.float64).expand(10**12, 4)
    with pytest.raises(
        ValueError, match=r"1,000,000,000,000 gradients of 43 parameters need 344,000 GB.*num_examples"
    ):
        per_example_gradients(mlp(), cross_entropy, x, torch.zeros(1, dtype=torch.long).expand(10**12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: per_example_gradients(mlp(), cross_entropy, X, Y[:5]), "x holds 12 examples and y 5"),
        (lambda: per_example_gradients(mlp(), cross_entropy, X[:0], Y[:0]), "x holds 0 examples"),
        (lambda: per_example_gradients(mlp(), cross_entropy, X, Y, chunk_size=0), "chunk_size is 0"),
        (lambda: gradient_noise(mlp(), Split(X[:1], Y[:1])), "at least 2 examples; got 1"),
        (lambda: noise_spectrum(X[:1]), r"n at least 2; got the shape \(1, 4\)"),
        (lambda: signal_to_noise(X / 0), "NaN or infinity"),
        (lambda: unbiased_noise_scale(X, X, 4, 4), "below large_size; got 4 and 4"),
        (lambda: unbiased_noise_scale(X[:0], X, 1, 4), "at least one gradient each"),
    ],
)
def test_what_says_nothing_about_noise_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
