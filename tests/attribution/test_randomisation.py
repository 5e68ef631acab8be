"""The sanity check: what looks at the model changes, what doesn't fails, and the model itself stays as it is."""

import copy

import pytest
import torch
from torch import nn

from atml_exp.attribution.edge_detector import edge_detector
from atml_exp.attribution.randomisation import (
    layers_from_output,
    passes,
    random_labels_check,
    randomisation_check,
    randomised,
    within,
)
from atml_exp.attribution.saliency import saliency
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.optimisers.momentum import Momentum
from atml_exp.siblings import trained

G = torch.Generator().manual_seed(0)
IMAGES = torch.randn(8, 1, 8, 8, generator=G)


def net():
    torch.manual_seed(1)
    return mlp((1, 8, 8), 3, depth=2, width=64)


def signed(model, x):
    return saliency(model, x, 1, signed=True)


def edges(model, x):
    return edge_detector(x)


def test_layers_are_named_from_the_output_down():
    assert list(randomisation_check(edges, net(), IMAGES)) == ["output", "hidden.1.linear", "hidden.0.linear"]
    found = layers_from_output(cnn((1, 8, 8), 3, depth=2, normalisation="layer"), IMAGES)
    assert found == ["output", "blocks.1.norm", "blocks.1.conv", "blocks.0.norm", "blocks.0.conv"]


def test_the_order_is_that_of_calls_not_of_definitions():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first, self.unused = nn.Linear(3, 1), nn.Linear(4, 3), nn.Linear(4, 4)

        def forward(self, x):
            return self.last(self.first(x))

    assert layers_from_output(Backwards(), torch.randn(2, 4)) == ["last", "first"]


def test_an_edge_detector_stays_at_one_and_fails():
    found = randomisation_check(edges, net(), IMAGES)
    assert set(found.values()) == {(1.0, 1.0)}
    assert not passes(found)


def test_the_gradient_falls_and_passes():
    found = randomisation_check(signed, net(), IMAGES)
    signed_end, absolute_end = found["hidden.0.linear"]
    assert abs(signed_end) < 0.3
    assert abs(absolute_end) < 0.3
    assert passes(found)


def test_nothing_randomised_gives_one():
    model = net()
    assert torch.equal(signed(randomised(model, [], 0), IMAGES), signed(model, IMAGES))

    def of_first_layer(model, x):
        return model.hidden[0].linear.weight[0].expand(8, -1).view_as(x)

    found = randomisation_check(of_first_layer, model, IMAGES)
    assert found["output"] == found["hidden.1.linear"] == (1, 1)  # the layers above don't matter to it
    assert found["hidden.0.linear"].signed < 0.5
    alone = randomisation_check(of_first_layer, model, IMAGES, cascading=False)
    assert alone == found


def test_alone_or_together_differ_below_the_output_only():
    together, alone = (randomisation_check(signed, net(), IMAGES, cascading=c) for c in (True, False))
    assert together["output"] == alone["output"]
    assert together["hidden.0.linear"] != alone["hidden.0.linear"]


def test_layers_are_drawn_as_torch_initialises_them_and_by_the_seed():
    model = net()
    one, same, other = (randomised(model, ["output"], seed) for seed in (0, 0, 1))
    assert torch.equal(one.output.weight, same.output.weight)
    assert not torch.equal(one.output.weight, other.output.weight)
    assert one.output.weight.abs().max() <= 64**-0.5
    assert torch.equal(one.hidden[0].linear.weight, model.hidden[0].linear.weight)


def test_model_modes_and_random_state_stay_as_they_are():
    model = net().train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    randomisation_check(signed, model, IMAGES)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(m.training for m in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks for m in model.modules())


def test_sobel_by_hand_and_without_images():
    step = torch.cat([torch.zeros(1, 1, 5, 2), torch.ones(1, 1, 5, 3)], 3)
    assert edge_detector(step)[0, 0, 2].tolist() == [0, 4, 4, 0, 0]
    assert torch.equal(edge_detector(step.transpose(2, 3)), edge_detector(step).transpose(2, 3))
    assert edge_detector(torch.tensor([[1.0, 2.0, 6.0]])).tolist() == [[2, 1, 3]]


def test_nets_of_true_and_of_random_labels():
    y = (IMAGES.flatten(1)[:, :32].sum(1) > 0).long()
    start = mlp((1, 8, 8), 2, width=32)

    def trained_on(labels):
        options = {"optimiser": Momentum(learning_rate=0.1), "steps": 60, "batch_size": None}
        return trained(start, Split(IMAGES, labels), loss=cross_entropy, seed=0, **options)

    true, turned, again = (trained_on(labels) for labels in (y, 1 - y, y))
    assert random_labels_check(signed, true, again, IMAGES) == (1, 1)
    assert random_labels_check(signed, true, turned, IMAGES).signed < -0.2  # evidence for is evidence against
    assert random_labels_check(edges, true, turned, IMAGES) == (1, 1)


def test_the_mean_over_pairs():
    a, b = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 2.0, 1.0]])
    assert within([a, b]) == (-1, -1)
    assert within([a, a]) == (1, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: randomisation_check(edges, nn.Flatten(), IMAGES), "Flatten has no layer"),
        (lambda: randomisation_check(lambda model, x: x.flatten(1), net(), IMAGES), "explain gave the shape"),
        (lambda: randomised(net(), ["hidden"], 0), "'hidden' can't be drawn anew; allowed: hidden.0.linear"),
        (lambda: within([IMAGES]), "1 explanation: agreement needs at least 2"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
