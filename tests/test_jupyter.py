"""A real kernel runs a notebook: a bar in the cell, an error as one message, an interruption that loses nothing."""

import io
import re
import sys
from types import SimpleNamespace

import pytest

from atml_exp.jupyter import NotebookBar, in_jupyter
from atml_exp.progress import Progress, SweepProgress

CELLS = {
    "sweep": """
import os, signal, threading, time
from pathlib import Path
import atml_exp
SMALL = ["device=cpu", "dataset=gaussian_mixture", "probe=[]", "model.width=4", "recipe.evaluate_every=end"]
results = atml_exp.run([*SMALL, "recipe.steps=2000it", "seed=range(2)"])
results""",
    "again": """results = atml_exp.run([*SMALL, "recipe.steps=2000it", "seed=range(2)"])""",
    "refused": """atml_exp.run("modl=mlp")""",
    "interrupted": """
def interrupt():
    while not list(Path("interrupted").glob("runs/*/run.json")):
        time.sleep(0.05)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
atml_exp.run([*SMALL, "recipe.steps=300000it"], output_dir="interrupted")""",
    "kept": """
(directory,) = Path("interrupted/runs").iterdir()
run = atml_exp.Run(directory)
print(run.status, len(run.checkpoints), atml_exp.restore(run).model.training)""",
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The outputs of each cell, and the HTML of each redrawing within it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    redrawn = {name: [] for name in CELLS}

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, cell_index):
            if msg["msg_type"] == "update_display_data":
                redrawn[list(CELLS)[cell_index]].append(msg["content"]["data"]["text/html"])
            return super().process_message(msg, cell, cell_index)

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()])
    folder = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    Client(notebook, timeout=300, kernel_name="python3", allow_errors=True, resources=folder).execute()
    outputs = {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}
    return SimpleNamespace(outputs=outputs, redrawn=redrawn)


def test_a_sweep_is_one_bar_that_is_redrawn_and_ends_full(executed):
    bar, table = executed.outputs["sweep"]
    assert '<progress value="2000" max="2000"' in bar.data["text/html"]
    assert bar.data["text/plain"] == "sweep  2/2"
    assert "<table>" in table.data["text/html"]
    assert len(executed.redrawn["sweep"]) >= 1
    assert "models/s" in "".join(executed.redrawn["sweep"][:-1]) or len(executed.redrawn["sweep"]) == 1


def test_what_is_there_shows_no_bar(executed):
    assert executed.outputs["again"] == []


def test_a_config_that_cannot_run_is_one_message(executed):
    (error,) = executed.outputs["refused"]
    assert error.output_type == "error"
    (line,) = error.traceback
    assert re.fullmatch(r"ConfigError: modl=mlp: the top level has no key 'modl'; .* did you mean model\?", line)


def test_an_interrupted_kernel_says_so_keeps_the_checkpoint_and_works_on(executed):
    outputs = executed.outputs["interrupted"]
    assert outputs[-1].ename == "KeyboardInterrupt"
    said = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")
    assert re.search(r"Interrupted at step [1-9]\d* of 300000\. The same command goes on from there", said)
    assert sum("text/html" in o.get("data", {}) for o in outputs) == 1
    (kept,) = executed.outputs["kept"]
    assert kept.text == "running 1 False\n"


class Shown:
    """Stands for IPython's handle of an output."""

    def __init__(self):
        self.bundles, self.redrawings = [], 0

    def display(self, bundle, *, raw):
        self.bundles.append(bundle)

    def update(self, bundle, *, raw):
        self.redrawings += 1
        self.bundles.append(bundle)


@pytest.fixture
def notebook(monkeypatch):
    """This process as a kernel, with a clock of which a step takes a tenth of a second."""
    shown, clock = Shown(), SimpleNamespace(now=100.0, perf_counter=lambda: clock.now)
    display = SimpleNamespace(DisplayHandle=lambda: shown)
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()), display=display)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr("atml_exp.progress.time", clock)
    return SimpleNamespace(shown=shown, clock=clock)


def train(progress, clock, steps, **postfix):
    with progress:
        for step in range(1, steps + 1):
            clock.now += 0.1
            progress.update(step, postfix)


def test_the_bar_is_redrawn_at_most_five_times_a_second_with_the_loss_beside_it(notebook, capsys):
    train(Progress(40, "digits <mlp>"), notebook.clock, 40, **{"train/loss": 0.0123})
    bundles = notebook.shown.bundles
    assert 12 <= len(bundles) <= 22
    assert notebook.shown.redrawings == len(bundles) - 1
    assert "digits &lt;mlp&gt; <progress" in bundles[10]["text/html"]
    assert "10 steps/s" in bundles[10]["text/html"]
    assert "train/loss 0.0123" in bundles[10]["text/html"]
    assert bundles[-1]["text/plain"] == "digits <mlp>  40/40 · train/loss 0.0123"
    assert capsys.readouterr() == ("", "")


def test_a_notebook_that_is_kept_holds_no_times(notebook):
    with SweepProgress(2, "sweep") as sweep:
        for _ in range(2):
            train(sweep.population(1, 10), notebook.clock, 10)
            sweep.end(1)
    assert "left" in notebook.shown.bundles[-2]["text/plain"]
    assert notebook.shown.bundles[-1]["text/plain"] == "sweep  2/2"


def test_the_bar_stays_where_training_was_stopped(notebook):
    def training():
        with Progress(40, "x") as progress:
            progress.update(1, {})
            progress.update(7, {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training()
    assert 'value="7" max="40"' in notebook.shown.bundles[-1]["text/html"]


def test_a_stream_that_is_given_and_progress_false_show_no_bar(notebook):
    stream = io.StringIO()
    train(Progress(40, "x", stream), notebook.clock, 40)
    train(Progress(40, "x", enabled=False), notebook.clock, 40)
    assert notebook.shown.bundles == []
    assert "40/40" in stream.getvalue()


def test_only_a_kernel_is_a_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_jupyter()
    assert "IPython" not in sys.modules
    for shell, expected in ((None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert in_jupyter() is expected


def test_a_bar_of_nothing_to_do_is_drawn(notebook):
    NotebookBar("x", 0).draw(0, "0/0")
    assert 'value="0" max="1"' in notebook.shown.bundles[0]["text/html"]
