"""Implicit bias: where a linear classifier is heading, beside the separators that it could be heading for."""

import numpy as np
import torch
from torch import Tensor, nn

from atml_exp.data import Split, suits
from atml_exp.linalg import as_float64
from atml_exp.max_margin import MaxMargin, degrees_between, logistic_offset, max_margin, max_margin_inf
from atml_exp.probe import Value
from atml_exp.probes.features import penultimate_features

__all__ = ["implicit_bias"]


@suits("binary")
def implicit_bias(model: nn.Module, data: Split) -> dict[str, Value]:
    """The last layer's w beside the hard-margin SVM ŵ on its inputs and beside least squares; float64, eval mode.

    w (D,) is the one output's weights, of two outputs w_1 − w_0; a bias is one more weight, of an input that is
    always 1 (see `atml_exp.max_margin.max_margin`). Labels count as ±1. Of a net the inputs are its features now.

    `norm` ‖w‖; `svm_norm` ‖ŵ‖, with min_i y_i⟨ŵ, x_i⟩ = 1; `svm_angle`, `linf_angle`: of w to ŵ and to the
    separator of the largest ℓ∞ margin, in degrees; `margin` min_i y_i⟨w, x_i⟩/‖w‖; `margin_gap` 1 − margin·‖ŵ‖ ≥ 0,
    what is missing of the largest one; `least_squares_distance` ‖w − X⁺y‖/‖X⁺y‖. Arrays (D,): `weights` w, `svm` ŵ,
    `offset` w̃ of `logistic_offset`. Angles and margins are left out while w = 0.

    Soudry, Hoffer, Nacson, Gunasekar & Srebro (2018), The implicit bias of gradient descent on separable data.
    ValueError where the data aren't separable (by name), for more than two outputs, and as `penultimate_features`.
    """
    h, w = _inputs_and_weights(model, data.x)
    x, y = h.cpu().numpy(), 2.0 * data.y.cpu().numpy() - 1
    svm = max_margin(x, y)
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    values: dict[str, Value] = {
        "norm": float(np.linalg.norm(w)),
        "svm_norm": float(np.linalg.norm(svm.w)),
        "least_squares_distance": float(np.linalg.norm(w - fitted) / np.linalg.norm(fitted)),
        "weights": torch.from_numpy(w),
        "svm": torch.from_numpy(svm.w),
        "offset": torch.from_numpy(logistic_offset(x, y, svm)),
    }
    return values | (_direction(x, y, w, svm) if w.any() else {})


def _direction(x: np.ndarray, y: np.ndarray, w: np.ndarray, svm: MaxMargin) -> dict[str, Value]:
    margin = float((y * (x @ w)).min() / np.linalg.norm(w))
    return {
        "svm_angle": degrees_between(w, svm.w),
        "linf_angle": degrees_between(w, max_margin_inf(x, y)),
        "margin": margin,
        "margin_gap": 1 - margin / svm.margin,
    }


def _inputs_and_weights(model: nn.Module, x: Tensor) -> tuple[Tensor, np.ndarray]:
    """Inputs (N, D) of the last layer, with a column of ones where it has a bias, and w (D,)."""
    h, last = penultimate_features(model, x)
    if last.out_features > 2:
        raise ValueError(f"the model has {last.out_features} outputs: a separator of two classes has 1 or 2")
    h, rows = as_float64(h), as_float64(last.weight)
    if last.bias is not None:
        h, rows = torch.cat([h, torch.ones_like(h[:, :1])], 1), torch.cat([rows, as_float64(last.bias)[:, None]], 1)
    w = rows[0] if len(rows) == 1 else rows[1] - rows[0]
    return h, w.cpu().numpy().copy()
