import pytest
import torch

from atml_exp.datasets.sampling import balanced_labels, stream, uniform


@pytest.mark.parametrize("count", [1, 7, 12])
def test_balanced_labels_differ_by_at_most_one(count):
    counts = balanced_labels(count, 4).bincount(minlength=4)
    assert counts.sum() == count
    assert counts.max() - counts.min() <= 1


def test_streams_are_reproducible_and_differ_by_seed_and_purpose():
    draws = [
        torch.rand(1000, generator=stream(seed, purpose))
        for seed, purpose in [(0, "a"), (0, "a"), (1, "a"), (0, "b")]
    ]
    assert torch.equal(draws[0], draws[1])
    for other in draws[2:]:
        assert torch.corrcoef(torch.stack([draws[0], other]))[0, 1].abs() < 0.13  # four standard errors


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(3, generator=stream(0, "a"))
    assert torch.equal(before, torch.get_rng_state())


def test_uniform_fills_its_range():
    x = uniform(-2, 3, (10_000,), stream(0, "u"))
    assert x.dtype == torch.float64
    assert -2 <= x.min() < -1.99
    assert 2.99 < x.max() < 3
