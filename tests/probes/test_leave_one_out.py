"""Leave-one-out residuals against N trainings, by our solver and by scikit-learn's, and what is refused."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV

from atml_exp.checks import check_probe
from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.mse import mse
from atml_exp.models.linear import linear
from atml_exp.models.mlp import mlp
from atml_exp.probes.leave_one_out import leave_one_out, left_out, retrained
from atml_exp.recipes.least_squares import solve
from atml_exp.runner import run
from atml_exp.runs import Run

G = torch.Generator().manual_seed(0)
N, D = 25, 6
X = torch.randn(N, D, generator=G, dtype=torch.float64)
Y = torch.randn(N, 2, generator=G, dtype=torch.float64)
DOUBLED = torch.cat([X, X[:, :1]], 1)  # of rank D


def fitted(x, y, ridge, bias=False):
    """A linear model at the minimum."""
    model = linear((x.shape[1],), y.shape[1] if y.dim() == 2 else 1, bias=bias).double()
    h = torch.cat([x, torch.ones_like(x[:, :1])], 1) if bias else x
    w = solve(h, y.reshape(len(y), -1), ridge)
    model.output.weight.data.copy_(w[: x.shape[1]].T)
    if bias:
        model.output.bias.data.copy_(w[-1])
    return model


@pytest.mark.parametrize(
    ("h", "ridge"), [(X, 0.0), (X, 1e-3), (X, 1.0), (DOUBLED, 0.0), (DOUBLED, 1e-3), (X[:4], 1e-3), (X[:4], 1.0)]
)
def test_is_what_n_trainings_give(h, ridge):
    y = Y[: len(h)]
    found = left_out(h, y, ridge)
    torch.testing.assert_close(found.left_out, retrained(h, y, ridge), rtol=1e-9, atol=1e-9)
    assert (found.left_out.norm(dim=1) >= found.residuals.norm(dim=1)).all()
    hat = h @ torch.linalg.pinv(h.T @ h + len(h) * ridge * torch.eye(h.shape[1]), rtol=1e-12) @ h.T
    torch.testing.assert_close(found.leverages, hat.diag())


def test_equals_scikit_learn():
    """Its alpha is N·ridge, beside a sum of squares."""
    found = left_out(X, Y[:, :1], 0.1)
    x, y = X.numpy(), Y[:, 0].numpy()
    for i in range(N):
        others = np.arange(N) != i
        theirs = Ridge(alpha=0.1 * N, fit_intercept=False).fit(x[others], y[others])
        assert found.left_out[i, 0].item() == pytest.approx(
            Y[i, 0].item() - theirs.predict(X[i : i + 1])[0], rel=1e-9
        )
    cv = RidgeCV(alphas=[0.1 * N], fit_intercept=False, store_cv_results=True).fit(x, y)
    assert found.left_out.square().mean().item() == pytest.approx(cv.cv_results_.mean(), rel=1e-9)


def test_values_of_a_model_with_a_bias():
    model, y = fitted(X, Y[:, 0], 0.05, bias=True), Y[:, 0]
    found = check_probe(partial(leave_one_out, loss=partial(mse), ridge=0.05, retrain=True), model, Split(X, y))
    assert found["deviation"] <= 1e-12
    assert found["train_risk"] == pytest.approx(mse(model(X), y).item())
    assert found["risk"] == pytest.approx(0.5 * found["retrained"].square().mean().item())
    assert found["retrained_risk"] == pytest.approx(found["risk"])
    a = found["degrees"] / N
    assert 0 < a < (D + 1) / N
    assert found["gcv"] == pytest.approx(found["train_risk"] / (1 - a) ** 2)


def test_gcv_is_leave_one_out_where_all_leverages_are_equal():
    """One-hot inputs, two examples each: every leverage is ½."""
    h, y = torch.eye(5).double().repeat(2, 1), Y[:10]
    found = leave_one_out(fitted(h, y, 0.0), Split(h, y))
    assert found["gcv"] == pytest.approx(found["risk"])
    assert found["leverages"].tolist() == pytest.approx([0.5] * 10)


def test_classes_are_one_hot_vectors():
    labels = torch.arange(N) % 2
    targets = torch.nn.functional.one_hot(labels, 2).double()
    found = [leave_one_out(fitted(X, targets, 0.1), Split(X, y), ridge=0.1) for y in (labels, targets)]
    assert torch.equal(found[0]["left_out"], found[1]["left_out"])


def test_in_a_run(tmp_path):
    overrides = ["dataset=diabetes", "model=linear", "loss=mse", "recipe=least_squares", "recipe.ridge=0.1"]
    overrides += ["probe=[leave_one_out]", "probe.leave_one_out.fn.ridge=${recipe.ridge}", "dtype=float64"]
    (result,) = run(
        [compose([*overrides, f"output_dir={tmp_path}", "device=cpu", "progress=false"])], reports=False
    )
    final = Run(result.directory).final
    assert final["leave_one_out/train_risk"] == pytest.approx(final["train/loss"])
    assert final["leave_one_out/risk"] > final["leave_one_out/train_risk"]


@pytest.mark.parametrize(
    ("model", "split", "options", "message"),
    [
        (lambda: fitted(X, Y, 0.1), Split(X, Y), {"ridge": 0.2}, "isn't the minimiser for ridge = 0.2"),
        (lambda: fitted(X, Y, 0.0), Split(X, Y), {"loss": cross_entropy}, "loss = cross_entropy: .* for mse only"),
        (lambda: mlp((D,), 2, depth=1, width=4).double(), Split(X, Y), {}, "isn't linear in its weights"),
        (lambda: fitted(X[:4], Y[:4], 0.0), Split(X[:4], Y[:4]), {}, "the leverage of example . is 1: .*ridge > 0"),
        (lambda: fitted(X, Y, 0.0), Split(X, Y), {"ridge": -1.0}, "ridge is -1.0: it must be at least 0"),
    ],
)
def test_what_is_refused(model, split, options, message):
    with pytest.raises(ValueError, match=message):
        leave_one_out(model(), split, **options)
