"""Wines by cultivar: three classes, 13 chemical measurements."""

from numpy import ndarray

from atml_exp.data import Dataset
from atml_exp.datasets.remembered import remembered
from atml_exp.datasets.splitting import OpenFraction, classification_table
from atml_exp.fields import NonNegativeInt

__all__ = ["wine"]


def wine(*, test_fraction: OpenFraction = 0.2, split_seed: NonNegativeInt = 0) -> Dataset:
    """178 wines from three cultivars, x (N, 13) float32, y in 0 … 2 (Forina et al. 1991, UCI).

    Each feature is standardised by the training split's mean and std (/N); the test split is stratified.
    """
    raw = remembered("wine", _load)
    return classification_table("wine", raw["x"], raw["y"], test_fraction=test_fraction, split_seed=split_seed)


def _load() -> dict[str, ndarray]:
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    return {"x": x, "y": y}
