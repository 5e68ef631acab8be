"""The command line: exit codes, one message for what can't run, sweeps, help, completion, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from atml_exp.runs import Run

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = ", ".join(sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml")))

SMALL = (
    "dataset=gaussian_mixture",
    "model.width=4",
    "probe=[]",
    "recipe.steps=3",
    "recipe.batch_size=16",
    "progress=false",
    "device=cpu",
)


def runs(folder: Path) -> list[Path]:
    return sorted((folder / "outputs" / "runs").iterdir())


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


REFUSED = {
    "group": ("modle=mlp", "modle=mlp", "did you mean model?"),
    "nested group": ("+datset/wrapper=subset", "datset/wrapper", "did you mean dataset/wrapper?"),
    "key": ("model.widht=8", "model.widht=8", "depth, width, ", "did you mean width?"),
    "key below a value": ("model.width.x=8", "model.width has no key 'x'"),
    "new key": ("+model.widht=8", "model.widht = 8", "depth, width, ", "did you mean width?"),
    "new key at the top": ("+foo=1", "foo = 1", "the top level has no key 'foo'", "seed, device"),
    "choice": ("model=mpl", "model = mpl", MODELS, "did you mean mlp?"),
    "choice in a list": ("probe=[sharpness,prunning]", "probe = prunning", "did you mean pruning?"),
    "choice of a value": ("model.activation=rellu", "relu, leaky_relu, ", "did you mean relu?"),
    "two where one belongs": ("model=[mlp,cnn]", "model = [mlp,cnn]: one choice only"),
    "none where one belongs": ("model=null", "model = null", f"allowed: {MODELS}\n"),
    "added twice": (
        "+dataset/wrapper=subset +dataset/wrapper=label_noise",
        "+dataset/wrapper=subset: dataset/wrapper is chosen twice",
        "dataset/wrapper=[subset,label_noise]",
    ),
    "the same choice twice": ("probe=[sharpness,sharpness]", "sharpness is named twice", "allowed: each once"),
    "a corruption twice": ("+dataset/wrapper=[label_noise,label_noise]", "label_noise is named twice"),
    "added to a choice": ("+probe=sharpness", "+probe=sharpness: probe is chosen twice", "probe=[sharpness]"),
    "null for a list": ("probe=null", "probe = null", "or [] for none"),
    "type": ("model.width=wide", "model.width = wide", "a whole number greater than 0"),
    "range": ("model.width=0", "model.width = 0", "a whole number greater than 0"),
    "not finite": ("optimiser.learning_rate=inf", "optimiser.learning_rate = Infinity", "and finite"),
    "schedule": ("probe=[sharpness] probe.sharpness.every=5", "probe.sharpness.every = 5", "100it"),
    "device": ("device=tpu", "device = tpu", "auto, cpu, cuda or mps"),
    "experiment": (
        "experiment=edge_of_stabilty",
        "experiment = edge_of_stabilty",
        "did you mean edge_of_stability?",
    ),
    "sweep without --multirun": ("seed=0,1", "seed=0,1: names several values", "--multirun"),
    "grammar": ("model.width=[", "'model.width=['", "KEY=VALUE"),
    "no value": ("seed", "'seed'", "did you mean seed=VALUE?"),
    "no key": ("=3", "'=3'", "KEY=VALUE"),
    "deletes what isn't there": ("~x", "the top level has no key 'x'"),
    "deletes what must be there": ("~seed", "seed: missing", "a whole number at least 0"),
    "deletes one that must be chosen": ("~model", "~model: there must be one", f"model=NAME, of {MODELS}"),
    "deletes a choice with others below": ("~dataset", "~dataset: there must be one", "two_moons"),
    "output folder with a long name": (
        f"output_dir={'x' * 300}",
        "output_dir = xxx",
        "File name too long",
        "allowed:",
    ),
    "deletes a list of choices": ("~probe", "~probe", "probe=[] for none"),
    "interpolation": ("seed=${sed}", "seed stands for sed, which this config doesn't have", "did you mean seed?"),
    "interpolation within itself": ("seed=${seed}", "seed: Recursive interpolation"),
    "probe of another optimiser": (
        "optimiser=sgd probe=adam_sharpness",
        "probe.adam_sharpness.fn.beta1 stands for optimiser.beta1, which this config doesn't have",
        "choices with that key",
    ),
    "number with too many digits": (f"seed={'1' * 5000}", "seed=111", "Exceeds the limit (4300 digits)"),
    "duration with too many digits": (f"recipe.steps={'1' * 5000}it", "recipe.steps = ", "such as 500it"),
    "too many brackets": (f"model.width={'[' * 3000}", "model.width=[[[", "KEY=VALUE"),
    "home folder": ("output_dir=~/mine", "of ~ nothing is made here", f"output_dir={Path.home().as_posix()}/mine"),
    "letters of another terminal": ("output_dir=\udcc3\udcbcml", "LC_ALL=C.UTF-8"),
    "probe without its name": (
        "+probe._target_=atml_exp.probes.norms.norms +probe.every=1ep",
        "probe._target_ = atml_exp.probes.norms.norms: what is chosen for probe has a name",
        "whose first line is `NAME:`",
        "`fn:`",
    ),
    "untrusted code": ("model._target_=os.system", "model._target_ = os.system", "trusted_packages=[os]"),
    "misspelt code": ("model._target_=atml_exp.models.mlp.mpl", "has no 'mpl'", "did you mean mlp?"),
    "probe that doesn't fit": (
        "dataset=diabetes loss=mse probe=neural_collapse",
        "probe = neural_collapse: is for classification, but dataset = diabetes is a regression task",
        "probe=[]",
    ),
    "loss that doesn't fit": ("loss=hinge dataset=digits", "loss = hinge", "10 classes", "loss=cross_entropy"),
    "model that doesn't fit": ("model=cnn", "model = cnn: needs images", "(2,)"),
    "batch too large": ("recipe.batch_size=100000", "recipe.batch_size = 100000", "1 to "),
    "missing files": ("dataset=mnist dataset.root=.", "t10k-labels-idx1-ubyte", "dataset.download=true"),
    "empty folder of configs": ("--config-dir= model=mlp", "--config-dir: is empty"),
    "empty name": ("--config-name= model=mlp", "--config-name: is empty"),
    "completion of nothing": ("-sc", "--shell-completion", "install=bash"),
    "info about a choice that isn't there": ("--info=defaults-tree model=mpl", "did you mean mlp?"),
    "folder of configs": ("--config-dir=nowhere", "--config-dir nowhere: there is no such folder"),
    "one job of a sweep": ("--multirun seed=0,1,-1", "seed = -1"),
    "one job of a sweep doesn't fit": (
        "--multirun dataset=two_moons,diabetes",
        "diabetes is a regression task",
    ),
}


@pytest.mark.parametrize(("overrides", "words"), [(w[0], w[1:]) for w in REFUSED.values()], ids=REFUSED)
def test_what_cannot_run_is_one_message_and_leaves_nothing_behind(command, tmp_path, overrides, words):
    *flags, last = overrides.split() if overrides.startswith("--") else ["", overrides]
    message = command(*filter(None, flags), *SMALL, *last.split()).message
    assert [word for word in words if word not in message] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_here_is_refused(command, tmp_path):
    assert "device = cuda: not available here; allowed: auto, cpu" in command(*SMALL, "device=cuda").message
    assert list(tmp_path.iterdir()) == []


def test_all_problems_come_in_one_message(command):
    message = command(*SMALL, "seed=-1", "model.depth=0", "dtype=float16").message
    assert message.splitlines()[0] == "atml-exp: 3 problems:"
    assert all(key in message for key in ("seed = -1", "model.depth = 0", "dtype = float16"))


def test_a_run_ends_with_0_a_table_and_its_report_and_is_found_again(command, tmp_path):
    ended = command(*SMALL)
    (directory,) = runs(tmp_path)
    assert ended.code == 0
    assert f"run {directory.name}: complete" in ended.out
    assert f"report: {directory / 'report.html'}" in ended.out
    again = command(*SMALL)
    assert again.code == 0
    assert f"run {directory.name}: complete (was there already)" in again.out
    assert [p.name for p in tmp_path.iterdir()] == ["outputs"]


def test_a_sweep_leaves_ordinary_runs_that_a_second_call_and_a_single_one_reuse(command, tmp_path):
    first = command("--multirun", *SMALL, "seed=0,1")
    assert (first.code, first.out.count(": complete\n"), len(runs(tmp_path))) == (0, 2, 2)
    assert {Run(r).config["seed"] for r in runs(tmp_path)} == {0, 1}
    again = command("--multirun", *SMALL, "seed=0,1")
    assert (again.code, again.out.count("was there already"), len(runs(tmp_path))) == (0, 2, 2)
    assert "was there already" in command(*SMALL, "seed=1").out


BROKEN = """
def data(*, test_fraction, split_seed):
    raise RuntimeError("the disk is on fire")

def training(fit, population, *, fails: bool, **options):
    if fails:
        raise RuntimeError("the net is on fire")
    return fit(population, **options)
"""


@pytest.fixture
def broken(tmp_path, hydra_state):
    """A user's code that fails, in a file beside which the command is called."""
    (tmp_path / "broken.py").write_text(BROKEN)
    yield "trusted_packages=[broken]"
    sys.modules.pop("broken", None)


def test_a_job_of_a_sweep_that_fails_does_not_stop_the_others(command, tmp_path, broken):
    folder = tmp_path / "mine" / "recipe"
    folder.mkdir(parents=True)
    (folder / "burning.yaml").write_text("_target_: broken.training\n_partial_: true\nsteps: 3\nbatch_size: 16\n")
    sweep = ("recipe=burning", "+recipe.fails=true,false")
    ended = command("--multirun", "--config-dir=mine", *SMALL, broken, *sweep)
    assert ended.code == 1
    assert sorted(Run(r).status for r in runs(tmp_path)) == ["complete", "failed"]
    assert ended.err.splitlines()[-1].endswith("+recipe.fails=True: RuntimeError: the net is on fire")
    assert "sweep of 2 jobs: 1 complete, 1 failed" in ended.out
    assert "+recipe.fails=True: RuntimeError: the net is on fire" in ended.out


@pytest.mark.parametrize(
    "words", [["hydra.run.dir=afile/x"], ["--multirun", "hydra.sweep.dir=afile/x", "seed=0,1"]]
)
def test_a_folder_of_hydras_that_cannot_be_is_one_message(command, tmp_path, words):
    (tmp_path / "afile").touch()
    message = command(*SMALL, *words).message
    assert "dir=afile/x: Not a directory; allowed: a folder that can be written" in message
    assert not (tmp_path / "outputs").exists()


def test_a_reason_that_several_jobs_share_is_said_once_in_the_sweeps_table(command, tmp_path, broken):
    (tmp_path / "mine" / "recipe").mkdir(parents=True)
    burning = tmp_path / "mine" / "recipe" / "burning.yaml"
    burning.write_text("_target_: broken.training\n_partial_: true\nsteps: 3\nbatch_size: 16\nfails: true\n")
    ended = command("--multirun", "--config-dir=mine", *SMALL, broken, "recipe=burning", "seed=0,1,2")
    assert ended.code == 1
    assert ended.out.count("the net is on fire") == 1
    assert "  failed, 3 jobs: RuntimeError: the net is on fire\n" in ended.out
    assert [f"seed={seed}\n" in ended.out for seed in range(4)] == [True, True, True, False]


def test_an_error_that_is_not_the_configs_ends_with_1(command, broken):
    ended = command(*SMALL, broken, "dataset=wine", "dataset._target_=broken.data")
    assert ended.code == 1
    assert "the disk is on fire" in ended.err


def test_hydra_full_error_shows_where_a_message_comes_from(command, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    ended = command(*SMALL, "model=mpl")
    assert ended.code == 2
    assert "Traceback" in ended.err
    assert ended.err.splitlines()[-1].startswith("atml-exp: model = mpl")


def test_cfg_prints_the_config_and_trains_nothing(command, tmp_path):
    ended = command(*SMALL, "model.width=12", "--cfg", "job")
    assert ended.code == 0
    assert "  width: 12\n" in ended.out
    assert list(tmp_path.iterdir()) == []
    assert "did you mean width?" in command("model.widht=12", "--cfg", "job").message


def test_a_folder_of_configs_is_searched_too(command, tmp_path):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text(
        "_target_: atml_exp.models.mlp.mlp\n_partial_: true\nwidth: 2\n"
    )
    assert command("--config-dir=mine", *SMALL, "model=tiny", "model.width=3").code == 0
    (directory,) = runs(tmp_path)
    assert Run(directory).config["model"]["width"] == 3
    allowed = ", ".join(sorted([*MODELS.split(", "), "tiny"]))
    assert f"allowed: {allowed};" in command("--config-dir=mine", "model=tyny").message


@pytest.mark.parametrize(("text", "words"), [("a: [\n", "flow node"), ("3\n", "Invalid loaded object type")])
def test_a_file_of_configs_that_is_none_is_one_message(command, tmp_path, text, words):
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "bad.yaml").write_text(text)
    assert words in command("--config-dir=mine", *SMALL, "model=bad").message


def test_hydras_help_is_shown_whatever_else_is_chosen(command):
    ended = command("--hydra-help", *SMALL)
    assert (ended.code, "Hydra" in ended.out) == (0, True)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mod", {"model="}),
        ("model=", {"model=cnn", "model=mlp"}),
        ("dataset/wrapper=l", {"dataset/wrapper=label_noise"}),
        ("model=cnn model.", {"model.width=", "model.depth="}),
        ("experiment=", {"experiment=edge_of_stability"}),
    ],
)
def test_completion_offers_groups_choices_and_keys(command, monkeypatch, line, offered):
    monkeypatch.setenv("COMP_LINE", f"atml-exp {line}")
    ended = command("-sc", "query=bash")
    assert ended.code == 0
    assert offered <= set(ended.out.split())


def test_help_names_the_groups_and_does_without_torch(tmp_path):
    ended = python("-X", "importtime", "-m", "atml_exp", "--help")
    assert ended.returncode == 0
    assert all(word in ended.stdout for word in (f"model: {MODELS}", "dataset/wrapper:", "examples:"))
    assert "atml_exp.cli" in ended.stderr
    assert not any(line.endswith((" torch", " pandas", " sklearn")) for line in ended.stderr.splitlines())


def test_a_folder_that_cannot_be_written_is_one_message(command, tmp_path):
    (tmp_path / "outputs").touch()
    message = command(*SMALL).message
    assert message.startswith("atml-exp: output_dir = outputs: ")
    assert "allowed: a folder that can be written" in message


def test_help_for_what_is_no_override_is_one_message(command):
    assert "did you mean model=VALUE?" in command("--help", "model").message


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_the_same_command_completes(command, tmp_path):
    overrides = (*SMALL, "recipe.steps=6000", "recipe.evaluate_every=1000it", "checkpoint.interval=0.05")
    process = subprocess.Popen(
        [sys.executable, "-m", "atml_exp", *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a test in the background ignores it
    )
    began = time.monotonic()
    while not list(tmp_path.rglob("resume.safetensors")) and time.monotonic() - began < 60:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    (directory,) = runs(tmp_path)
    assert (process.returncode, out) == (130, "")
    assert "The same command goes on from there" in err
    assert str(directory.relative_to(tmp_path)) in err
    assert "Traceback" not in err
    assert f"run {directory.name}: complete" in command(*overrides).out
    assert Run(directory).series("train/loss")[0].tolist() == list(range(0, 6001, 1000))


def test_describe_prints_the_learning_system_and_trains_nothing(command, tmp_path):
    done = command("--describe", *SMALL)
    assert done.code == 0
    assert "Hypothesis class H  mlp(depth=2, width=4" in done.out
    assert "Sample S            gaussian_mixture: 1,000 training and 1,000 test examples" in done.out
    assert list(tmp_path.iterdir()) == []


def test_describe_says_what_is_wrong(command):
    done = command("--describe", "model.width=0")
    assert (done.code, "model.width = 0" in done.err) == (2, True)


def test_describe_of_a_sweep_is_that_of_each_job(command):
    done = command("--describe", "--multirun", *SMALL, "model.width=3,5")
    assert [f"width={width}" in done.out for width in (3, 4, 5)] == [True, False, True]
