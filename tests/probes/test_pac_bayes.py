"""The noise that a net bears against closed forms, its own definition, and functions that don't change."""

import math

import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probes.pac_bayes import noise_tolerance, pac_bayes
from atml_exp.probes.performance import misclassified


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(60, 4), torch.arange(60) % 3


def trained() -> nn.Sequential:
    """Fits labels that a random linear map gives."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(150):
        optimiser.zero_grad()
        cross_entropy(model(X), LABELS).backward()
        optimiser.step()
    return model


LABELS = (X @ normal(4, 3, seed=1)).argmax(1)
DATA = Split(X, LABELS)


def at_the_minimum() -> nn.Linear:
    """Linear regression without error: the loss is ½(w − w*)ᵀ H (w − w*), H = XᵀX/n."""
    model = nn.Linear(4, 1, bias=False).double()
    model.weight.data = normal(1, 4, seed=2)
    return model


def test_of_a_quadratic_it_is_the_root_of_twice_the_rise_over_the_trace():
    model = at_the_minimum()
    found = noise_tolerance(model, half_mse, X, model(X).detach(), rise=0.3, num_samples=4000, tolerance=1e-6)
    trace = (X.square().sum() / 60).item()
    assert found.sigma == pytest.approx(math.sqrt(0.6 / trace), rel=4 * found.standard_error / 0.3 / 2)
    assert found.rise == pytest.approx(0.3, rel=1e-4)
    variance = torch.linalg.matrix_norm(X.T @ X / 60).item() ** 2 / 2 * found.sigma**4  # of ½σ²zᵀHz
    assert found.standard_error == pytest.approx(math.sqrt(variance / 4000), rel=0.1)


def test_on_a_quadratic_four_times_the_rise_takes_twice_the_noise():
    """Exactly, as the same Gaussian vectors are used."""
    model = at_the_minimum()
    one, four = (
        noise_tolerance(model, half_mse, X, model(X).detach(), rise=r, num_samples=3, tolerance=1e-9).sigma
        for r in (0.1, 0.4)
    )
    assert four == pytest.approx(2 * one, rel=1e-8)


def test_of_a_threshold_it_is_the_quantile_of_a_gaussian():
    """w + u > 0 is needed: the error is Φ(−w/σ). Within four standard errors of the quantile of 4,000 draws."""
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data.fill_(2.0)
    found = noise_tolerance(
        model, misclassified, torch.ones(1, 1).double(), torch.ones(1).long(), rise=0.1, num_samples=4000
    )
    assert found.sigma == pytest.approx(2 / norm.ppf(0.9), rel=0.085)


@pytest.mark.parametrize("criterion", [cross_entropy, misclassified])
def test_it_is_the_largest_noise_with_such_a_rise(criterion):
    """Against a loop over noisy models: the rise is within bounds at σ and beyond them at 2 % more."""
    model, z = trained(), normal(16, 67, seed=0)
    model.requires_grad_(False)
    start, rest = parameters_to_vector(model.parameters()), float(criterion(model(X), LABELS))

    def rise(sigma: float) -> float:
        values = []
        for vector in z:
            vector_to_parameters(start + sigma * vector, model.parameters())
            values.append(float(criterion(model(X), LABELS)))
        vector_to_parameters(start, model.parameters())
        return sum(values) / len(values) - rest

    found = noise_tolerance(model.requires_grad_(), criterion, X, LABELS, rise=0.1)
    model.requires_grad_(False)
    assert rise(found.sigma) == pytest.approx(found.rise, abs=1e-9)
    assert found.rise <= 0.1 < rise(1.02 * found.sigma)


def test_relative_noise_does_not_see_a_rescaling_of_relu_units():
    model = trained()
    before = [
        noise_tolerance(model, cross_entropy, X, LABELS, relative=r, tolerance=1e-6).sigma for r in (True, False)
    ]
    with torch.no_grad():
        model[0].weight.mul_(10)
        model[0].bias.mul_(10)
        model[2].weight.div_(10)
    after = [
        noise_tolerance(model, cross_entropy, X, LABELS, relative=r, tolerance=1e-6).sigma for r in (True, False)
    ]
    assert after[0] == pytest.approx(before[0], rel=1e-5)
    assert after[1] < 0.5 * before[1]


def test_sharper_bears_less():
    """The loss 100 times as curved: a tenth of the noise."""
    model = at_the_minimum()
    y = model(X).detach()
    flat = noise_tolerance(model, half_mse, X, y, tolerance=1e-8).sigma
    sharp = noise_tolerance(model, lambda o, t: 100 * half_mse(o, t), X, y, tolerance=1e-8).sigma
    assert sharp == pytest.approx(flat / 10, rel=1e-6)


def test_probe_gives_the_divergences():
    model = trained()
    w = parameters_to_vector(model.parameters()).detach()
    start = normal(67, seed=3)
    found = check_probe(lambda m, d: pac_bayes(m, d, start[None]), model, DATA)
    assert found["kl"] == pytest.approx((w @ w).item() / (2 * found["sigma"] ** 2))
    gaussian = torch.distributions.Normal(w, found["sigma"]), torch.distributions.Normal(start, found["sigma"])
    truth = torch.distributions.kl_divergence(*gaussian).sum().item()
    assert found["kl_initialisation"] == pytest.approx(truth, rel=1e-9)
    assert found["inverse"] == pytest.approx(1 / found["sigma"] ** 2)
    assert set(pac_bayes(model, DATA)) == {"sigma", "standard_error", "inverse", "kl"}
    assert set(pac_bayes(model, DATA, relative=True)) == {"sigma", "standard_error", "inverse"}


def test_probe_in_float32_and_eval_mode_gives_the_figure_of_float64():
    model = trained()
    double = pac_bayes(model, DATA, criterion="loss")["sigma"]
    single = pac_bayes(model.float(), Split(X.float(), LABELS), criterion="loss")["sigma"]
    assert single == pytest.approx(double, rel=1e-4)
    torch.manual_seed(0)
    noisy = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)).double()
    assert check_probe(lambda m, d: pac_bayes(m, d, criterion="loss"), noisy, DATA)["sigma"] > 0


def test_a_subset_is_seeded_and_measured_alone():
    order = torch.randperm(60, generator=torch.Generator().manual_seed(5))[:20]
    options = {"criterion": "loss", "seed": 5}
    few = pac_bayes(trained(), DATA, num_examples=20, **options)
    assert few == pac_bayes(trained(), DATA[order], **options)
    assert few != pac_bayes(trained(), DATA, **options)


def test_more_draws_reduce_the_standard_error():
    few, many = (noise_tolerance(trained(), cross_entropy, X, LABELS, num_samples=k) for k in (8, 512))
    assert many.standard_error < 0.4 * few.standard_error
    assert noise_tolerance(trained(), cross_entropy, X, LABELS, num_samples=1).standard_error == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rise": 0.9}, "doesn't rise by 0.9 with σ up to .* choose a smaller rise"),
        ({"rise": 0.0}, "rise, tolerance and num_samples must be positive; got 0.0, 0.01 and 16"),
    ],
)
def test_what_never_rises_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        noise_tolerance(trained(), misclassified, X, LABELS, **options)


def test_what_has_no_error_is_refused():
    model = at_the_minimum()
    with pytest.raises(ValueError, match=r"criterion is 'error' and labels are torch.float64, not classes"):
        pac_bayes(model, Split(X, X[:, 0]))
    with pytest.raises(ValueError, match="the criterion is nan without noise: it must be finite"):
        noise_tolerance(model, half_mse, X * math.nan, model(X).detach())
    with pytest.raises(ValueError, match="isn't continuous there"):
        noise_tolerance(model, lambda o, y: float((o != y).any()), X, model(X).detach())
    with pytest.raises(ValueError, match="has no parameters that require gradients"):
        pac_bayes(nn.Identity(), DATA)
