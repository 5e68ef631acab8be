"""Features and outputs are read in eval mode, and nothing stays behind in the model."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.probes.features import evaluation_mode, penultimate_features, predict, predict_each

X = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))


def model_with_everything() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 2))
    model[1].eval()
    return model


def state(model: nn.Module) -> list[object]:
    tensors = [tensor.clone() for tensor in model.state_dict().values()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    return [tensors, [module.training for module in model.modules()], hooks]


def test_features_are_the_input_of_the_last_linear_layer():
    model = model_with_everything()
    features, last = penultimate_features(model, X, batch_size=4)
    assert last is model[4]
    torch.testing.assert_close(features, model[:4].eval()(X))
    torch.testing.assert_close(last(features), predict(model, X))
    assert not features.requires_grad


def test_the_last_layer_is_the_one_called_last_not_the_one_defined_last():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.body = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x))

    model = Backwards()
    features, last = penultimate_features(model, X)
    assert last is model.head
    torch.testing.assert_close(features, model.body(X).detach())


@pytest.mark.parametrize("measure", [penultimate_features, predict])
def test_nothing_stays_behind(measure):
    model = model_with_everything()
    before, random = state(model), torch.get_rng_state()
    measure(model, X, batch_size=3)
    assert repr(state(model)) == repr(before)
    assert torch.equal(random, torch.get_rng_state())
    assert torch.is_grad_enabled()


def test_nothing_stays_behind_after_an_error():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.ReLU())
    before = state(model)
    with pytest.raises(ValueError, match=r"Sequential doesn't end in an nn\.Linear"):
        penultimate_features(model, X)
    assert repr(state(model)) == repr(before)
    assert torch.is_grad_enabled()


def test_buffers_that_a_module_changes_even_in_eval_mode_are_safe():
    class Counts(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    model = Counts()
    predict(model, X)
    assert model.calls == 0


def test_predict_with_other_parameters():
    model = nn.Linear(3, 2)
    torch.testing.assert_close(
        predict(model, X, parameters={"weight": torch.zeros(2, 3)}), model.bias.expand(10, 2)
    )
    assert model.weight.abs().max() > 0


def test_evaluation_mode_restores_each_module_also_after_an_error():
    model = model_with_everything()
    modes = [module.training for module in model.modules()]
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        _ = 1 / 0
    assert [module.training for module in model.modules()] == modes


def test_refusals():
    with pytest.raises(ValueError, match="x holds no example"):
        predict(nn.Linear(3, 2), X[:0])
    with pytest.raises(ValueError, match=r"input of shape \(10, 1, 3\): it must be \(N, D\)"):
        penultimate_features(nn.Linear(3, 2), X[:, None])
    with pytest.raises(ValueError, match="Identity doesn't end in"):
        penultimate_features(nn.Identity(), X)


@pytest.mark.parametrize("shared", [True, False])
def test_outputs_of_each_replica_come_batch_by_batch(shared):
    model = nn.Linear(3, 2)
    generator = torch.Generator().manual_seed(0)
    state = {"weight": torch.randn(4, 2, 3, generator=generator), "bias": torch.randn(4, 2, generator=generator)}
    one = torch.randn(7, 3, generator=generator)
    x = [one] * 4 if shared else list(torch.randn(4, 7, 3, generator=generator))
    outputs = predict_each(model, state, x, batch_size=8)  # two examples of each at a time
    assert outputs.shape == (4, 7, 2)
    for r in range(4):
        torch.testing.assert_close(outputs[r], x[r] @ state["weight"][r].T + state["bias"][r])
