"""Noise in place of the inputs: labels without anything to tell them by."""

from dataclasses import replace

import torch

from atml_exp.data import Dataset, Split
from atml_exp.datasets.sampling import stream

__all__ = ["noise_inputs"]


def noise_inputs(data: Dataset, seed: int) -> Dataset:
    """All inputs, train and test, become independent Gaussian noise with the mean and variance of the training
    split's inputs (one of each, /N, over all entries); labels stay (Zhang et al. 2017, 'Gaussian').
    """
    x = data.train.x
    mean, std = x.mean(), x.std(correction=0)

    def noise(split: Split, purpose: str) -> Split:
        generator = stream(seed, f"noise_inputs/{purpose}")
        z = torch.randn(split.x.shape, generator=generator, dtype=split.x.dtype).to(split.x.device)
        return replace(split, x=z.mul_(std).add_(mean))

    return replace(data, train=noise(data.train, "train"), test=noise(data.test, "test"))
