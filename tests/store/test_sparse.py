"""Packing loses no bit, and is done where it halves the size."""

import math

import pytest
import torch

from atml_exp.recorder import Checkpoint
from atml_exp.store.sparse import packed, unpacked


def sparse(shape, dtype, kept=0.1):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return values.masked_fill(torch.rand(shape, generator=generator) >= kept, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1003,), (17, 3, 50), (40, 40)])
def test_nothing_is_lost(dtype, shape):
    tensor = sparse(shape, dtype)
    stored, shapes = packed({"w": tensor, "b": torch.ones(5)})
    assert set(stored) == {"bits.w", "values.w", "b"}
    back = unpacked(stored, {**shapes, "step": "3"})
    assert back["w"].dtype == dtype
    assert torch.equal(back["w"], tensor)
    assert torch.equal(back["b"], torch.ones(5))


def test_minus_zero_and_what_is_not_finite_come_back_as_they_were():
    tensor = torch.zeros(1000)
    tensor[:3] = torch.tensor([-0.0, math.nan, -math.inf])
    stored, shapes = packed({"w": tensor})
    back = unpacked(stored, shapes)["w"]
    assert torch.equal(back.view(torch.int32), tensor.view(torch.int32))
    assert len(stored["values.w"]) == 3


def test_only_what_gets_half_as_large_is_packed():
    dense, few = sparse((1000,), torch.float32, kept=0.6), torch.zeros(20)
    counts, number = torch.zeros(1000, dtype=torch.int64), torch.tensor(0.0)
    tensors = {"dense": dense, "few": few, "counts": counts, "number": number}
    stored, shapes = packed(tensors)
    assert stored == tensors
    assert shapes == {}


def test_a_checkpoint_of_a_pruned_net_is_small_and_reads_as_any(tmp_path):
    weight = sparse((100, 100), torch.float32, kept=0.05)
    Checkpoint.save(tmp_path / "pruned.safetensors", {"weight": weight}, {"velocity": weight}, step=7)
    Checkpoint.save(
        tmp_path / "dense.safetensors", {"weight": torch.ones(100, 100)}, {"velocity": torch.ones(100, 100)}, step=7
    )
    found = Checkpoint(tmp_path / "pruned.safetensors")
    assert found.step == 7
    assert torch.equal(found.model["weight"], weight)
    assert torch.equal(found.optimiser["velocity"], weight)
    assert (tmp_path / "pruned.safetensors").stat().st_size < 0.1 * (tmp_path / "dense.safetensors").stat().st_size
