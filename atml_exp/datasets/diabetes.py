"""Progression of diabetes after a year: regression on ten measurements."""

from numpy import ndarray

from atml_exp.data import Dataset, Split
from atml_exp.datasets.remembered import remembered
from atml_exp.datasets.splitting import OpenFraction, hold_out, standardise
from atml_exp.fields import NonNegativeInt

__all__ = ["diabetes"]


def diabetes(*, test_fraction: OpenFraction = 0.2, split_seed: NonNegativeInt = 0) -> Dataset:
    """442 patients, x (N, 10) float32, y (N,) float32 (Efron, Hastie, Johnstone & Tibshirani 2004).

    Features and target are standardised by the training split's mean and std (/N): predicting the mean has
    E[y²] = 1 on the training split.
    """
    raw = remembered("diabetes", _load)
    train, test = hold_out(raw["x"], raw["y"], test_fraction=test_fraction, split_seed=split_seed, stratified=False)
    x_train, x_test = standardise(train.x, test.x, (0,))
    y_train, y_test = standardise(train.y, test.y, (0,))
    return Dataset(
        "diabetes",
        train=Split(x_train.float(), y_train.float()),
        test=Split(x_test.float(), y_test.float()),
        num_classes=None,
    )


def _load() -> dict[str, ndarray]:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True, scaled=False)
    return {"x": x, "y": y}
