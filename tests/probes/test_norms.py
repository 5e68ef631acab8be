"""Norms against closed forms, sums over all paths, and functions that don't change."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from atml_exp.checks import check_probe
from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.models.cnn import cnn
from atml_exp.models.mlp import mlp
from atml_exp.probes.norms import distance, layer_matrices, norms, path_norm, spectral_norms
from atml_exp.probes.trajectory import trajectory
from atml_exp.runner import run
from atml_exp.runs import Run

X = Split(torch.zeros(5, 4), torch.zeros(5).long())


def net(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
    return nn.Sequential(*layers).double().eval()


def two_layers(bias: bool = True) -> nn.Sequential:
    return net(nn.Linear(4, 6, bias), nn.ReLU(), nn.Linear(6, 3, bias))


def batch_norm(features: int) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(features)
    layer.running_mean = torch.randn(features)
    layer.running_var = torch.rand(features) + 0.5
    return layer


def merged(linear: nn.Linear, norm: nn.BatchNorm1d) -> nn.Linear:
    """The linear layer with the batch norm behind it, as one."""
    assert linear.bias is None  # it would be a path of its own beside the batch norm's shift
    both = nn.Linear(linear.in_features, linear.out_features).double()
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    both.weight = nn.Parameter(scale[:, None] * linear.weight)
    both.bias = nn.Parameter(norm.bias - scale * norm.running_mean)
    return both


def rescaled(model: nn.Sequential) -> nn.Sequential:
    """The same function: the incoming weights of each hidden unit times α, the outgoing ones divided by it."""
    torch.manual_seed(1)
    factors = torch.rand(6, dtype=torch.float64) * 5 + 0.1
    with torch.no_grad():
        model[0].weight.mul_(factors[:, None])
        model[0].bias.mul_(factors)
        model[2].weight.div_(factors)
    return model


def test_closed_forms_of_a_linear_net():
    model = net(nn.Linear(4, 2, bias=False), nn.Identity(), nn.Linear(2, 3, bias=False))
    first, second = (model[i].weight.detach() for i in (0, 2))
    found = check_probe(norms, model, X)
    sigma = [torch.linalg.svdvals(m)[0].item() for m in (first, second)]
    assert found["spectral"].tolist() == pytest.approx(sigma)
    assert found["spectral_product"] == pytest.approx(sigma[0] * sigma[1])
    assert found["spectral_sum"] == pytest.approx(sigma[0] ** 2 + sigma[1] ** 2)
    assert found["frobenius"] == pytest.approx(math.hypot(first.norm(), second.norm()))
    assert found["frobenius"] == pytest.approx(found["weights"])
    assert found["frobenius_product"] == pytest.approx((first.norm() * second.norm()).item())
    assert found["path"] == pytest.approx((second**2 @ first**2).sum().sqrt().item())


def test_spectral_norm_of_two_by_two():
    """Of [[a, b], [0, d]]: σ² + σ'² = a² + b² + d² and σσ' = |ad|."""
    a, b, d = 2.0, 3.0, -1.0
    total, product = a * a + b * b + d * d, abs(a * d)
    truth = (math.sqrt(total + 2 * product) + math.sqrt(total - 2 * product)) / 2
    assert spectral_norms({"m": torch.tensor([[a, b], [0, d]])}).item() == pytest.approx(truth)


def test_spectral_product_bounds_how_much_outputs_differ():
    model = two_layers()
    torch.manual_seed(0)
    a, b = torch.randn(2, 500, 4, dtype=torch.float64)
    steepest = ((model(a) - model(b)).norm(dim=1) / (a - b).norm(dim=1)).max().item()
    product = norms(model, X)["spectral_product"]
    assert 0.1 * product < steepest <= product


def test_path_norm_is_the_sum_over_all_paths():
    """Enumerated: from each input, and from each bias, through every choice of units."""
    model = net(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.LeakyReLU(), nn.Linear(5, 2))
    layers = [model[i] for i in (0, 2, 4)]
    weights, biases = [m.weight.detach() for m in layers], [m.bias.detach() for m in layers]
    total = 0.0
    for start in range(3):
        sizes = [len(w) for w in weights[start:]]
        for path in itertools.product(*map(range, sizes)):
            rest = math.prod(weights[start + i][path[i], path[i - 1]].item() ** 2 for i in range(1, len(path)))
            total += rest * biases[start][path[0]].item() ** 2
            if start == 0:
                total += rest * sum(w.item() ** 2 for w in weights[0][path[0]])
    assert path_norm(model, (3,)) == pytest.approx(math.sqrt(total), rel=1e-12)


def test_rescaling_relu_units_changes_norms_but_not_the_path_norm():
    x = torch.randn(7, 4, dtype=torch.float64)
    before, outputs = norms(two_layers(), X), two_layers()(x)
    model = rescaled(two_layers())
    torch.testing.assert_close(model(x), outputs)
    after = norms(model, X)
    assert after["path"] == pytest.approx(before["path"], rel=1e-12)
    assert after["spectral_product"] > 1.1 * before["spectral_product"]


def test_permuting_units_and_signs_changes_nothing():
    model, before = two_layers(), norms(two_layers(), X)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    with torch.no_grad():
        model[0].weight.copy_(-model[0].weight[order])
        model[0].bias.copy_(model[0].bias[order])
        model[2].weight.copy_(model[2].weight[:, order])
    after = norms(model, X)
    for key in before:
        torch.testing.assert_close(torch.as_tensor(after[key]), torch.as_tensor(before[key]))


def test_scaling_by_c():
    model, before = two_layers(bias=False), norms(two_layers(bias=False), X)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    after = norms(model, X)
    powers = {"frobenius": 1, "weights": 1, "spectral_sum": 2}
    powers |= {"spectral_product": 2, "frobenius_product": 2, "path": 2}
    for key, power in powers.items():
        assert after[key] == pytest.approx(3**power * before[key])


def test_a_batch_norm_counts_as_the_affine_map_that_it_is():
    model = net(nn.Linear(4, 6, bias=False), batch_norm(6), nn.ReLU(), nn.Linear(6, 3))
    whole = nn.Sequential(merged(model[0], model[1]), nn.ReLU(), model[3])
    assert path_norm(model, (4,)) == pytest.approx(path_norm(whole, (4,)), rel=1e-10)
    scale = layer_matrices(model)["1"].diagonal()
    torch.testing.assert_close(scale[:, None] * model[0].weight.detach(), whole[0].weight.detach())
    plain = net(nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False), nn.Linear(6, 3))
    torch.testing.assert_close(layer_matrices(plain)["1"], torch.eye(6).double() / math.sqrt(1 + 1e-5))
    assert path_norm(plain, (4,)) > 0


def test_a_convolution_is_the_linear_map_that_it_is():
    """Path norm of the convolution as of the dense matrix that does the same."""
    conv = net(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    dense = torch.stack([conv[0](e.view(1, 2, 3, 3)).flatten() for e in torch.eye(18).double()], 1)
    offset = conv[0](torch.zeros(1, 2, 3, 3).double()).flatten()
    same = nn.Sequential(nn.Linear(18, 12), nn.ReLU(), conv[3]).double()
    same[0].weight, same[0].bias = nn.Parameter((dense.T - offset).T), nn.Parameter(offset)
    assert path_norm(conv, (2, 3, 3)) == pytest.approx(path_norm(same, (18,)), rel=1e-10)
    assert layer_matrices(conv)["0"].shape == (3, 8)


@pytest.mark.parametrize(
    "model",
    [
        mlp((4,), 3, width=8, skip=True, activation="gelu"),
        mlp((4,), 3, width=8, normalisation="batch"),
        cnn((1, 4, 4), 3, depth=1, normalisation="batch", activation="tanh"),
    ],
)
def test_our_models_have_norms(model):
    shape = (1, 4, 4) if hasattr(model, "blocks") else (4,)
    check_probe(norms, model, Split(torch.zeros(2, *shape), torch.zeros(2).long()))


def test_distance_is_from_the_first_of_the_points():
    model = two_layers()
    start = trajectory(model, X)["weights"]
    points = torch.stack([start, start + 100])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    assert distance(model, points) == pytest.approx(0.5 * math.sqrt(51))
    assert norms(model, X, points)["distance"] == distance(model, points)
    assert "distance" not in norms(model, X)


class Functional(nn.Module):
    def __init__(self, activation) -> None:
        super().__init__()
        self.first, self.second, self.activation = nn.Linear(4, 4), nn.Linear(4, 2), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x)))


def test_an_activation_called_as_a_function_is_found_out():
    assert path_norm(Functional(relu), (4,)) > 0
    with pytest.raises(
        ValueError, match=r"Functional isn't linear along its paths: its activations must be modules"
    ):
        path_norm(Functional(torch.tanh), (4,))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
            "1 is a LayerNorm: such norms are known of linear layers",
        ),
        (nn.Sequential(nn.Linear(4, 4), nn.PReLU()), "1 is a PReLU"),
        (nn.BatchNorm1d(4, track_running_stats=False), "the model is a BatchNorm1d"),
        (nn.ReLU(), "ReLU holds no linear layer or convolution"),
    ],
)
def test_what_has_no_such_norms_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        norms(model, X)


def test_points_of_another_model_are_refused():
    with pytest.raises(
        ValueError, match=r"points have the shape \(2, 50\): they must be \(T, 51\), recorded weights"
    ):
        distance(two_layers(), torch.zeros(2, 50))


def test_in_a_run_the_distance_is_from_the_weights_of_step_0(tmp_path):
    probes = ["probe=[norms,trajectory]", "probe.norms.every=3it", "probe.trajectory.start=0it"]
    small = ["recipe.steps=6", "model.width=4", "dataset=gaussian_mixture", f"output_dir={tmp_path}"]
    (result,) = run([compose([*probes, *small, "progress=false", "device=cpu", "dtype=float64"])])
    done = Run(result.directory)
    _, weights = done.array("trajectory/weights")
    steps, found = done.series("norms/distance")
    assert steps.tolist() == [0, 3, 6]
    assert found[0] == 0
    truth = [float(((weights[t] - weights[0]) ** 2).sum() ** 0.5) for t in steps]
    assert found.tolist() == pytest.approx(truth, rel=1e-12)
    assert done.array("initial_weights/weights")[0].tolist() == [0, 6]
