"""`atml-exp-probe` on a run's checkpoints: the numbers of the training, bit for bit, and clear refusals."""

import csv
import json
import shutil

import pytest

from atml_exp.compose import compose
from atml_exp.probe_run import probe_run
from atml_exp.runner import run
from atml_exp.runs import Run

OVERRIDES = (
    "device=cpu",
    "progress=false",
    "dataset=gaussian_mixture",
    "dataset.num_train=100",
    "model.width=4",
    "recipe.steps=60",
    "recipe.batch_size=20",
    "checkpoint.keep=20it",
    "probe=[sharpness,fractal_dimension]",
    "probe.sharpness.every=20it",
    "probe.fractal_dimension.every=60it",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (result,) = run([compose([*OVERRIDES, f"output_dir={folder.as_posix()}"])])
    return Run(result.directory)


def measured(ended, folder):
    assert ended.code == 0, ended.err
    with open(folder / "table.csv", newline="") as file:
        return {(row["name"], int(row["step"])): float(row["value"]) for row in csv.DictReader(file)}


def test_the_runs_own_probes_give_the_recorded_numbers_bit_for_bit(probe_command, trained, tmp_path):
    table = measured(probe_command(trained.directory, "--csv", "table.csv"), tmp_path)
    for name in ("sharpness/top", "fractal_dimension/dimension"):
        steps, values = trained.series(name)
        assert len(steps) == (4 if name == "sharpness/top" else 1)
        assert [table[name, step] for step in steps] == values.tolist()


def test_another_probe_can_be_chosen_with_other_options(probe_command, trained, tmp_path):
    more = ("probe=[sharpness,neural_collapse]", "probe.sharpness.fn.k=2", "device=cpu")
    table = measured(probe_command(trained.directory, *more, "--csv", "table.csv"), tmp_path)
    assert {name.partition("/")[0] for name, _ in table} == {"sharpness", "neural_collapse"}
    assert table["sharpness/top", 60] == pytest.approx(trained.final["sharpness/top"], rel=1e-5)
    for step in (0, 20, 40, 60):
        assert table["sharpness/eigenvalues[0]", step] == pytest.approx(table["sharpness/top", step], rel=1e-6)
        assert table["sharpness/eigenvalues[1]", step] <= table["sharpness/eigenvalues[0]", step]


def test_an_option_alone_changes_the_runs_own_probe(trained):
    table = probe_run(trained.directory, ["probe.sharpness.fn.k=2", "+probe.sharpness.start=20it"])
    assert {"sharpness/eigenvalues[0]", "sharpness/eigenvalues[1]"} <= set(table.name)
    assert "trajectory/weights[size]" in set(table.name)
    assert not table.name.str.startswith("neural_collapse").any()


def test_it_prints_a_table(probe_command, trained):
    ended = probe_command(trained.directory, "probe=sharpness")
    assert (ended.code, ended.err) == (0, "")
    header, *rows = [line.split() for line in ended.out.splitlines()]
    assert header == ["step", "name", "value"]
    assert ["60", "sharpness/top", f"{trained.final['sharpness/top']:.8g}"] in rows


def test_nothing_in_the_run_directory_changes(probe_command, trained):
    before = {path: path.stat().st_mtime_ns for path in trained.directory.rglob("*")}
    assert probe_command(trained.directory, "probe=pruning").code == 0
    assert before == {path: path.stat().st_mtime_ns for path in trained.directory.rglob("*")}


def test_a_probe_that_fails_is_a_warning_and_the_others_are_measured(probe_command, trained, caplog):
    assert "sharpness/top" in probe_command(trained.directory).out
    assert "probe fractal_dimension failed at step 0: ValueError: " in caplog.text


def of_format_1(directory, target, *without):
    """A copy that lacks some files, which format 1 doesn't list."""
    copy = shutil.copytree(directory, target, ignore=shutil.ignore_patterns(*without))
    info = json.loads((copy / "run.json").read_bytes())
    former = {k: v for k, v in info.items() if k not in ("files", "checksum")} | {"format_version": 1}
    (copy / "run.json").write_text(json.dumps(former))
    return copy


def test_a_run_recorded_before_a_setting_existed_can_be_measured(probe_command, trained, tmp_path):
    old = of_format_1(trained.directory, tmp_path / "old")
    lines = (old / "config.yaml").read_text().splitlines(keepends=True)
    (old / "config.yaml").write_text("".join(line for line in lines if not line.startswith("force:")))
    assert probe_command(old, "probe=sharpness").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe=sharpnes"], ["probe = sharpnes: no such choice", "did you mean sharpness?"]),
        (["probe.sharpness.fn.k=0"], ["probe.sharpness.fn.k = 0: allowed: a whole number greater than 0"]),
        (["probe.sharpness.fn.kk=1"], ["probe.sharpness.fn has no key 'kk'", "did you mean k?"]),
        (["probe.pruning.fn.seed=1"], ["probe has no key 'pruning'; allowed: sharpness, trajectory"]),
        (["seed=1"], ["seed=1: a run can't be changed; allowed: probe=NAME"]),
        (["+probe=pruning"], ["+probe=pruning: a run can't be changed"]),
        (["device=tpu"], ["device = tpu: allowed: auto, cpu, cuda or mps"]),
        (["probe=[]"], ["nothing was measured; choose probe=NAME"]),
        (["--csv", "."], ["--csv .: exists already"]),
    ],
    ids=lambda value: value[0],
)
def test_what_cannot_be_measured_is_one_message(probe_command, trained, arguments, words):
    message = probe_command(trained.directory, *arguments).message
    assert [word for word in words if word not in message] == []


def test_a_probe_that_reads_what_was_not_recorded_is_refused(probe_command, trained, tmp_path):
    bare = of_format_1(trained.directory, tmp_path / "bare", "*.npz")
    message = probe_command(bare, "probe=fractal_dimension").message
    assert "probe.fractal_dimension.reads = trajectory/weights: this run hasn't recorded it" in message


def test_a_probe_that_does_not_fit_the_runs_task_is_refused(probe_command, tmp_path):
    small = ("dataset=diabetes", "loss=mse", "model.width=2", "recipe.steps=1", "probe=[]", "progress=false")
    (result,) = run([compose([*small, f"output_dir={tmp_path.as_posix()}"])])
    message = probe_command(result.directory, "probe=neural_collapse").message
    assert "probe = neural_collapse: is for classification, but dataset = diabetes is a regression task" in message


def test_a_directory_without_a_run_or_a_checkpoint_is_refused(probe_command, trained, tmp_path):
    assert "nowhere: not a run directory" in probe_command("nowhere").message
    bare = of_format_1(trained.directory, tmp_path / "bare", "*.safetensors")
    assert "bare: holds no checkpoint;" in probe_command(bare).message
