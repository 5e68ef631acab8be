"""Whoever writes into the data is named, however it is written, and reading them is no offence."""

import pytest
import torch

from atml_exp.data import Dataset, Split
from atml_exp.data_guard import MODEL, DataChangedError, DataGuard, tensors_of


def dataset(x=None):
    x = torch.rand(6, 4) if x is None else x
    n = len(x)
    train = Split(x, torch.arange(n) % 2, torch.arange(n) % 2, torch.rand(n))
    test = Split(torch.rand(3, *x.shape[1:]), torch.zeros(3, dtype=torch.long))
    return Dataset("d", train, test, 2, clean_labels=torch.zeros(n, dtype=torch.long))


def swap(t):
    t.numpy()[[0, 1]] = t.numpy()[[1, 0]]


def swap_columns(t):
    t.numpy()[:] = t.numpy()[:, ::-1].copy()


def last_bit(t):
    t.view(torch.int32).numpy()[-1, -1] ^= 1


CHANGES = {
    "zero": lambda t: t.data.zero_(),
    "one bit": last_bit,
    "examples exchanged": swap,
    "columns exchanged": swap_columns,
    "sign of zero": lambda t: t.numpy().__setitem__((2, 2), -0.0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_a_change_past_torch_is_found(change, layout):
    x = torch.rand(6, 4) if layout == "contiguous" else torch.rand(4, 6).T
    x[2, 2] = 0.0
    guard, count = DataGuard([dataset(x)]), x._version
    guard.compare(0)
    CHANGES[change](x)
    assert x._version == count
    with pytest.raises(DataChangedError, match=r"wrote into the data through numpy or \.data"):
        guard.compare(1)


def test_a_change_anywhere_in_any_tensor_of_any_type_is_found():
    data = dataset()
    tensors = tensors_of(data)
    assert len(tensors) == 7
    for tensor in tensors:
        guard = DataGuard([data])
        tensor.data[-1] = 1 - tensor.data[-1]
        with pytest.raises(DataChangedError):
            guard.compare(0)


def test_data_larger_than_a_block_are_read_to_their_end(monkeypatch):
    monkeypatch.setattr("atml_exp.data_guard.BLOCK", 40)
    for x in (torch.zeros(7, 5, dtype=torch.float64), torch.zeros(5, 7, dtype=torch.bfloat16).T, torch.zeros(0, 2)):
        guard = DataGuard([dataset(x)])
        guard.compare(0)
        if x.numel():
            x.data[-1, -1] = 1
            with pytest.raises(DataChangedError):
                guard.compare(0)


def test_the_first_measurement_of_a_probe_names_it_and_later_all_who_were_near_are():
    data = dataset()
    guard = DataGuard([data])
    guard.will_measure(["train", "a"], 0)
    guard.was_near("train", MODEL, 0)
    data.train.x.data[0] = 7
    with pytest.raises(DataChangedError, match=r"^probe a wrote .*, at step 0: it must work on a copy$"):
        guard.was_near("a", "probe a", 0)
    guard = DataGuard([data])
    guard.will_measure(["a"], 3)
    guard.was_near("a", "probe a", 3)
    guard.was_near("a", "probe a", 4)
    guard.trained()
    data.test.x.data[0] = 7
    with pytest.raises(DataChangedError, match=r"^one of probe a, the model wrote .*, between steps 3 and 5"):
        guard.will_measure(["a", "b"], 5)


def test_replicas_that_share_their_data_are_read_once(monkeypatch):
    data, read = dataset(), []
    monkeypatch.setattr("atml_exp.data_guard._checksum", lambda t: read.append(t) or 0)
    DataGuard([data] * 5)
    assert len(read) == len(tensors_of(data))
