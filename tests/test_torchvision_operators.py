"""torchvision is imported in a fresh process: in this one somebody else may have done it before."""

import os
import subprocess
import sys

import pytest
import torch


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_datasets_transforms_and_resnet18_work():
    out = run("""
import gc, torch
from atml_exp.torchvision_operators import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
gc.collect()
assert hasattr(torch.ops.torchvision, "nms") and hasattr(torch.ops.torchvision, "qnms")
fake = torchvision.datasets.FakeData(size=2, image_size=(3, 8, 8))
from torchvision.transforms import v2
to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.RandomHorizontalFlip(1.0)])
assert to_tensor(fake[0][0]).shape == (3, 8, 8)
model = torchvision.models.resnet18(num_classes=4)
loss = model(torch.randn(2, 3, 32, 32)).square().mean()
loss.backward()
assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
print("fine")
""")
    assert out == "fine\n"


def test_nothing_happens_at_import():
    run("""
import sys, torch
import atml_exp.torchvision_operators
assert "torchvision" not in sys.modules
""")


def test_operators_that_are_there_are_left_alone():
    """Somebody else's nms, with a kernel, is kept; only qnms is declared."""
    run("""
import torch
library = torch.library.Library("torchvision", "FRAGMENT")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.impl("nms", lambda dets, scores, iou_threshold: torch.tensor([7]), "CompositeExplicitAutograd")
import atml_exp.torchvision_operators as operators
operators._load_compiled = lambda: False
operators.import_torchvision()
assert torch.ops.torchvision.nms(torch.rand(1, 4), torch.rand(1), 0.5).item() == 7
assert hasattr(torch.ops.torchvision, "qnms")
""")


@pytest.mark.skipif(torch.version.cuda is not None, reason="the compiled operators load on a CUDA torch")
def test_without_a_kernel_nms_refuses():
    run("""
import torch
from atml_exp.torchvision_operators import import_torchvision
torchvision = import_torchvision()
try:
    torch.ops.torchvision.nms(torch.rand(1, 4), torch.rand(1), 0.5)
except NotImplementedError:
    pass
else:
    raise AssertionError("an operator without a kernel returned")
""")


def test_the_compiled_file_is_found_without_an_import():
    run("""
import sys
from atml_exp.torchvision_operators import _compiled_files
assert [path.name.startswith("_C") for path in _compiled_files()] == [True]
assert "torchvision" not in sys.modules
""")
