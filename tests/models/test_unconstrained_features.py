import pytest
import torch

from atml_exp.datasets.unconstrained_features import unconstrained_features as examples
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.unconstrained_features import unconstrained_features
from atml_exp.probes.neural_collapse import collapse_of
from atml_exp.unconstrained import classifier_cosines, collapsed_scale

C, PER_CLASS, DECAY = 4, 6, 0.01
LOSSES = {"cross_entropy": cross_entropy, "mse": mse}


def train(data, loss, *, decay=DECAY, steps=3000, **options):
    """Gradient descent with momentum on all examples, by torch's own optimiser."""
    model = unconstrained_features(data.input_shape, data.num_classes, width=7, **options)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=decay)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model(data.train.x), data.train.y).backward()
        optimiser.step()
    return model


@pytest.fixture(params=LOSSES)
def trained(request, float64):
    data = examples(num_classes=C, per_class=PER_CLASS)
    return request.param, train(data, LOSSES[request.param]), data


def test_training_with_weight_decay_collapses(trained):
    """To rounding, not just nearly: weight decay alone shrinks what differs within a class, at a steady rate."""
    _, model, data = trained
    found = collapse_of(model, data.train)
    assert found["nc1"] < 1e-12
    assert max(found[key] for key in ("nc2_etf_means", "nc2_etf_weights", "nc3")) < 1e-6
    assert found["nc4"] == 0


def test_it_ends_at_the_global_minimum(trained):
    """The logits, and both norms, of the closed form."""
    loss, model, data = trained
    s = collapsed_scale(C, PER_CLASS, DECAY, loss)
    centred = model(data.train.x).detach() - model.output.bias.detach()
    simplex = torch.eye(C)[data.train.y] - 1 / C
    torch.testing.assert_close(centred, s * simplex, rtol=0, atol=1e-6)
    squared = (C - 1) * s * PER_CLASS**0.5
    for weight in (model.output.weight, model.features.weight):
        assert weight.square().sum().item() == pytest.approx(squared, rel=1e-6)


def test_squared_loss_without_a_bias_ends_in_an_orthogonal_frame(float64):
    data = examples(num_classes=3, per_class=4)
    w = train(data, mse, bias=False).output.weight.detach()
    gram = w @ w.T
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(3), rtol=0, atol=1e-6)


def test_unequal_classes_end_at_the_solution_of_the_convex_programme(float64):
    data = examples(num_classes=4, per_class=16)
    kept = torch.cat([(data.train.y == c).nonzero()[:n, 0] for c, n in enumerate([16, 16, 4, 4])])
    unequal = type(data)(data.name, data.train[kept], data.train[kept], 4)
    w = train(unequal, cross_entropy, bias=False).output.weight.detach()
    unit = w / w.norm(dim=1, keepdim=True)
    expected = torch.as_tensor(classifier_cosines([16, 16, 4, 4], DECAY))
    torch.testing.assert_close(unit @ unit.T, expected, rtol=0, atol=1e-5)
    assert expected[2, 3] > expected[0, 1] + 0.1  # the rare classes are closer to one another


def test_parameter_names():
    names = [n for n, _ in unconstrained_features((5,), 2).named_parameters()]
    assert names == ["features.weight", "output.weight", "output.bias"]
    assert [n for n, _ in unconstrained_features((5,), 2, bias=False).named_parameters()] == names[:2]
