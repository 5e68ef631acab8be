"""A linear classifier beside scikit-learn's SVM and numpy's least squares; what has no such direction."""

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Split
from atml_exp.models.linear import linear
from atml_exp.probes.implicit_bias import implicit_bias

G = torch.Generator().manual_seed(0)
Y = torch.arange(40) % 2
X = torch.randn(40, 3, generator=G, dtype=torch.float64) + 4 * (2.0 * Y[:, None] - 1) * torch.eye(3)[0]
DATA = Split(X, Y)
SIGNS = 2.0 * Y.numpy() - 1


def model_of(w: Tensor, bias: float | None = None) -> nn.Module:
    model = linear((3,), 1, bias=bias is not None).double()
    with torch.no_grad():
        model.output.weight.copy_(w)
        if bias is not None:
            model.output.bias.fill_(bias)
    return model


def svc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    both = SVC(kernel="linear", C=1e10, tol=1e-10).fit(np.concatenate([x, -x]), np.concatenate([y, -y]))
    return both.coef_[0]


def test_the_angle_and_the_margin_against_scikit_learn():
    w = torch.tensor([1.0, 0.3, -0.2], dtype=torch.float64)
    found = check_probe(implicit_bias, model_of(w), DATA)
    best, v = svc(X.numpy(), SIGNS), w.numpy()
    cosine = v @ best / np.linalg.norm(v) / np.linalg.norm(best)
    assert found["svm_angle"] == pytest.approx(np.degrees(np.arccos(cosine)), rel=1e-6)
    assert found["svm_norm"] == pytest.approx(np.linalg.norm(best), rel=1e-7)
    assert found["norm"] == pytest.approx(np.linalg.norm(v))
    assert found["margin"] == pytest.approx((SIGNS * (X.numpy() @ v)).min() / np.linalg.norm(v))
    assert found["margin_gap"] == pytest.approx(1 - found["margin"] * np.linalg.norm(best), rel=1e-6)


def test_at_the_svm_the_gap_and_the_angle_are_0_whatever_its_length():
    svm = implicit_bias(model_of(torch.ones(3)), DATA)["svm"]
    found = implicit_bias(model_of(7 * svm), DATA)
    assert found["svm_angle"] == pytest.approx(0, abs=1e-10)
    assert found["margin_gap"] == pytest.approx(0, abs=1e-12)
    assert implicit_bias(model_of(-svm), DATA)["svm_angle"] == pytest.approx(180)
    assert implicit_bias(model_of(-svm), DATA)["margin_gap"] > 1


def test_at_least_squares_its_distance_is_0():
    fitted = torch.linalg.pinv(X) @ torch.from_numpy(SIGNS)
    assert implicit_bias(model_of(fitted), DATA)["least_squares_distance"] < 1e-12
    assert implicit_bias(model_of(0 * fitted), DATA)["least_squares_distance"] == pytest.approx(1)


def test_a_bias_is_the_weight_of_an_input_that_is_1():
    ones = Split(torch.cat([X, torch.ones(40, 1)], 1), Y)
    w = torch.tensor([1.0, 0.3, -0.2, 0.5], dtype=torch.float64)
    wide = linear((4,), 1, bias=False).double()
    with torch.no_grad():
        wide.output.weight.copy_(w)
    inside, outside = implicit_bias(wide, ones), implicit_bias(model_of(w[:3], 0.5), DATA)
    assert all(torch.equal(torch.as_tensor(inside[k]), torch.as_tensor(outside[k])) for k in inside)


def test_two_outputs_are_the_one_that_is_their_difference():
    two, w = linear((3,), 2, bias=False).double(), torch.tensor([1.0, 0.3, -0.2], dtype=torch.float64)
    with torch.no_grad():
        two.output.weight.copy_(torch.stack([X[0], X[0] + w]))
    for key in ("svm_angle", "norm", "margin"):
        assert implicit_bias(two, DATA)[key] == pytest.approx(implicit_bias(model_of(w), DATA)[key])


def test_from_zero_there_is_no_direction():
    found = implicit_bias(model_of(torch.zeros(3)), DATA)
    assert found["norm"] == 0
    assert not {"svm_angle", "linf_angle", "margin", "margin_gap"} & set(found)


def test_what_is_not_separable_or_has_many_outputs_is_refused():
    with pytest.raises(ValueError, match="aren't separable by a hyperplane through the origin"):
        implicit_bias(model_of(torch.ones(3)), Split(X, torch.randint(0, 2, (40,), generator=G)))
    with pytest.raises(ValueError, match="the model has 4 outputs: a separator of two classes has 1 or 2"):
        implicit_bias(linear((3,), 4).double(), DATA)
    assert implicit_bias.suited_tasks == {"binary"}
