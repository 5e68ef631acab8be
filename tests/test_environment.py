"""What a run was made with, and the command that asks for it."""

import torch

from atml_exp.environment import _git_state, command, environment


def test_versions_and_machine():
    found = environment()
    assert found["versions"]["torch"] == torch.__version__
    assert found["machine"]["cpus"] >= 1


def test_outside_of_a_command_line_there_is_no_command():
    assert command() is None


def test_code_that_a_repository_does_not_track_has_no_commit(tmp_path):
    import subprocess

    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    site_packages = tmp_path / ".venv" / "atml_exp"
    site_packages.mkdir(parents=True)
    assert _git_state(site_packages) is None
    (site_packages / "file").touch()
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    assert _git_state(site_packages)["dirty"] is True
