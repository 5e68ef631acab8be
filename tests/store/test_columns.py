"""The config's values of very many runs, and a frame of them beside the metrics."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from atml_exp.runs import FIRST
from atml_exp.store.columns import BLOCK, Columns, beside, one_row_each

CONFIGS = (
    {"run_id": "a", "attempt": 1, "status": "complete", "seed": 0, "model": "mlp", "model.skip": None},
    {"run_id": "b", "attempt": 1, "status": "complete", "model": "cnn", "model.width": 2.5, "flag": True},
    {"run_id": "c", "attempt": 2, "status": "complete", "seed": 3, "flag": None, "model": None},
)


def columns(configs):
    layouts = {}
    return [Columns(config, layouts) for config in configs]


@pytest.mark.parametrize("chosen", [(0,), (0, 1), (2, 1, 0), (1, 2), (0, 0, 2), ()])
def test_types_and_order_are_those_that_pandas_gives_dictionaries(chosen):
    configs = [CONFIGS[i] for i in chosen]
    keys = list(dict.fromkeys([*FIRST, *(key for config in configs for key in config)]))
    pd.testing.assert_frame_equal(one_row_each(columns(configs), FIRST), pd.DataFrame(configs, columns=keys))


@pytest.mark.parametrize("lengths", [(2, 0, 3), (0, 0, 0), (BLOCK, 1, BLOCK + 7)])
def test_each_run_has_its_values_beside_as_many_rows_as_it_measured(lengths):
    per_run = one_row_each(columns(CONFIGS), FIRST)
    rows = pd.DataFrame({"step": np.arange(sum(lengths))})
    expected = per_run.take(np.repeat(np.arange(3), lengths)).reset_index(drop=True)
    found = beside(per_run, lengths, rows)
    pd.testing.assert_frame_equal(found.drop(columns="step"), expected)
    assert list(found.columns[:4]) == [*FIRST, "step"]


def test_runs_with_the_same_keys_share_them():
    first, second = columns([CONFIGS[0], {**CONFIGS[0], "seed": 9}])
    assert first.layout is second.layout
    assert second["seed"] == 9
    with pytest.raises(KeyError):
        first["width"]


def test_a_run_takes_up_little_beside_its_values():
    used = min(memory_of_a_run() for _ in range(3))  # what else this process does can only add
    assert used < 2000, f"{used:.0f} bytes for 150 values; a dictionary takes more than 5,000"


def memory_of_a_run():
    configs = [{f"group.key{k}": "text" if k % 2 else i for k in range(150)} for i in range(2)]
    layouts = {}
    tracemalloc.start()
    runs = [Columns(configs[i % 2], layouts) for i in range(5000)]
    used = tracemalloc.get_traced_memory()[0] / len(runs)
    tracemalloc.stop()
    return used


def test_a_text_throughout_takes_up_no_memory_in_a_long_table():
    per_run = one_row_each(columns([CONFIGS[0]] * 2), FIRST)
    found = beside(per_run, [2_000_000, 1], pd.DataFrame({"step": np.zeros(2_000_001, np.int8)}))
    text = found["model"].array.__arrow_array__()
    assert text.get_total_buffer_size() < 2_000_000
    assert found["model"].iloc[-1] == "mlp"
