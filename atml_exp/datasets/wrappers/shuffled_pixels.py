"""Shuffled pixels: every value is kept, its place is not."""

from dataclasses import replace

import torch
from torch import Generator, Tensor

from atml_exp.data import Dataset
from atml_exp.datasets.sampling import stream

__all__ = ["shuffled_pixels"]


def shuffled_pixels(data: Dataset, seed: int, *, per_example: bool = False) -> Dataset:
    """One random permutation of the pixels for all examples, train and test alike (Zhang et al. 2017).

    per_example: an own permutation for each example instead (their 'random pixels').
    Images (N, C, H, W): the H·W places move, channels together; other inputs: all features. Labels stay the same
    objects.
    """
    if not per_example:
        places = torch.randperm(_num_places(data.train.x), generator=stream(seed, "shuffled_pixels"))
        train_order, test_order = places, places
    else:
        train_order = _orders(data.train.x, stream(seed, "shuffled_pixels/train"))
        test_order = _orders(data.test.x, stream(seed, "shuffled_pixels/test"))
    train = replace(data.train, x=_permuted(data.train.x, train_order))
    return replace(data, train=train, test=replace(data.test, x=_permuted(data.test.x, test_order)))


def _num_places(x: Tensor) -> int:
    return x[0, 0].numel() if x.dim() == 4 else x[0].numel()


def _orders(x: Tensor, generator: Generator) -> Tensor:
    """A random permutation of the places for each example, (N, P)."""
    return torch.rand(len(x), _num_places(x), generator=generator).argsort(1)


def _permuted(x: Tensor, order: Tensor) -> Tensor:
    """x with place p taken from order[p] (one permutation (P,)) or from order[n, p] (N, P)."""
    places = x.reshape(len(x), -1, _num_places(x))
    return places.gather(2, order.to(x.device).expand(len(x), -1)[:, None].expand_as(places)).view_as(x)
