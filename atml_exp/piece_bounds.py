"""How many pieces a ReLU net of one input can have, and how near few pieces can come to the folded tent map."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["least_tent_error", "mlp_parameters", "most_pieces"]


def most_pieces(width: int, depth: int) -> int:
    """(m + 1)^L: affine pieces that L hidden layers of m (leaky) ReLU units have at most, of one input.

    A layer's unit is affine on each piece of the layers before, so it crosses 0 there once at most: m units make of
    one piece m + 1. With skip connections too. Raghu, Poole, Kleinberg, Ganguli & Sohl-Dickstein (2017), On the
    expressive power of deep neural networks; Serra, Tjandraatmadja & Ramalingam (2018), Bounding and counting
    linear regions of deep neural networks, whose bounds are exact for one input. ValueError for a width or depth
    below 1.

    >>> most_pieces(10, 1), most_pieces(2, 5)
    (11, 243)
    """
    if width < 1 or depth < 1:
        raise ValueError(f"width is {width}, depth {depth}: both must be at least 1")
    return (width + 1) ** depth


def least_tent_error(pieces: ArrayLike, folds: int) -> np.ndarray:
    """max(0, 1 − (t − 1)/2^(k−1)): mean squared error on [0, 1], over the tent map's variance 1/12, of t pieces.

    A function with t affine pieces, continuous or not, against the k-fold tent map, which has 2^(k−1) equal teeth.
    At most t − 1 of them hold a place where two pieces meet. On the others it is affine, and the best affine
    function on a tooth, which is symmetric, is its mean ½: it leaves the tooth's whole variance. Counting as in
    Telgarsky (2016), Benefits of depth in neural networks, section 3, who bounds the mean absolute error; the
    constants are ours. It holds as well for the mean over midpoints, where each tooth holds equally many, over the
    variance there. Not sharp. ValueError for pieces or folds below 1.

    >>> least_tent_error([1, 5, 9, 100], folds=4).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    t = np.asarray(pieces, dtype=float)
    if folds < 1 or not bool((t >= 1).all()):
        raise ValueError(f"folds is {folds} and pieces are at least {t.min()}: both must be at least 1")
    return np.maximum(0.0, 1 - (t - 1) / 2 ** (folds - 1))


def mlp_parameters(inputs: int, width: int, depth: int, outputs: int) -> int:
    """Weights and biases of `atml_exp.models.mlp` without normalisation.

    >>> mlp_parameters(64, 128, 2, 10), mlp_parameters(1, 2, 5, 1)
    (26122, 31)
    """
    return (inputs + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * outputs
