"""Overlaps of subspaces whose angles are known."""

import math

import pytest
import torch

from atml_exp.data import Split
from atml_exp.probes.spectrum import spectrum
from atml_exp.probes.subspace_drift import overlap, subspace_drift


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotated(degrees: float) -> torch.Tensor:
    """Of the plane of the first two axes of R⁴, the second direction turned towards the third axis."""
    a = math.radians(degrees)
    return torch.tensor([[1, 0, 0, 0], [0, math.cos(a), math.sin(a), 0]], dtype=torch.float64)


@pytest.mark.parametrize("degrees", [10, 45, 90])
def test_a_known_rotation(degrees):
    found = subspace_drift(torch.stack([rotated(90), rotated(0), rotated(degrees)]))
    assert found["overlap_previous"] == pytest.approx((1 + math.cos(math.radians(degrees)) ** 2) / 2)
    assert found["overlap_first"] == pytest.approx((1 + math.cos(math.radians(90 - degrees)) ** 2) / 2)
    assert found["angle_previous"] == pytest.approx(degrees)
    assert found["chance"] == 0.5


def test_another_basis_of_the_same_subspace_has_not_moved():
    basis, turn = torch.linalg.qr(normal(50, 4))[0].T, torch.linalg.qr(normal(4, 4, seed=1))[0]
    found = subspace_drift(torch.stack([basis, turn @ basis]).float())
    assert found["overlap_previous"] == pytest.approx(1, abs=1e-6)
    assert found["angle_previous"] < 0.1


def test_random_subspaces_overlap_by_chance():
    values = torch.tensor(
        [overlap(*(torch.linalg.qr(m)[0].T for m in normal(2, 60, 5, seed=s))) for s in range(300)]
    )
    assert values.mean().item() == pytest.approx(5 / 60, abs=4 * values.std().item() / 300**0.5)


def test_the_first_reading_has_no_previous_one():
    assert subspace_drift(rotated(0)[None]) == {"overlap_first": 1.0, "chance": 0.5}


def test_of_the_spectrum_of_a_quadratic_nothing_moves():
    model = torch.nn.Linear(5, 1, bias=False).double()
    data = Split(normal(30, 5), torch.zeros(30, 1).double())

    def loss(o, y):
        return (o - y).square().mean() / 2

    readings = [spectrum(model, data, loss=loss, k=2, keep_vectors=True, seed=s)["eigenvectors"] for s in (0, 1)]
    assert subspace_drift(torch.stack(readings))["overlap_previous"] == pytest.approx(1)


def test_refusals():
    with pytest.raises(ValueError, match=r"shape \(2, 4\): it must be \(T, k, P\), T ≥ 1"):
        subspace_drift(rotated(0))
    with pytest.raises(ValueError, match="must be orthonormal"):
        subspace_drift(2 * rotated(0)[None])
    with pytest.raises(ValueError, match="must be orthonormal"):
        subspace_drift(math.nan * rotated(0)[None])
