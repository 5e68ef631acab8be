"""λ_max of the training loss against PyHessian 0.1 and curvlinops with scipy's eigsh, at equal accuracy."""

import copy
import statistics
import warnings
from functools import partial
from itertools import count

import numpy as np
import torch
from curvlinops import HessianLinearOperator
from measuring import Options, Row, interleaved, speed, wall
from pyhessian import hessian as PyHessian
from scipy.sparse.linalg import eigsh
from torch import nn
from tuning import Tuned, tuned

from atml_exp.data import Split
from atml_exp.datasets.digits import digits
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.models.mlp import mlp
from atml_exp.probes.sharpness import hessian_top_eigenvalues

ACCURACY = 1e-4
TRIALS = 10
EPOCHS = 60


def measure(options: Options) -> list[Row]:
    """The default MLP on all of digits' training set, as initialised and trained as by default."""
    data = digits()
    torch.manual_seed(0)
    model = mlp(data.input_shape, data.num_targets).eval()
    rows = _rows("untrained MLP", model, data.train, options)
    _train(model, data.train)
    return rows + _rows("trained MLP", model, data.train, options)


def _rows(name: str, model: nn.Module, data: Split, options: Options) -> list[Row]:
    truth = _reference(model, data)
    methods = {
        "ours": tuned([partial(_ours, model, data)], truth, ACCURACY, trials=TRIALS),
        "PyHessian": tuned([partial(_pyhessian, model, data)], truth, ACCURACY, trials=TRIALS),
        "curvlinops + eigsh": tuned(
            [partial(_curvlinops, model, data, n) for n in (None, 12, 6)], truth, ACCURACY, trials=TRIALS
        ),
    }
    times = interleaved({n: partial(_timed, t, count()) for n, t in methods.items()}, options.repeats)
    rivals = sorted((n for n in methods if n != "ours"), key=lambda n: statistics.median(times[n]))
    return [
        speed(
            f"sharpness: {name}, errors {methods['ours'].error:.0e} and {methods[rival].error:.0e}",
            times["ours"],
            rival,
            times[rival],
            1.0,
        )
        for rival in rivals
    ]


def _timed(method: Tuned, seeds: "count[int]") -> float:
    """With the start vectors that the accuracy was established for, one after another."""
    seed = next(seeds) % TRIALS
    return wall(lambda: method.run(seed))


def _ours(model: nn.Module, data: Split, tolerance: float, seed: int) -> float:
    values = hessian_top_eigenvalues(model, cross_entropy, data.x, data.y, 1, tolerance=tolerance, seed=seed)
    return values.item()


def _pyhessian(model: nn.Module, data: Split, tolerance: float, seed: int) -> float:
    """The training set as one batch: it then builds the gradient's graph once only, its fastest way."""
    torch.manual_seed(seed)
    fresh = copy.deepcopy(model)  # it leaves gradients in the model
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using backward\\(\\) with create_graph=True")
        operator = PyHessian(fresh, nn.CrossEntropyLoss(), data=(data.x, data.y), cuda=False)
    value = operator.eigenvalues(maxIter=10_000, tol=tolerance)[0][0]
    fresh.zero_grad()  # breaks the cycle that the warning is about
    return value


def _curvlinops(model: nn.Module, data: Split, vectors: int | None, tolerance: float, seed: int) -> float:
    """vectors: Lanczos vectors (ncv; None: scipy's default of 20)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    operator = HessianLinearOperator(
        model, nn.CrossEntropyLoss(), parameters, [(data.x, data.y)], check_deterministic=False
    ).to_scipy()
    start = np.random.default_rng(seed).standard_normal(operator.shape[0]).astype(np.float32)
    return eigsh(operator, k=1, which="LA", tol=tolerance, ncv=vectors, v0=start, return_eigenvectors=False)[0]


def _reference(model: nn.Module, data: Split) -> float:
    """In float64, by somebody else's code."""
    double = Split(data.x.double(), data.y)
    return _curvlinops(copy.deepcopy(model).double(), double, 60, 1e-12, 0)


def _train(model: nn.Module, data: Split) -> None:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(data)).split(64):
            optimiser.zero_grad()
            cross_entropy(model(data.x[index]), data.y[index]).backward()
            optimiser.step()
