import pytest
import torch


@pytest.fixture(autouse=True)
def reproducible():
    """Every test draws the same numbers each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def float64():
    """Models and inputs made in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def seeded():
    """A model from a constructor without arguments, under a seed of torch's global generator."""

    def make(constructor, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return constructor()

    return make
