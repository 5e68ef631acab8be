"""The paths to the partner: what each holds, what seeds and options change, both splits."""

import pytest
import torch
from torch import Tensor, nn

from atml_exp.checks import check_probe
from atml_exp.data import Dataset, Split
from atml_exp.losses.cross_entropy import cross_entropy
from atml_exp.losses.logistic import logistic
from atml_exp.models.mlp import mlp
from atml_exp.probes.mode_connectivity import mode_connectivity
from atml_exp.siblings import trained


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def split(seed: int, number: int) -> Split:
    x = normal(number, 6, seed=seed)
    return Split(x, (x[:, 0] * x[:, 1] > 0).long())


DATA = Dataset("exclusive or", split(0, 120), split(1, 60), 2)
OPTIONS = {"steps": 300, "batch_size": 20}


def architecture(input_shape: tuple[int, ...], num_outputs: int, **options) -> nn.Module:
    return mlp(input_shape, num_outputs, depth=1, width=30, initialisation="he", **options)


def net(seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return architecture((6,), 2, **options).double()


def fitted() -> nn.Module:
    return trained(net(), DATA.train, loss=cross_entropy, seed=0, **OPTIONS)


def test_matching_and_a_curve_lower_the_barrier_of_the_line():
    """At both ends lie the nets themselves, so that all three paths share them."""
    found = mode_connectivity(fitted(), DATA, architecture=architecture, **OPTIONS)
    for name in ("train", "test"):
        paths = torch.stack([found[f"{p}_{name}_loss_path"] for p in ("linear", "matched", "curve")])
        torch.testing.assert_close(paths[:, [0, -1]], paths[:1, [0, -1]].expand(3, 2))
    assert found["linear_train_error"] > 0.05
    assert found["matched_train_loss"] < found["linear_train_loss"]
    assert found["curve_train_loss"] < found["linear_train_loss"] / 2
    assert found["alphas"][[0, -1]].tolist() == [1, 0]


def test_the_seed_draws_the_partner_and_paths_can_be_left_out():
    lines = [
        mode_connectivity(
            fitted(), DATA, architecture=architecture, steps=20, batch_size=20, match=False, curve=False, seed=seed
        )
        for seed in (0, 0, 1)
    ]
    assert torch.equal(lines[0]["linear_train_loss_path"], lines[1]["linear_train_loss_path"])
    assert not torch.equal(lines[0]["linear_train_loss_path"], lines[2]["linear_train_loss_path"])
    assert {key.split("_")[0] for key in lines[0]} == {"alphas", "linear"}


def test_a_net_without_a_chain_of_layers_needs_match_false():
    def skips(shape: tuple[int, ...], outputs: int) -> nn.Module:
        return mlp(shape, outputs, depth=2, width=8, skip=True)

    torch.manual_seed(0)
    model = skips((6,), 2).double()
    with pytest.raises(ValueError, match="no plain chain"):
        mode_connectivity(model, DATA, architecture=skips, steps=1, batch_size=20)
    mode_connectivity(model, DATA, architecture=skips, steps=1, batch_size=20, match=False)


def test_keeps_the_contract_of_probes():
    def architecture_with_norm(shape: tuple[int, ...], outputs: int) -> nn.Module:
        return architecture(shape, outputs, normalisation="batch")

    found = check_probe(
        lambda m, _: mode_connectivity(m, DATA, architecture=architecture_with_norm, steps=4, batch_size=20),
        net(normalisation="batch"),
        DATA.train,
    )
    assert found["curve_test_error_path"].shape == (31,)


def test_a_loss_that_needs_one_output_gets_it():
    torch.manual_seed(0)
    model = architecture((6,), 1).double()
    found = mode_connectivity(model, DATA, architecture=architecture, loss=logistic, steps=3, batch_size=20)
    assert 0 <= found["linear_test_error"] <= 1
