"""`atml-exp-doctor`: each thing that can be wrong with a machine is found, and a sound one is called sound."""

import json
import os
import subprocess
import sys

import pytest
import torch

from atml_exp.commands import doctor, doctor_cli


@pytest.fixture
def quick(monkeypatch):
    """Without the seconds of a large net."""
    monkeypatch.setattr(doctor, "_large_nets", lambda: doctor.Finding("large nets", "about 1 min"))


@pytest.fixture
def found(quick, tmp_path):
    """Findings by topic, as they are now."""
    return lambda folder=tmp_path: {finding.topic: finding for finding in doctor.examine(folder)}


def test_a_machine_on_which_tests_run_is_sound(found, tmp_path):
    findings = found()
    assert not [finding for finding in findings.values() if finding.grade == "broken"]
    assert f"{torch.__version__} (" in findings["torch"].said
    assert "GFLOP/s in float64" in findings["torch"].said
    assert findings["ray"].said == "installed"
    assert list(tmp_path.iterdir()) == []  # it has left nothing


def test_what_is_slow_is_said_with_what_to_do(found, monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda device: 1_000_000_000)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    findings = found()
    assert (findings["memory"].grade, findings["memory"].said) == ("slow", "1 GB free")
    assert "max_replicas" in findings["memory"].advice
    assert findings["processor"].advice == f"more threads than CPUs: OMP_NUM_THREADS={doctor._usable_cpus()}"


def test_a_busy_machine_is_told_from_an_idle_one(found, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(doctor, "_usable_cpus", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.9, 0.0, 0.0))
    assert found()["processor"].said == "2 CPUs, of which torch uses 2; load 1.9"
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 9.0, 9.0))
    assert found()["processor"].grade == "ok"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_driver_without_a_torch_that_uses_it_is_slow(found, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    finding = found()["GPU"]
    assert (finding.grade, "sees no GPU" in finding.said) == ("slow", True)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert found()["GPU"].said == "none: device=auto is the CPU"


def test_a_folder_that_cannot_be_written_is_broken(found, tmp_path):
    (tmp_path / "file").write_text("")
    finding = found(tmp_path / "file" / "outputs")["outputs"]
    assert finding.grade == "broken"
    assert "can be written" in finding.advice


def test_a_slow_folder_and_one_without_locks_are_said(found, monkeypatch):
    monkeypatch.setattr(doctor, "_write_files", lambda folder, number: doctor.time.sleep(0.03 * number))
    monkeypatch.setattr(doctor, "_locks", lambda folder: False)
    findings = found()
    assert findings["outputs"].grade == "slow"
    assert findings["locks"].said.endswith("files can't be locked")


def test_locks_are_tried_out(tmp_path):
    assert doctor._locks(tmp_path)


def test_an_extra_that_is_not_there_comes_with_its_command(found, monkeypatch):
    monkeypatch.setattr(doctor, "_is_installed", lambda name: name != "ray")
    finding = found()["ray"]
    assert (finding.grade, finding.said) == ("missing", "not installed (ray)")
    assert finding.advice == "to have it: pip install 'atml_exp[ray]'"


def test_a_login_is_told_and_never_shown(found, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert found()["wandb"].said.startswith("no login")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    assert found()["wandb"].said == "logged in"


@pytest.mark.parametrize(("minutes", "grade"), [(1.0, "ok"), (30.0, "slow")])
def test_an_epoch_of_a_large_net_is_measured(monkeypatch, minutes, grade):
    monkeypatch.setattr(doctor, "_seconds", lambda action: action() or minutes * 60 * 2 / 50_000)
    finding = doctor._large_nets(batch_size=2)
    assert finding.grade == grade
    assert f"about {minutes:.{0 if minutes >= 3 else 1}f} min for an epoch" in finding.said


def test_the_command_prints_each_finding_and_ends_with_0(quick, capsys, tmp_path):
    assert doctor_cli.main(["--output-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok      python       3.")


def test_something_broken_ends_with_1_and_json_says_the_same(quick, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert doctor_cli.main(["--json", "--output-dir", str(tmp_path / "file" / "x")]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert [f["topic"] for f in findings if f["grade"] == "broken"] == ["outputs"]


def test_help_does_without_torch():
    code = """if True:
        import sys
        from atml_exp.commands.doctor_cli import main
        try:
            main(["--help"])
        except SystemExit:
            print("torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")
