"""A device is held by one process at a time; a killed one holds nothing back. No GPU is needed."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from atml_exp.launchers import devices
from atml_exp.launchers.devices import claimed, own_device

HOLD = """
import sys, time
from pathlib import Path
from atml_exp.launchers.devices import claimed
with claimed(["0", "1"], Path(sys.argv[1])) as number:
    print(number, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_each_process_has_a_device_of_its_own_and_waits_for_one(holder, tmp_path, monkeypatch):
    assert holder.stdout.readline() == "0\n"
    waited = []

    def wait(seconds):
        waited.append(seconds)
        holder.kill()
        holder.wait()

    monkeypatch.setattr(devices.time, "sleep", wait)
    with claimed(["0", "1"], tmp_path) as first:
        assert (first, waited) == (1, [])
        with claimed(["0", "1"], tmp_path) as second:
            assert second == 0  # of the process that was killed meanwhile
            assert len(waited) >= 1
    with claimed(["0", "1"], tmp_path) as free_again:
        assert free_again == 0


@pytest.fixture
def used(monkeypatch, tmp_path):
    """The devices that torch was told to use."""
    numbers = []

    @contextmanager
    def device(number):
        numbers.append(number)
        yield

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    return numbers


def test_a_population_has_one_of_several_devices(used, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    with own_device("auto"), own_device("cuda"):
        assert used == [0, 1]
    assert sorted(p.name for p in tmp_path.glob("*/*")) == ["5", "7"]
    with own_device("cpu"):
        assert len(used) == 2


def test_with_one_device_there_is_nothing_to_choose(used, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with own_device("cuda"), own_device("cuda"):
        assert used == []
    assert list(tmp_path.iterdir()) == []
