import torch

from atml_exp import memory


def test_what_this_machine_has():
    free = memory.available_memory(torch.device("cpu"))
    assert free is None or 1e6 < free < 1e15


def test_the_machine_says_it_in_kilobytes(tmp_path):
    said = tmp_path / "meminfo"
    said.write_text("MemTotal:       8000 kB\nMemAvailable:   3000 kB\n")
    assert memory._machine(said) == 3000 * 1024
    assert memory._machine(tmp_path / "no such file") is None


def test_a_container_leaves_what_its_limit_leaves(tmp_path):
    assert memory._container(tmp_path) is None
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert memory._container(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._container(tmp_path) is None


def test_the_smaller_counts(monkeypatch):
    monkeypatch.setattr(memory, "_machine", lambda: 5)
    monkeypatch.setattr(memory, "_container", lambda folder: 3)
    assert memory.available_memory(torch.device("cpu")) == 3
    monkeypatch.setattr(memory, "_container", lambda folder: None)
    assert memory.available_memory(torch.device("cpu")) == 5
