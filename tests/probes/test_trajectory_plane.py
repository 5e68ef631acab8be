"""The principal plane against scikit-learn's PCA and simulated random walks; the loss on it against the net's."""

import math

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.losses.mse import mse
from atml_exp.probes.trajectory_plane import principal_plane, trajectory_plane, walk_variance


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_holds_a_planar_path_exactly():
    angle = torch.linspace(0, 5, 40, dtype=torch.float64)
    basis = torch.linalg.qr(normal(30, 2)).Q.T
    flat = torch.stack([3 * angle.cos(), angle.sin()], 1)
    plane = principal_plane(flat @ basis + normal(30, seed=1))
    assert plane.distance.max() < 1e-12
    assert plane.variance[:2].sum() == pytest.approx(1, abs=1e-12)
    assert plane.path[-1].tolist() == [0, 0]
    torch.testing.assert_close(torch.cdist(plane.path, plane.path), torch.cdist(flat, flat), atol=1e-6, rtol=1e-6)


def test_agrees_with_scikit_learn():
    points = normal(20, 50) * torch.linspace(3, 0.1, 50)
    plane, pca = principal_plane(points), PCA().fit(points.numpy())
    assert plane.variance.tolist() == pytest.approx(pca.explained_variance_ratio_.tolist(), abs=1e-12)
    overlap = plane.directions @ torch.from_numpy(pca.components_[:2]).T
    torch.testing.assert_close(overlap.abs(), torch.eye(2, dtype=torch.float64), atol=1e-10, rtol=0)


def test_moving_and_rotating_the_path_turns_the_plane_with_it():
    points, q = normal(15, 6), torch.linalg.qr(normal(6, 6, seed=1)).Q
    one, other = principal_plane(points), principal_plane(points @ q + 7)
    torch.testing.assert_close(one.variance, other.variance)
    torch.testing.assert_close(one.path.abs(), other.path.abs())
    torch.testing.assert_close(one.distance, other.distance)


def test_a_random_walk_explains_itself_as_the_formula_says():
    walk = normal(60, 20_000).cumsum(0)
    found = principal_plane(walk).variance
    assert found[:5].tolist() == pytest.approx(walk_variance(60)[:5].tolist(), abs=0.01)
    assert walk_variance(10_000)[0].item() == pytest.approx(6 / math.pi**2, abs=1e-3)


def linear_problem() -> tuple[nn.Module, Split, Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1, bias=False).double()
    data = Split(normal(20, 3), normal(20, seed=1))
    path = model.weight.detach() + normal(9, 3, seed=2) * torch.linspace(1, 0, 9, dtype=torch.float64)[:, None]
    return model, data, path


def test_the_loss_is_that_of_the_weights_at_each_place_of_the_grid():
    model, data, path = linear_problem()
    plane = principal_plane(path)
    found = trajectory_plane(model, data, path, loss=mse, points_per_axis=5, margin=0.5)
    for i in range(5):
        for j in range(5):
            place = torch.stack([found["axes"][0, i], found["axes"][1, j]])
            w = plane.origin + place @ plane.directions
            truth = (data.x @ w - data.y).square().mean() / 2
            assert found["loss"][i, j] == pytest.approx(truth.item(), rel=1e-10)
    extent = found["path"].max(0).values - found["path"].min(0).values
    torch.testing.assert_close(found["axes"][:, -1] - found["axes"][:, 0], 2 * extent)
    assert found["explained"] == pytest.approx(plane.variance[:2].sum().item())
    assert found["walk"] == pytest.approx(walk_variance(9)[:2].sum().item())
    assert "error" not in found


def test_keeps_the_contract_of_probes():
    model, data, path = linear_problem()
    classes = Split(data.x, (data.y > 0).long())
    model = nn.Sequential(nn.BatchNorm1d(3, affine=False).double(), model)
    before = path.clone()
    found = check_probe(
        lambda m, d: trajectory_plane(m, d, path, loss=lambda o, y: o.square().mean(), points_per_axis=3),
        model,
        classes,
    )
    assert found["loss"].shape == found["error"].shape == (3, 3)
    assert torch.equal(path, before)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.eye(2), "points must be at least 3 finite ones to span a plane; got 2"),
        (torch.tensor([[0.0, 1], [math.nan, 0], [1, 1]]), "finite"),
        (torch.arange(6.0)[:, None] * torch.ones(3), "points lie on one line"),
        (torch.ones(5, 3), "points lie on one line"),
        (torch.arange(6.0)[:, None], "points lie on one line"),
    ],
)
def test_points_without_a_plane_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        principal_plane(points)
