"""Training, figures and trained models by a call, as a notebook makes it."""

import threading
import warnings

import numpy as np
import pytest
import torch

import atml_exp
from atml_exp import sitting, train
from atml_exp.errors import ConfigError
from atml_exp.optimisers.adam import Adam
from atml_exp.probes.performance import performance
from atml_exp.runner import RunResult
from atml_exp.runs import Run

SMALL = ["device=cpu", "progress=false", "probe=[]", "model.width=8", "recipe.steps=20it", "checkpoint.keep=10it"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_sweep_gives_a_run_for_each_job_in_order_and_their_table():
    results = atml_exp.run([*SMALL, "seed=2,0", "model.activation=relu,tanh"])
    runs, frame = results
    assert [(r.config["seed"], r.config["model"]["activation"]) for r in runs] == [
        (2, "relu"),
        (2, "tanh"),
        (0, "relu"),
        (0, "tanh"),
    ]
    assert {r.status for r in runs} == {"complete"}
    assert list(frame["run_id"].unique()) == [r.id for r in runs]
    last = frame[frame["name"] == "test/error"].groupby("run_id", observed=True)["value"].last()
    assert all(last[r.id] == r.final["test/error"] for r in runs)


def test_the_runs_are_those_of_the_command_line_and_nothing_is_trained_twice(command):
    ended = command(*SMALL, "seed=3", "checkpoint.interval=0")
    assert ended.code == 0
    before = {p: p.stat().st_mtime_ns for p in (Run("outputs/runs")).directory.rglob("*.*")}
    (run,), _ = atml_exp.run([*SMALL, "seed=3"])
    assert [run.directory.name] == [p.name for p in (run.directory.parent).iterdir()]
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_overrides_can_be_one_line_and_no_overrides_are_the_default_experiment(monkeypatch):
    (run,), _ = atml_exp.run(" ".join(SMALL) + " seed=1")
    assert run.config["seed"] == 1
    monkeypatch.setattr("atml_exp.runner.run", lambda configs, **_: [pytest.fail(str(len(configs)))])
    with pytest.raises(pytest.fail.Exception, match=r"^1$"):
        atml_exp.run()


def test_the_output_folder_is_an_argument_with_any_characters(tmp_path):
    folder = tmp_path / "mine, of α = 1 (é)"
    (run,), _ = atml_exp.run(SMALL, output_dir=folder)
    assert run.directory.parent == folder / "runs"
    (again,), _ = atml_exp.run([*SMALL, "output_dir=elsewhere"])
    assert again.id == run.id
    assert str(again.directory.parent) == "elsewhere/runs"


def test_a_report_is_drawn_where_it_is_asked_for():
    (run,), _ = atml_exp.run(SMALL)
    assert not (run.directory / "report.html").exists()
    assert "report.html" not in run._repr_html_()
    (run,), _ = atml_exp.run(SMALL, reports=True)
    assert (run.directory / "report.html").exists()
    assert "report.html" in run._repr_html_()


REFUSED = {
    "modl=mlp": r"modl=mlp: the top level has no key 'modl'; allowed: .*; did you mean model\?",
    "model=mpl": r"model = mpl: no such choice; allowed: .*; did you mean mlp\?",
    "seed=-1": r"seed = -1: ",
    "--multirun": r"'--multirun': not an override; allowed: KEY=VALUE.*",
    "seed=interval(1,2)": r"seed=interval\(1,2\): an interval; allowed: values, 1,2,3.*",
    "objective=test/eror": r"objective = test/eror: no such metric; .*",
    "hydra/launcher=joblib": r"hydra/launcher=joblib: not for atml_exp.run, which trains here; allowed: .*",
    "output_dir=a": r"output_dir=a: output_dir is given as an argument too, 'b'; allowed: one of them",
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_cannot_run_is_one_message_and_nothing_is_written(override, tmp_path):
    with pytest.raises(ConfigError, match=f"^{REFUSED[override]}"):
        atml_exp.run([*SMALL, "model.depth=1,2", override], output_dir="b")
    assert list(tmp_path.iterdir()) == []
    assert len(atml_exp.run(SMALL).runs) == 1  # and the next call is none the worse


def test_a_notebook_shows_the_message_alone_and_the_traceback_where_it_is_asked_for(monkeypatch):
    with pytest.raises(ConfigError) as caught:
        atml_exp.run("modl=mlp")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert caught.value._render_traceback_() == [f"ConfigError: {caught.value}"]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert caught.value._render_traceback_()[0].startswith("Traceback")


def test_failed_jobs_of_a_sweep_are_warned_of_and_marked_in_the_table(monkeypatch):
    """Of three populations one fails while it trains, and one before it has a directory."""

    step = train.update

    def boom(population, optimiser, *args, **options):
        if isinstance(optimiser, Adam):
            raise RuntimeError("<b>boom</b>")
        return step(population, optimiser, *args, **options)

    def assemble(models, *args, **options):
        if sum(p.numel() for p in models[0].parameters()) > 650:
            raise OSError("no room")
        return whole(models, *args, **options)

    whole = sitting.assemble
    monkeypatch.setattr(train, "update", boom)
    monkeypatch.setattr(sitting, "assemble", assemble)
    message = r"^3 of 4 runs failed: .*depth=1 optimiser=adam: RuntimeError: <b>boom</b>, and so did 2 more$"
    with pytest.warns(UserWarning, match=message) as warned:
        results = atml_exp.run([*SMALL, "model.depth=1,2", "optimiser=sgd,adam"])
    assert [w.filename for w in warned if "runs failed" in str(w.message)] == [__file__]
    there = [(r.directory / "run.json").exists() for r in results.runs]
    assert there == [True, True, False, False]
    assert set(results.frame["status"]) == {"complete", "failed"}
    assert repr(results).count("failed") == 1
    html = results._repr_html_() + results.runs[1]._repr_html_()
    assert html.count(">failed</td>") == 2
    assert "&lt;b&gt;boom&lt;/b&gt;" in html
    assert "<b>" not in html


def test_the_error_of_a_single_run_is_raised(monkeypatch):
    def boom(self, *args, **options):
        raise RuntimeError("boom")

    monkeypatch.setattr(Adam, "update", boom)
    with pytest.raises(RuntimeError, match="boom"):
        atml_exp.run([*SMALL, "optimiser=adam"])


def test_results_are_shown_by_what_differs_and_how_they_ended():
    results = atml_exp.run([*SMALL, "seed=0,1,0", "optimiser=sgd,adam"])
    text = repr(results)
    assert text.startswith("Results: run ")
    assert text.count("complete") == 6
    html = results._repr_html_()
    head = "".join(f"<th>{name}</th>" for name in ("run", "optimiser", "seed", "status"))
    assert head in html
    assert html.count("<tr>") == 1 + 4
    final = results.runs[0].final
    assert f">{final['test/loss']:.4g}<" in html
    assert f">{100 * final['test/error']:.2f} %<" in html
    assert results.frame["run_id"].nunique() == 4


def test_a_run_is_shown_with_its_learning_system_escaped():
    (run,), _ = atml_exp.run(SMALL)
    run.info["system"]["domain"] = "<script>"
    html = run._repr_html_()
    assert run.id in html
    assert "hypothesis class" in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert repr(run) == f"Run({str(run.directory)!r})"


def test_a_restored_model_says_what_the_run_recorded():
    (run,), frame = atml_exp.run([*SMALL, "recipe.evaluate_every=10it", "dataset/wrapper=[label_noise]"])
    errors = frame[frame["name"] == "test/error"].set_index("step")["value"]
    for step in (10, 20, None):
        model, data = atml_exp.restore(run if step else str(run.directory), step)
        assert not model.training
        found = performance(model, data.test)["error"]
        assert float(found) == errors[step or 20]
    assert len(errors.unique()) > 1


def test_restoring_what_is_not_there_is_one_message(tmp_path):
    (run,), _ = atml_exp.run(SMALL)
    with pytest.raises(ConfigError, match=r"no checkpoint of step 11; allowed: .*10, 20$"):
        atml_exp.restore(run, 11)
    with pytest.raises(ConfigError, match="not a run directory"):
        atml_exp.restore(tmp_path)
    with pytest.raises(ConfigError, match=r"^device = gpu"):
        atml_exp.restore(run, device="gpu")


def test_a_call_works_in_another_thread_and_changes_no_global_state():
    state = torch.get_rng_state(), np.random.get_state()[1].tolist()
    found = []
    thread = threading.Thread(target=lambda: found.append(atml_exp.run(SMALL)))
    thread.start()
    thread.join()
    assert found[0].runs[0].status == "complete"
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == np.random.get_state()[1].tolist()


def test_a_figure_is_made_and_shown_with_its_claims():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = atml_exp.figure("impossibility_region", "scale=smoke", "progress=false", output_dir="here")
    assert made.png.read_bytes().startswith(b"\x89PNG")
    assert {c.verdict for c in made.claims} == {"holds"}
    html = made._repr_html_()
    assert html.count("<") == 1
    assert 'alt="holds: ' in html
    assert "data:image/png;base64,iVBORw0" in html


def test_a_figure_that_cannot_be_made_says_why(monkeypatch):
    with pytest.raises(ConfigError, match=r"figure edge_of_stabilty: .*did you mean edge_of_stability\?"):
        atml_exp.figure("edge_of_stabilty")
    with pytest.raises(ConfigError, match="scale = smok"):
        atml_exp.figure("gd_paths_2d", "scale=smok")
    from atml_exp.figure_make import Outcome

    failed = Outcome(
        [("first", ["seed=0"])], [RunResult("a", Run("a").directory, "failed", False, {}, "why")], None
    )
    monkeypatch.setattr("atml_exp.figure_make.make", lambda *args, **options: failed)
    with pytest.raises(RuntimeError, match=r"^gd_paths_2d is not drawn, since runs failed:\nfirst seed=0: why$"):
        atml_exp.figure("gd_paths_2d")
