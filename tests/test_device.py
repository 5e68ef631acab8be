"""`auto` takes what is there; what isn't is refused in one sentence."""

import pytest
import torch

from atml_exp.device import choose_device
from atml_exp.errors import ConfigError


@pytest.fixture
def machine(monkeypatch):
    def has(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return has


@pytest.mark.parametrize(
    ("there", "dtype", "expected"),
    [
        ((), torch.float32, "cpu"),
        (("mps",), torch.float32, "mps"),
        (("mps",), torch.float64, "cpu"),
        (("cuda", "mps"), torch.float32, "cuda"),
        (("cuda",), torch.float64, "cuda"),
    ],
)
def test_auto(machine, there, dtype, expected):
    machine(*there)
    assert choose_device("auto", dtype).type == expected


def test_what_is_named_is_taken(machine):
    machine("cuda")
    assert choose_device("cpu", torch.float32).type == "cpu"
    assert choose_device("cuda", torch.float32).type == "cuda"


def test_what_is_not_there_is_refused(machine):
    machine()
    with pytest.raises(ConfigError, match=r"device = cuda: not available here; allowed: auto, cpu$"):
        choose_device("cuda", torch.float32)
    machine("mps", "cuda")
    with pytest.raises(ConfigError, match="device = mps: not available for float64 here; allowed: auto, cuda, cpu"):
        choose_device("mps", torch.float64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; test_auto tests the choice without")
def test_a_run_on_cuda_is_that_of_the_cpu(tmp_path):
    from atml_exp.compose import compose
    from atml_exp.runner import run

    tiny = [
        "recipe.steps=20",
        "model.width=8",
        "dtype=float64",
        "probe=[sharpness,neural_collapse]",
        "progress=false",
    ]
    for_each = [compose([*tiny, f"device={d}", f"output_dir={tmp_path / d}"]) for d in ("cpu", "cuda")]
    (cpu,), (cuda,) = run(for_each[:1]), run(for_each[1:])
    assert cuda.id == cpu.id
    assert cuda.final == pytest.approx(cpu.final, rel=1e-6)
