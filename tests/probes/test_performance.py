"""Loss, error and R² against counts by hand and scikit-learn."""

import pytest
import torch
from sklearn.metrics import r2_score
from torch import Tensor, nn

from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.probes.features import predict_each
from atml_exp.probes.performance import misclassified, performance


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs.reshape(y.shape) - y).square().sum() / (2 * len(y))


def test_misclassified():
    outputs = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
    assert misclassified(outputs, torch.tensor([1, 0, 0, 2])) == 0.5
    assert misclassified(torch.tensor([0.1, -0.1, 3.0]), torch.tensor([1, 0, 0])) == pytest.approx(1 / 3)
    assert misclassified(torch.tensor([[0.1], [-0.1]]), torch.tensor([0, 1])) == 1


def test_classification():
    x, y = torch.eye(3), torch.tensor([0, 1, 0])
    found = performance(nn.Identity(), Split(x, y))
    assert set(found) == {"loss", "error"}
    assert found["error"] == pytest.approx(1 / 3)
    normaliser = torch.tensor([1.0, 0.0, 0.0]).logsumexp(0).item()
    assert found["loss"] == pytest.approx(normaliser - 2 / 3)


def test_binary_with_one_output():
    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return nn.functional.softplus(-(2 * y - 1) * outputs[:, 0]).mean()

    data = Split(torch.tensor([[1.0], [-1.0], [2.0], [-3.0]]), torch.tensor([1, 0, 0, 0]))
    assert performance(nn.Identity(), data, loss=loss)["error"] == 0.25


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_regression(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, shape[1] if len(shape) > 1 else 1, generator=generator)
    y = x.reshape(shape) + 0.5 * torch.randn(shape, generator=generator)
    found = performance(nn.Identity(), Split(x, y), loss=half_mse)
    assert set(found) == {"loss", "r_squared"}
    truth = r2_score(y.numpy(), x.reshape(shape).numpy(), multioutput="variance_weighted")
    assert found["r_squared"] == pytest.approx(truth, rel=1e-5)


def test_constant_targets_have_no_r_squared():
    assert set(performance(nn.Identity(), Split(torch.ones(4), torch.ones(4)), loss=half_mse)) == {"loss"}


def test_eval_mode_and_the_same_loss_beyond_one_batch():
    x, y = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)), torch.arange(5000) % 3
    model = nn.Sequential(nn.Dropout(), nn.Identity())
    found = performance(model, Split(x, y))
    assert model.training
    assert found["loss"] == pytest.approx(nn.functional.cross_entropy(x, y).item())
    assert found == performance(model, Split(x, y))


def test_an_empty_split_is_refused():
    with pytest.raises(ValueError, match="x holds no example"):
        performance(nn.Identity(), Split(torch.ones(0, 3), torch.ones(0).long()))


def test_replicas_measured_together_are_those_measured_one_by_one():
    torch.manual_seed(0)
    models = [
        nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double() for _ in range(3)
    ]
    state = {n: torch.stack([m.state_dict()[n] for m in models]) for n in models[0].state_dict()}
    x = torch.randn(50, 4, dtype=torch.float64)
    shared = [Split(x, torch.randint(0, 3, (50,))) for _ in models]
    own = [Split(torch.randn(50, 4, dtype=torch.float64), s.y) for s in shared]
    for splits in (shared, own):
        together = performance.over_replicas(models[0], state, splits, loss=cross_entropy)
        for model, split, found in zip(models, splits, together, strict=True):
            assert found == pytest.approx(performance(model, split), rel=1e-12)


def test_many_examples_are_taken_in_batches():
    model = nn.Linear(2, 3)
    state = {n: torch.stack([p.detach()] * 2) for n, p in model.named_parameters()}
    x = torch.randn(101, 2)
    found = predict_each(model, state, [x, x], batch_size=20)
    torch.testing.assert_close(found, torch.stack([model(x).detach()] * 2))


def test_an_output_of_exactly_0_is_class_0():
    assert misclassified(torch.tensor([[0.0], [0.0]]), torch.tensor([0, 1])) == 0.5
