"""Scores against removals one by one, dense Hessians and conservation laws."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call

from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.masks import emptied, keep_largest, prunable
from atml_exp.models.mlp import mlp
from atml_exp.probes.pruning import grasp_scores, obd_scores, snip_scores, synflow_scores


def case(activation="relu", seed=0):
    torch.manual_seed(seed)
    model = mlp((4,), 3, depth=2, width=5, activation=activation).double()
    return model, torch.randn(20, 4, dtype=torch.float64), torch.randint(3, (20,))


def loss_at(model, x, y, loss_fn, name, index, value):
    """L with one weight set to a value."""
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    state[name].view(-1)[index] = value
    return loss_fn(functional_call(model, state, (x,)), y)


def dense(model, x, y, loss_fn):
    """Parameters (P,), gradient and Hessian from autograd on one flat vector."""
    names, shapes = zip(*((n, p.shape) for n, p in model.named_parameters()), strict=True)
    w = torch.cat([p.detach().flatten() for p in model.parameters()])

    def loss(flat):
        pieces = flat.split([s.numel() for s in shapes])
        return loss_fn(
            functional_call(model, {n: p.view(s) for n, p, s in zip(names, pieces, shapes, strict=True)}, x), y
        )

    return w, torch.autograd.functional.jacobian(loss, w), torch.autograd.functional.hessian(loss, w)


def flat(scores):
    return torch.cat([s.flatten() for s in scores.values()])


def test_snip_is_the_slope_of_the_loss_as_a_weight_fades():
    model, x, y = case()
    scores = snip_scores(model, cross_entropy, x, y)
    at = partial(loss_at, model, x, y, cross_entropy)
    for name, score in scores.items():
        weight = dict(model.named_parameters())[name].detach().view(-1)
        for i in range(0, len(weight), 7):
            fade = 1e-6 * weight[i]
            slope = (at(name, i, weight[i] + fade) - at(name, i, weight[i] - fade)) / 2e-6
            assert score.view(-1)[i].item() == pytest.approx(abs(slope.item()), abs=1e-8)


def test_snip_and_grasp_against_the_dense_gradient_and_hessian():
    model, x, y = case("tanh")
    w, g, h = dense(model, x, y, cross_entropy)
    torch.testing.assert_close(flat(snip_scores(model, cross_entropy, x, y)), (g * w).abs())
    torch.testing.assert_close(flat(grasp_scores(model, cross_entropy, x, y)), w * (h @ g))


def test_grasp_of_a_quadratic_is_half_of_what_the_squared_gradient_loses_to_first_order():
    torch.manual_seed(1)
    model = nn.Linear(3, 1, bias=False).double()
    x, y = torch.randn(50, 3, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    scores = grasp_scores(model, mse, x, y)["weight"].flatten()
    h = x.T @ x / 50
    g = h @ model.weight.detach().flatten() - x.T @ y.flatten() / 50
    for i, w in enumerate(model.weight.detach().flatten()):
        change = -w * h[:, i] * 1e-6  # of the gradient where the weight loses a millionth of itself
        lost = g.square().sum() - (g + change).square().sum()
        assert lost.item() == pytest.approx(2e-6 * scores[i].item(), rel=1e-4)


@pytest.mark.parametrize("loss_fn", [cross_entropy, mse])
def test_obd_in_a_relu_net_is_the_hessians_own_diagonal(loss_fn):
    model, x, y = case()
    target = y if loss_fn is cross_entropy else torch.randn(20, 3, dtype=torch.float64)
    w, _, h = dense(model, x, target, loss_fn)
    torch.testing.assert_close(flat(obd_scores(model, loss_fn, x, target)), 0.5 * h.diagonal() * w.square())


def test_obd_of_a_quadratic_at_its_minimum_is_what_the_loss_gains():
    torch.manual_seed(2)
    model = nn.Linear(3, 1, bias=False).double()
    x = torch.randn(40, 3, dtype=torch.float64)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
    for i, score in enumerate(obd_scores(model, mse, x, y)["weight"].flatten()):
        assert loss_at(model, x, y, mse, "weight", i, 0.0).item() == pytest.approx(score.item(), rel=1e-9)


def test_obd_of_many_examples_is_made_in_chunks(monkeypatch):
    model, x, y = case()
    whole = flat(obd_scores(model, cross_entropy, x, y))
    monkeypatch.setattr("atml_exp.pruning_scores.ROOM", 1)
    torch.testing.assert_close(flat(obd_scores(model, cross_entropy, x, y)), whole)


def test_synaptic_flow_is_conserved_from_layer_to_layer():
    torch.manual_seed(3)
    model = mlp((7,), 4, depth=5, width=6, bias=False)
    scores = synflow_scores(model, (7,))
    sums = torch.stack([s.sum() for s in scores.values()])
    ones = torch.ones(7, dtype=torch.float64)
    for weight in model.parameters():
        ones = weight.detach().abs().double() @ ones
    torch.testing.assert_close(sums, ones.sum().expand(6))
    hidden = [scores[f"hidden.{i}.linear.weight"] for i in range(2)]
    torch.testing.assert_close(hidden[0].sum(1), hidden[1].sum(0))  # unit by unit: what comes in goes out


def test_biases_take_no_part_in_synaptic_flow():
    torch.manual_seed(3)
    with_bias, without = mlp((7,), 4, depth=3, width=6), mlp((7,), 4, depth=3, width=6, bias=False)
    without.load_state_dict({n: p for n, p in with_bias.state_dict().items() if n.endswith("weight")})
    scores, flow = synflow_scores(with_bias, (7,)), synflow_scores(without, (7,))
    for name, score in scores.items():
        assert torch.equal(score, flow[name]) if name in flow else not score.any()


def test_synaptic_flow_asks_for_no_data_and_no_signs():
    torch.manual_seed(4)
    model = mlp((3,), 2, depth=1, width=4)
    scores = synflow_scores(model, (3,))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(-1)
    other = synflow_scores(model, (3,))
    assert set(scores) == {n for n, _ in model.named_parameters()}
    assert all(torch.equal(scores[n], other[n]) for n in scores)
    assert scores["output.weight"].dtype == torch.float64


def test_many_rounds_of_synaptic_flow_empty_no_layer_where_one_round_does():
    torch.manual_seed(5)
    model = mlp((20,), 3, depth=6, width=20, bias=False, initialisation="he").double()
    weights = dict(model.named_parameters())

    def masked(mask):
        copied = mlp((20,), 3, depth=6, width=20, bias=False).double()
        copied.load_state_dict({n: w.detach() * mask[n] for n, w in weights.items()})
        return copied

    density, mask = 0.006, {n: torch.ones_like(w, dtype=torch.bool) for n, w in weights.items()}
    once = keep_largest(prunable(synflow_scores(model, (20,))), density, "global")
    for k in range(1, 101):
        scores = synflow_scores(masked(mask), (20,))
        mask = keep_largest(
            {n: s.masked_fill(~mask[n], -torch.inf) for n, s in scores.items()}, density ** (k / 100), "global"
        )
    assert emptied(once)
    assert not emptied(mask)


@pytest.mark.parametrize("score", [snip_scores, grasp_scores, obd_scores], ids=lambda f: f.__name__)
def test_models_stay_as_they_are_and_what_cannot_be_scored_is_refused(score):
    model, x, y = case()
    model.train().hidden[0].linear.bias.requires_grad_(False)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    assert set(score(model, cross_entropy, x, y)) == {n for n, p in model.named_parameters() if p.requires_grad}
    assert model.training
    assert all(
        torch.equal(before[n], t) and model.get_parameter(n).grad is None for n, t in model.state_dict().items()
    )
    with pytest.raises(ValueError, match="no example"):
        score(model, cross_entropy, x[:0], y[:0])
    with pytest.raises(ValueError, match="no parameters that require gradients"):
        synflow_scores(mlp((4,), 3).requires_grad_(False), (4,))
    with pytest.raises(ValueError, match="no parameters that require gradients"):
        score(model.requires_grad_(False), cross_entropy, x, y)
    with pytest.raises(ValueError, match="is finite: something overflows"):
        score(case()[0], cross_entropy, x * 1e308, y)
