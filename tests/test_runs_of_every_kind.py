"""`load` of many runs, of every kind, against a plain way to do it; and what a run more costs."""

import hashlib
import json
import subprocess
import sys
from textwrap import dedent

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import atml_exp
from atml_exp.recorder import RunWriter
from atml_exp.runs import metrics_table
from atml_exp.store import batchwise
from atml_exp.store.integrity import entry_of
from atml_exp.store.seals import sealed_json

NAMES = ("train/loss", "test/error")
MODELS = (
    {"_target_": "atml_exp.models.mlp.mlp", "_partial_": True, "width": 64, "sizes": [1, 2]},
    {"_target_": "atml_exp.models.cnn.cnn", "_partial_": True, "channels": 8, "width": None},
    {"_target_": "atml_exp.models.linear.linear"},
)


def config_of(i):
    rate = 0.1 if i % 3 else 1
    return {"seed": i, "model": MODELS[i % 3], "optimiser": {"learning_rate": rate, "nesterov": bool(i % 2)}}


def by_writer(root, i, status="complete", attempt=1):
    """A run of format 2 as it comes about; status None: it goes on."""
    run_id = f"{i:016x}"
    directory = root / "runs" / (run_id if attempt == 1 else f"{run_id}-{attempt}")
    writer = RunWriter(directory, {"run_id": run_id, "attempt": attempt, "config": config_of(i)}, "seed: 0\n")
    for step in range(i % 4):
        writer.scalars(step, step / 2, dict.fromkeys(NAMES[: 1 + i % 2], i + step / 3))
    if status in ("complete", "diverged"):
        writer.finish(status)
    elif status == "failed":
        writer.interrupt(status="failed")
    else:
        writer.close()


def of_format_1(root, i):
    directory = root / "runs" / f"{i:016x}"
    directory.mkdir(parents=True)
    info = {"run_id": directory.name, "attempt": 1, "config": config_of(i), "format_version": 1}
    (directory / "run.json").write_text(json.dumps({**info, "status": "complete"}))
    pq.write_table(metrics_table([(0, 0.0, "old/metric", float(i))]), directory / "metrics.parquet")


def plainly(root):
    """What `load` should give, run by run and row by row."""
    runs = {}
    for directory in sorted((root / "runs").iterdir()):
        info = json.loads((directory / "run.json").read_text())
        if info["attempt"] >= runs.get(info["run_id"], (None, info))[1]["attempt"]:
            runs[info["run_id"]] = directory, info
    heads, flats, rows = [], [], []
    for directory, info in runs.values():
        heads.append({key: info[key] for key in ("run_id", "attempt", "status")})
        flats.append(flat(info["config"]))
        rows.append(measured(directory))
    keys = list(dict.fromkeys(key for one in flats for key in one))
    every = [{**h, **row, **f} for h, f, some in zip(heads, flats, rows, strict=True) for row in some]
    return pd.DataFrame(every, columns=["run_id", "attempt", "status", "step", "epoch", "name", "value", *keys])


def flat(config):
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            if "_target_" in value:
                found[key] = value["_target_"].split(".")[-1]
            found |= {f"{key}.{inner}": v for inner, v in flat(value).items()}
        elif key != "_partial_":
            found[key] = str(value) if isinstance(value, list) else value
    return found


def measured(directory):
    path = directory / "metrics.parquet"
    if path.exists():
        return pq.read_table(path).to_pylist()
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [dict(zip(("step", "epoch", "name", "value"), json.loads(line), strict=False)) for line in lines]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    root = tmp_path_factory.mktemp("mixed")
    for i, status in enumerate(["complete", "complete", "diverged", "failed", None, "complete"] * 3):
        by_writer(root, i, status)
    by_writer(root, 3, "complete", attempt=2)
    by_writer(root, 3, "failed", attempt=10)
    for i in range(20, 24):
        of_format_1(root, i)
    return root


def assert_same(found, expected):
    pd.testing.assert_frame_equal(found.assign(name=found["name"].astype("str")), expected)


def test_runs_of_every_kind_are_what_reading_them_plainly_gives(mixed):
    expected = plainly(mixed)
    assert len(expected) > 40
    assert set(expected.status) == {"complete", "diverged", "failed", "running"}
    assert_same(atml_exp.load(mixed), expected)


def test_other_processes_read_the_same_and_say_what_is_damaged(mixed, monkeypatch):
    expected = plainly(mixed)
    monkeypatch.setattr(batchwise, "MANY", 2)
    monkeypatch.setattr(batchwise, "BATCH", 7)
    assert_same(atml_exp.load(mixed), expected)
    some = atml_exp.load(mixed, name="test/error", model="mlp")
    is_asked_for = (expected.name == "test/error") & (expected.model == "mlp")
    assert some.value.tolist() == expected[is_asked_for].value.tolist()
    damaged = mixed / "runs" / f"{7:016x}" / "metrics.parquet"
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:-5] + b"x" + sound[-4:])
    with pytest.warns(UserWarning, match=f"{7:016x}.metrics.parquet is damaged: .*SHA-256.*left out"):
        found = atml_exp.load(mixed)
    damaged.write_bytes(sound)
    assert set(expected.run_id) - set(found.run_id) == {f"{7:016x}"}


def test_one_row_for_each_run_of_every_kind(mixed):
    table = atml_exp.runs_table(mixed)
    assert len(table) == 22
    assert table.loc[table.run_id == f"{3:016x}", ["attempt", "status"]].to_numpy().tolist() == [[10, "failed"]]


def simulate(root, num_runs):
    """Finished runs of format 2 with a hundred config values and 20 rows."""
    rows = [(step, step / 2, name, 1 / (1 + step)) for step in range(10) for name in NAMES]
    sink = pa.BufferOutputStream()
    pq.write_table(metrics_table(rows), sink)
    metrics = sink.getvalue().to_pybytes()
    many = {f"group{g}": {f"key{k}": f"text {g}" if k % 2 else float(k) for k in range(10)} for g in range(10)}
    info = {"status": "complete", "format_version": 2, "files": {"metrics.parquet": entry_of(metrics)}}
    for i in range(num_runs):
        directory = root / "runs" / hashlib.sha256(str(i).encode()).hexdigest()[:16]
        directory.mkdir(parents=True)
        (directory / "metrics.parquet").write_bytes(metrics)
        own = {"run_id": directory.name, "config": {**many, "seed": i}}
        (directory / "run.json").write_bytes(sealed_json({**info, **own}))


@pytest.fixture(scope="module")
def thousands(tmp_path_factory):
    """Folders of 1,000 runs, and of these and 1,000 more."""
    root = tmp_path_factory.mktemp("thousands")
    simulate(root / "two", 2000)
    (root / "one" / "runs").mkdir(parents=True)
    for directory in sorted((root / "two" / "runs").iterdir())[::2]:
        (root / "one" / "runs" / directory.name).symlink_to(directory)
    return root / "one", root / "two"


def alone(script, *folders):
    """The numbers that the script prints, in a process without threads, garbage or a large heap of other tests."""
    line = [sys.executable, "-c", dedent(script), *map(str, folders)]
    ran = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    return [float(text) for text in ran.stdout.split()]


def test_twice_as_many_runs_take_about_twice_as_long(thousands):
    script = """
        import sys, time, atml_exp

        def processor_time(folder):
            began = time.process_time()
            frame = atml_exp.load(folder)
            return time.process_time() - began, len(frame)

        atml_exp.load(sys.argv[1], seed=0)
        for folder in sys.argv[1:] * 3:
            print(*processor_time(folder))
    """
    printed = alone(script, *thousands)
    times, rows = printed[::2], printed[1::2]
    assert rows == [20_000, 40_000] * 3
    one, two = min(times[::2]), min(times[1::2])  # what else the machine does can only add
    assert two < 2.6 * one, f"1,000 runs take {one:.2f} s, 2,000 take {two:.2f} s"
    assert two < 2, f"2,000 runs take {two:.2f} s"


def test_a_run_takes_up_little_memory(thousands):
    script = """
        import sys, tracemalloc, atml_exp

        atml_exp.load(sys.argv[1], seed=0)
        for read in (atml_exp.runs_table, atml_exp.load):
            tracemalloc.start()
            read(sys.argv[1])
            print(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    """
    for peak, limit in zip(alone(script, thousands[0]), (9_000, 20_000), strict=True):
        assert peak < 1000 * limit, f"a run more takes up {peak / 1000:.0f} bytes at the worst moment"
