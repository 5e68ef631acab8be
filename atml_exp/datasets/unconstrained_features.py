"""Examples that only their number tells apart: what the unconstrained-features model is trained on."""

from typing import Annotated

import torch
from annotated_types import Ge

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import balanced_labels
from atml_exp.fields import PositiveInt

__all__ = ["unconstrained_features"]


def unconstrained_features(*, num_classes: Annotated[int, Ge(2)] = 4, per_class: PositiveInt = 10) -> Dataset:
    """x = the identity (N, N) float64 of N = num_classes·per_class examples: example i is the basis vector e_i.

    A linear layer without a bias gives example i its i-th column, which no other example shares, so that the
    features are free parameters (`atml_exp.models.unconstrained_features`; Mixon, Parshall & Pi 2020, Neural
    collapse with unconstrained features). Classes in turn, `per_class` of each; nothing is random. **The test
    split is the training split itself** (one object): nothing can generalise here.

    >>> data = unconstrained_features(num_classes=2, per_class=2)
    >>> data.train.x[1].tolist(), data.train.y.tolist(), data.test is data.train
    ([0.0, 1.0, 0.0, 0.0], [0, 1, 0, 1], True)
    """
    num_examples = num_classes * per_class
    examples = Split(torch.eye(num_examples, dtype=torch.float64), balanced_labels(num_examples, num_classes))
    return Dataset("unconstrained_features", examples, examples, num_classes)
