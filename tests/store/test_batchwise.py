"""A function over very many items, in several processes where that pays."""

import os
import subprocess
import sys

import pytest

from atml_exp.store.batchwise import BATCH, MANY, batchwise

SCRIPT = """
import os
from atml_exp.store.batchwise import BATCH, MANY, batchwise

def first_and_process(batch):
    if 7 in batch and len(batch) != BATCH:
        raise KeyError("seven")
    return batch[0], os.getpid()

found = batchwise(first_and_process, range(MANY + 1))
print([first for first, _ in found])
print(os.getpid() in [process for _, process in found])
try:
    batchwise(first_and_process, [*range(8, MANY + 8), 7])
except KeyError as error:
    print(error)
"""
"""Has no `if __name__ == "__main__":`: were it run again by the other processes, it would print more."""


def test_few_items_stay_in_this_process_in_order():
    assert batchwise(lambda batch: (batch[0], os.getpid()), range(BATCH + 1)) == [
        (0, os.getpid()),
        (BATCH, os.getpid()),
    ]
    assert batchwise(sum, []) == []


def test_many_go_to_others_in_order_and_an_error_comes_back(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "2"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str([*range(0, MANY + 1, BATCH)]), "False", "'seven'"]


@pytest.mark.parametrize("num_items", [BATCH - 1, BATCH, BATCH + 1])
def test_each_item_is_in_one_batch(num_items):
    assert sum(batchwise(len, range(num_items))) == num_items
