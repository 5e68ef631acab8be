"""Densities, rewinding and controls are exact; masks hold at every step, whatever the optimiser."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from atml_exp.compose import compose
from atml_exp.errors import ConfigError
from atml_exp.job import build_job
from atml_exp.layout import Layout
from atml_exp.masks import prunable
from atml_exp.runner import run
from atml_exp.runs import Run
from atml_exp.validate import validate

SMALL = (
    "dataset=gaussian_mixture", "model.width=8", "probe=[trajectory]", "probe.trajectory.start=0it", "device=cpu",
    "progress=false", "recipe=lottery_ticket", "recipe.rounds=2", "recipe.keep=0.5", "recipe.steps=12it",
    "recipe.rewind_to=3it", "recipe.batch_size=16", "recipe.evaluate_every=end",
)  # fmt: skip
CONFIGS = Path(__file__).parents[2] / "configs" / "optimiser"
OPTIMISERS = sorted(p.stem for p in CONFIGS.glob("*.yaml"))
END, FIRST, LAST = 12, (13, 22), (23, 32)
"""Of the dense training; recorded first and last step of each round."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def one(*overrides):
    (result,) = run([compose([*SMALL, *overrides])], reports=False)
    return Run(result.directory)


def weights_at(done, step):
    """(P,)."""
    steps, values = done.array("trajectory/weights")
    return torch.from_numpy(values[steps.tolist().index(step)])


def named(done, step):
    model = build_job(OmegaConf.create(done.config)).model
    return Layout.of(model).named(weights_at(done, step))


def kept(done, step):
    return {n: w != 0 for n, w in prunable(named(done, step)).items()}


def test_what_is_kept_is_the_largest_and_has_the_weights_of_the_step_that_it_goes_back_to():
    done = one()
    trained, rewound, early = (named(done, step) for step in (END, FIRST[0], 3))
    survivors = torch.cat([w[rewound[n] != 0].abs() for n, w in prunable(trained).items()])
    others = torch.cat([w[rewound[n] == 0].abs() for n, w in prunable(trained).items()])
    assert survivors.min() > others.max()
    assert len(survivors) == round(0.5 * (len(survivors) + len(others)))
    for name, weight in rewound.items():
        at = weight != 0
        assert torch.equal(weight[at], early[name][at])  # bit for bit
        assert weight.dim() == 2 or torch.equal(weight, early[name])
    assert done.series("mask/density")[1].tolist() == pytest.approx([0.5, 0.25], abs=0.01)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_masks_hold_at_every_step(optimiser):
    options = ("optimiser.weight_decay=0.01",) if optimiser in ("momentum", "adam", "adamw", "sgd") else ()
    asks_for_all = "batch_size: null" in (CONFIGS / f"{optimiser}.yaml").read_text(encoding="utf-8")
    full = ("recipe.batch_size=null",) if asks_for_all else ()
    done = one(f"optimiser={optimiser}", *options, *full)
    mask = torch.cat([m.flatten() for m in prunable(named(done, LAST[0])).values()]) == 0
    assert 0.7 < mask.double().mean() < 0.8
    for step in range(LAST[0], LAST[1] + 1):
        now = torch.cat([w.flatten() for w in prunable(named(done, step)).values()])
        assert (now[mask] == 0).all()
    assert (weights_at(done, LAST[0]) != weights_at(done, LAST[1])).any()


def test_adam_begins_anew_in_each_round():
    done = one("optimiser=adam", "optimiser.learning_rate=0.01", "recipe.rounds=1")
    first = weights_at(done, FIRST[0] + 1) - weights_at(done, FIRST[0])
    moved = first[first != 0].abs()
    assert moved.max() == pytest.approx(0.01, rel=1e-3)  # its first step is η·g/|g|


def test_a_later_mask_lies_within_the_earlier():
    for arm in ("ticket", "random"):
        done = one(f"recipe.arm={arm}")
        first, second = kept(done, FIRST[0]), kept(done, LAST[0])
        assert all((first[n] | ~second[n]).all() for n in first)
        assert sum(int(m.sum()) for m in second.values()) == round(0.25 * sum(m.numel() for m in second.values()))


def test_controls_share_what_they_are_to_share_with_the_ticket():
    ticket, redrawn, shuffled, random = (
        one(f"recipe.arm={a}") for a in ("ticket", "redrawn", "shuffled", "random")
    )
    mask = kept(ticket, FIRST[0])
    assert all(torch.equal(m, mask[n]) for n, m in kept(redrawn, FIRST[0]).items())
    other = kept(shuffled, FIRST[0])
    assert {n: int(m.sum()) for n, m in other.items()} == {n: int(m.sum()) for n, m in mask.items()}
    assert any(not torch.equal(m, mask[n]) for n, m in other.items())
    early, ours, drawn = named(ticket, 3), named(shuffled, FIRST[0]), named(redrawn, FIRST[0])
    for name, m in other.items():
        assert torch.equal(ours[name][m], early[name][m])
        assert not torch.isclose(drawn[name][mask[name]], early[name][mask[name]]).any()
    assert torch.equal(weights_at(random, END), weights_at(ticket, END))
    counts = [int(m.sum()) for m in kept(random, FIRST[0]).values()]
    assert sum(counts) == sum(int(m.sum()) for m in mask.values())
    assert counts != [int(m.sum()) for m in mask.values()]  # over all layers, not layer by layer


def test_the_masks_of_a_control_are_those_of_the_ticket_in_the_second_round_too():
    ticket, redrawn = one(), one("recipe.arm=redrawn")
    second = redrawn.info["steps"] - 12  # a redrawn net begins at step 0
    assert all(torch.equal(m, kept(ticket, LAST[0])[n]) for n, m in kept(redrawn, second).items())


def test_dense_is_one_training_of_the_unpruned_net():
    done = one("recipe.arm=dense")
    assert done.info["steps"] == END
    assert torch.equal(weights_at(done, END), weights_at(one(), END))
    assert done.series("mask/density")[1].tolist() == []


@pytest.mark.parametrize(("arm", "second"), [("ticket", 23), ("random", 23), ("shuffled", 33), ("redrawn", 36)])
def test_untrained_nets_are_those_that_would_be_trained(arm, second):
    """look_at=untrained measures the weights with which the trainings of look_at=trained begin. second: when."""
    trained, untrained = one(f"recipe.arm={arm}"), one(f"recipe.arm={arm}", "recipe.look_at=untrained")
    steps, _ = untrained.array("trajectory/weights")
    assert steps.tolist()[-3:] == [3, 13, 24]
    for here, there in zip([3, 13, 24], [3, FIRST[0], second], strict=True):
        assert torch.equal(weights_at(untrained, here), weights_at(trained, there))


def test_structured_tickets_lose_whole_units_with_their_biases():
    done = one("recipe.scope=unit", "recipe.rounds=1")
    mask, biases = kept(done, FIRST[0]), named(done, FIRST[0])
    for name in list(mask)[:-1]:
        whole = mask[name].flatten(1)
        assert (whole.all(1) | ~whole.any(1)).all()
        assert int(whole.any(1).sum()) == 4
        assert torch.equal(biases[name.replace("weight", "bias")] != 0, whole.any(1))
    assert mask[list(mask)[-1]].all()


def test_an_emptied_layer_is_said(caplog):
    done = one("recipe.rounds=1", "recipe.keep=0.001", "model.depth=5")
    assert "leaves nothing of" in caplog.text
    assert done.series("mask/emptied_layers")[1][-1] >= 1


def test_density_is_checked_before_any_training():
    for keep in ("0", "1.2"):
        with pytest.raises(ConfigError, match=r"recipe\.keep = "):
            validate(compose([*SMALL, f"recipe.keep={keep}"]))
