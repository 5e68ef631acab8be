"""Each layer against the whole-set measures of neural collapse, and against a nearest-centre classifier."""

import pytest
import torch
from sklearn.neighbors import NearestCentroid
from torch import nn

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes import layer_collapse as module
from atml_exp.probes.features import layer_inputs
from atml_exp.probes.layer_collapse import layer_collapse
from atml_exp.probes.neural_collapse import neural_collapse


def data(shape=(5,), seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(90, *shape, generator=generator, dtype=torch.float64)
    y = torch.arange(90) % 3
    x = x + y.view(-1, *[1] * len(shape))
    return Dataset("some", Split(x[:60], y[:60]), Split(x[60:], y[60:]), 3)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return mlp((5,), 3, depth=3, width=7, activation="tanh").double()


def test_each_layer_has_the_measures_of_its_inputs(model):
    some = data()
    found = layer_collapse(model, some)
    (layers,) = layer_inputs(model, some.train.x)
    (tested,) = layer_inputs(model, some.test.x)
    assert torch.equal(layers["hidden.0.linear"], some.train.x)
    for i, (name, h) in enumerate(layers.items()):
        whole = neural_collapse(h, some.train.y, torch.eye(3, h.shape[1]), None)
        assert found["nc1"][i].item() == pytest.approx(whole["nc1"], rel=1e-9)
        assert found["cdnv"][i].item() == pytest.approx(whole["cdnv"], rel=1e-9)
        of_test = neural_collapse(tested[name], some.test.y, torch.eye(3, h.shape[1]), None)
        assert found["test_cdnv"][i].item() == pytest.approx(of_test["cdnv"], rel=1e-9)
        centroids = NearestCentroid().fit(h.numpy(), some.train.y.numpy())
        assert found["error"][i].item() == pytest.approx(1 - centroids.score(h.numpy(), some.train.y.numpy()))
        error = 1 - centroids.score(tested[name].numpy(), some.test.y.numpy())
        assert found["test_error"][i].item() == pytest.approx(error)
    assert len(found["nc1"]) == 4


def test_batches_make_no_difference(model, monkeypatch):
    whole = layer_collapse(model, data())
    monkeypatch.setattr(module, "layer_inputs", lambda m, x: layer_inputs(m, x, batch_size=7))
    parts = layer_collapse(model, data())
    assert all(torch.allclose(whole[k], parts[k], rtol=1e-10) for k in whole)


def test_a_rotation_of_the_input_changes_nothing_there(model):
    some = data()
    q = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    turned = Dataset("", Split(some.train.x @ q, some.train.y), Split(some.test.x @ q, some.test.y), 3)
    for key, value in layer_collapse(model, some).items():
        assert layer_collapse(model, turned)[key][0] == pytest.approx(value[0].item(), rel=1e-9)


def test_convolutional_layers_are_flattened_and_the_contract_holds():
    torch.manual_seed(0)
    found = check_probe(layer_collapse, cnn((1, 8, 8), 3, width=4).double(), data((1, 8, 8)))
    assert {len(values) for values in found.values()} == {3}


def test_a_dead_layer_is_undefined_and_not_collapsed():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    nn.init.constant_(model[0].bias, -100)
    assert torch.isnan(layer_collapse(model, data())["nc1"][1])


def test_refusals(model):
    some = data()
    few = Dataset("", Split(some.train.x, some.train.y.clamp(max=1)), some.test, 3)
    with pytest.raises(ValueError, match="no example of the training set is of class 2: each of the 3 needs one"):
        layer_collapse(model, few)
    with pytest.raises(ValueError, match="no linear or convolutional layer"):
        layer_collapse(nn.Flatten(), some)
