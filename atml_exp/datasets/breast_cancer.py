"""Breast tumours, malignant or benign: two classes, 30 measurements of cell nuclei."""

from numpy import ndarray

from atml_exp.data import Dataset
from atml_exp.datasets.remembered import remembered
from atml_exp.datasets.splitting import OpenFraction, classification_table
from atml_exp.fields import NonNegativeInt

__all__ = ["breast_cancer"]


def breast_cancer(*, test_fraction: OpenFraction = 0.2, split_seed: NonNegativeInt = 0) -> Dataset:
    """569 breast tumours, x (N, 30) float32, y = 0 malignant, 1 benign (Street, Wolberg & Mangasarian 1993, UCI).

    Each feature is standardised by the training split's mean and std (/N); the test split is stratified.
    """
    raw = remembered("breast_cancer", _load)
    return classification_table(
        "breast_cancer", raw["x"], raw["y"], test_fraction=test_fraction, split_seed=split_seed
    )


def _load() -> dict[str, ndarray]:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    return {"x": x, "y": y}
