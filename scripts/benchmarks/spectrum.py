"""Top ten eigenvalues and spectral density of a CNN's Hessian against PyHessian 0.1 and curvlinops.

The eigenvalues: each within 0.1 % of the truth. The density: stochastic Lanczos quadrature of as many start vectors
and steps on all sides, so with the same exact moments.
"""

import copy
import statistics
import warnings
from functools import partial
from itertools import count
from unittest import mock

import numpy as np
import torch
from curvlinops import HessianLinearOperator, lanczos_approximate_spectrum
from measuring import Options, Row, interleaved, speed, wall
from pyhessian import hessian as PyHessian
from scipy.sparse.linalg import eigsh
from torch import nn
from tuning import Tuned, tuned

from atml_exp.data import Split
from atml_exp.datasets.digits import digits
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.cnn import cnn
from atml_exp.probes.spectrum import hessian_spectrum

WIDTH, DEPTH, NUM_EXAMPLES, EPOCHS = 33, 3, 256, 10
K, NUM_VECTORS, NUM_STEPS = 10, 8, 20
ACCURACY, TRIALS, MOST_ROUNDS = 1e-3, 2, 3


def measure(options: Options) -> list[Row]:
    """A CNN of some 100,000 weights, trained for a while on digits; the Hessian over a subset of them."""
    data = digits()
    torch.manual_seed(0)
    model = cnn(data.input_shape, data.num_targets, depth=DEPTH, width=WIDTH).eval()
    _train(model, data.train)
    chosen = data.train[torch.arange(NUM_EXAMPLES)]
    size = sum(p.numel() for p in model.parameters())
    truth = _reference(model, chosen)
    tolerances = [10.0**-n for n in range(1, 8)]
    ways = {
        "ours": [partial(_ours, model, chosen)],
        "PyHessian": [partial(_pyhessian, model, chosen)],
        "curvlinops": [partial(_curvlinops, model, chosen, vectors) for vectors in (None, 30, 40)],
    }
    methods = {n: tuned(w, truth, ACCURACY, trials=TRIALS, tolerances=tolerances) for n, w in ways.items()}
    times = interleaved(
        {n: partial(_timed, t, count()) for n, t in methods.items()}, min(options.repeats, MOST_ROUNDS)
    )
    rivals = sorted((n for n in methods if n != "ours"), key=lambda n: statistics.median(times[n]))
    return [
        speed(
            f"spectrum: CNN of {size:,}, errors {methods['ours'].error:.0e} and {methods[rival].error:.0e}",
            times["ours"],
            rival,
            times[rival],
            1.5,
        )
        for rival in rivals
    ]


def _timed(method: Tuned, seeds: "count[int]") -> float:
    seed = next(seeds) % TRIALS
    return wall(lambda: method.run(seed))


def _ours(model: nn.Module, data: Split, tolerance: float, seed: int) -> np.ndarray:
    found = hessian_spectrum(
        model,
        cross_entropy,
        data.x,
        data.y,
        K,
        num_vectors=NUM_VECTORS,
        num_iterations=NUM_STEPS,
        tolerance=tolerance,
        seed=seed,
    )
    return found.eigenvalues.numpy()


def _pyhessian(model: nn.Module, data: Split, tolerance: float, seed: int) -> np.ndarray:
    torch.manual_seed(seed)
    fresh = copy.deepcopy(model)  # it leaves gradients in the model
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using backward\\(\\) with create_graph=True")
        operator = PyHessian(fresh, nn.CrossEntropyLoss(), data=(data.x, data.y), cuda=False)
    values = operator.eigenvalues(maxIter=10_000, tol=tolerance, top_n=K)[0]
    with mock.patch.object(torch, "eig", _eig, create=True):
        operator.density(iter=NUM_STEPS, n_v=NUM_VECTORS)
    fresh.zero_grad()  # breaks the cycle that the warning is about
    return np.sort(values)[::-1]


def _eig(matrix: torch.Tensor, eigenvectors: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """What torch.eig, of which PyHessian's density makes use and which is no more, gave of a tridiagonal matrix."""
    assert eigenvectors
    values, vectors = torch.linalg.eigh(matrix)
    return torch.stack([values, torch.zeros_like(values)], 1), vectors


def _curvlinops(model: nn.Module, data: Split, vectors: int | None, tolerance: float, seed: int) -> np.ndarray:
    """vectors: Lanczos vectors of scipy's eigsh (ncv; None: its default). The density is given its bounds free."""
    operator = _operator(model, data)
    values = _eigsh(operator, vectors, tolerance, seed)
    torch.manual_seed(seed)
    bounds = (-float(values[0]), float(values[0]))
    lanczos_approximate_spectrum(operator, NUM_STEPS, num_repeats=NUM_VECTORS, boundaries=bounds)
    return values


def _operator(model: nn.Module, data: Split) -> HessianLinearOperator:
    parameters = [p for p in model.parameters() if p.requires_grad]
    batches = [(data.x, data.y)]
    return HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, batches, check_deterministic=False)


def _eigsh(operator: HessianLinearOperator, vectors: int | None, tolerance: float, seed: int) -> np.ndarray:
    linear = operator.to_scipy()
    start = np.random.default_rng(seed).standard_normal(linear.shape[0]).astype(linear.dtype)
    found = eigsh(linear, k=K, which="LA", tol=tolerance, ncv=vectors, v0=start, return_eigenvectors=False)
    return np.sort(found)[::-1]


def _reference(model: nn.Module, data: Split) -> np.ndarray:
    """In float64, by somebody else's code."""
    operator = _operator(copy.deepcopy(model).double(), Split(data.x.double(), data.y))
    return _eigsh(operator, 60, 1e-10, 0)


def _train(model: nn.Module, data: Split) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(data)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(data.x[index]), data.y[index]).backward()
            optimiser.step()
