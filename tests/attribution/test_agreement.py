"""Spearman's correlation against scipy's, SSIM against its formula written out on one window."""

import pytest
import torch
from scipy import stats

from atml_exp.attribution.agreement import agreement, ranks, spearman, structural_similarity

G = torch.Generator().manual_seed(0)
A, B = (torch.randn(6, 1, 5, 5, generator=G) for _ in range(2))
TIED = torch.randint(4, (6, 1, 5, 5), generator=G).float()


@pytest.mark.parametrize(("one", "other"), [(A, B), (A, TIED), (TIED, TIED.flip(0))])
def test_scipy_gives_the_same_ties_and_all(one, other):
    theirs = [
        stats.spearmanr(a.flatten().numpy(), b.flatten().numpy()).statistic for a, b in zip(one, other, strict=True)
    ]
    assert spearman(one, other).tolist() == pytest.approx(theirs, abs=1e-12)
    assert ranks(one.flatten(1).double()).tolist() == stats.rankdata(one.flatten(1).numpy(), axis=1).tolist()


def test_any_rising_function_keeps_it_at_one_a_falling_one_turns_its_sign():
    assert spearman(A, A.exp() + 3).tolist() == [1.0] * 6
    assert spearman(A, -A).tolist() == [-1.0] * 6
    assert agreement(A, -A) == (-1.0, 1.0)


def test_constant_maps_agree_with_each_other_only():
    flat = torch.ones(2, 3)
    assert spearman(flat, 2 * flat).tolist() == [1, 1]
    assert spearman(flat, torch.tensor([[1.0, 2, 3], [3, 2, 1]])).tolist() == [0, 0]


def test_independent_maps_agree_by_chance_alone():
    one, other = (torch.randn(400, 64, generator=G) for _ in range(2))
    assert abs(agreement(one, other).signed) < 4 / (400 * 63) ** 0.5


def test_structural_similarity_of_one_window_is_the_formula():
    x, y = A.double(), B.double()
    found = structural_similarity(x, y, window=5, data_range=2.0)
    for i in range(6):
        a, b = x[i].flatten(), y[i].flatten()
        covariance = torch.cov(torch.stack([a, b]))
        c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
        top = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
        bottom = (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
        assert found[i].item() == pytest.approx((top / bottom).item(), abs=1e-12)


def test_structural_similarity_is_one_for_equals_and_symmetric():
    images = torch.rand(3, 2, 12, 12, generator=G)
    other = torch.rand(3, 2, 12, 12, generator=G)
    torch.testing.assert_close(structural_similarity(images, images), torch.ones(3).double())
    torch.testing.assert_close(structural_similarity(images, other), structural_similarity(other, images))
    assert structural_similarity(images, other).abs().max() < 0.5
    shifted = structural_similarity(images, images + 0.3)  # the means alone differ
    assert ((shifted > 0.5) & (shifted < 1)).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spearman(A, A[:2]), "must be equal"),
        (lambda: spearman(A[:, 0, 0, 0], A[:, 0, 0, 0]), "must be equal"),
        (lambda: spearman(A, A / 0), "aren't finite"),
        (lambda: structural_similarity(A[0], A[0]), r"must be \(N, C, H, W\)"),
        (lambda: structural_similarity(A, A, window=6), "window is 6"),
        (lambda: structural_similarity(A, A, window=3, data_range=0.0), "data_range 0"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
