"""The preconditioned Hessian against dense algebra, torch's Adam, and the stability threshold that it tells."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.compose import compose
from atml_exp.data import Split
from atml_exp.probe_run import probe_run
from atml_exp.probes.adam_sharpness import adam_preconditioner, adam_sharpness
from atml_exp.probes.sharpness import hessian_top_eigenvalues
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.validate import validate


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def half_mse(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().sum() / (2 * len(y))


X, Y = normal(40, 5), normal(40, 1, seed=1)
H = X.T @ X / 40
SQUARE = normal(5, seed=2).square()
STATE = {"square": SQUARE, "mean": torch.zeros(5), "step": torch.tensor(7)}


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(5, 1, bias=False).double()


def test_against_the_dense_preconditioned_hessian():
    p = (1 - 0.9**7) * ((SQUARE / (1 - 0.99**7)).sqrt() + 0.01)
    root = p.rsqrt().diag()
    truth = torch.linalg.eigvalsh(root @ H @ root)[-1].item()
    assert torch.linalg.eigvals(H / p[:, None]).real.max().item() == pytest.approx(truth)  # of P⁻¹H the same
    found = adam_sharpness(linear(), Split(X, Y), STATE, loss=half_mse, beta2=0.99, epsilon=0.01)
    assert found["top"] == pytest.approx(truth, rel=1e-10)
    assert found["residual"] < 1e-6 * truth


def test_with_a_second_moment_of_one_it_is_the_plain_sharpness():
    state = {"square": torch.ones(5) * (1 - 0.999**9), "step": torch.tensor(9)}
    found = adam_sharpness(linear(), Split(X, Y), state, loss=half_mse, beta1=0.0)
    assert found["top"] == pytest.approx(hessian_top_eigenvalues(linear(), half_mse, X, Y, 1).item(), rel=1e-7)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_preconditioner_is_that_of_torchs_adam(steps):
    """w ← w − η m/P, m = the first moment without correction."""
    model = linear()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.95), eps=1e-3)
    for _ in range(steps):
        before = model.weight.detach().clone()
        optimiser.zero_grad()
        half_mse(model(X), Y).backward()
        optimiser.step()
    moments = optimiser.state[model.weight]
    p = adam_preconditioner(moments["exp_avg_sq"], steps, beta1=0.8, beta2=0.95, epsilon=1e-3)
    torch.testing.assert_close(before - 0.01 * moments["exp_avg"] / p, model.weight.detach())


@pytest.mark.parametrize(("share", "grows"), [(0.97, False), (1.03, True)])
def test_frozen_adam_is_stable_below_the_threshold_and_only_there(share, grows):
    """m ← βm + (1 − β)g, w ← w − η m/P on a quadratic of which λ_max(P⁻¹H) = share · (2 + 2β)/((1 − β)η)."""
    p, beta = SQUARE.sqrt() + 0.1, 0.9
    top = torch.linalg.eigvals(H / p[:, None]).real.max().item()
    rate = share * (2 + 2 * beta) / ((1 - beta) * top)
    w, m = normal(5, seed=3), torch.zeros(5).double()
    for _ in range(2000):
        m = beta * m + (1 - beta) * (H @ w)
        w = w - rate * m / p
    assert bool(w.norm() > 100) is grows


def test_before_the_first_step_there_is_none():
    state = {"square": torch.zeros(5), "step": torch.tensor(0)}
    assert adam_sharpness(linear(), Split(X, Y), state, loss=half_mse) == {}
    with pytest.raises(ValueError, match="step is 0: Adam has a preconditioner after its first step only"):
        adam_preconditioner(torch.ones(3), 0, beta1=0.9, beta2=0.999, epsilon=1e-8)


def test_other_optimisers_and_other_models_are_refused():
    with pytest.raises(ValueError, match="holds step, velocity, and no second moment `square`: use optimiser=adam"):
        adam_sharpness(linear(), Split(X, Y), {"velocity": torch.ones(5), "step": torch.tensor(1)}, loss=half_mse)
    with pytest.raises(ValueError, match=r"second moment has the shape \(3,\): it must be \(5,\)"):
        adam_sharpness(linear(), Split(X, Y), {**STATE, "square": torch.ones(3)}, loss=half_mse)


def test_contract():
    values = check_probe(partial(adam_sharpness, state=STATE, loss=half_mse), linear(), Split(X, Y))
    assert set(values) == {"top", "residual"}


def test_a_run_measures_it_alone_and_fused_and_its_checkpoints_give_the_same(tmp_path):
    texts = ["probe=[adam_sharpness]", "optimiser=adam", "dataset=two_moons", "model.width=4", "recipe.steps=12"]
    texts += ["recipe.batch_size=null", "probe.adam_sharpness.every=6it", "checkpoint.keep=6it", "device=cpu"]

    def trained(folder: str, *seeds: int) -> list[Run]:
        where = f"output_dir={tmp_path / folder}"
        configs = [compose([*texts, "progress=false", where, f"seed={seed}"]) for seed in seeds]
        for config in configs:
            validate(config)
        return [Run(result.directory) for result in run(configs)]

    fused, (alone,) = trained("fused", 0, 1)[1], trained("alone", 1)
    steps, values = fused.series("adam_sharpness/top")
    assert steps.tolist() == [6, 12]
    assert alone.series("adam_sharpness/top")[1].tolist() == pytest.approx(values.tolist(), rel=1e-3)
    measured = probe_run(alone.directory)
    again = measured[measured["name"] == "adam_sharpness/top"].sort_values("step")
    assert again["step"].tolist() == [6, 12]
    assert again["value"].tolist() == alone.series("adam_sharpness/top")[1].tolist()
