"""scripts/run, test and benchmark set up once and say plainly what is missing: a stub plays Python and pip here."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Answers `-c` with the real interpreter (after $PRELUDE), and plays venv, pip and the checkers.
STUB = f"""#!/usr/bin/env bash
real={sys.executable}
case "$*" in
    *"-m venv "*) mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
    *"-m pip --version") ;;
    *"-m pip install "*)
        echo "$*" >>"$CALLS"
        sleep "${{PIP_SECONDS:-0}}"
        if [ -n "${{PIP_FAILS:-}}" ]; then echo "ERROR: no matching distribution"; exit 1; fi
        for command in atml-exp atml-figures; do
            printf '#!/usr/bin/env bash\\necho "$PWD" "$@"\\n' >"${{0%/*}}/$command"
            chmod +x "${{0%/*}}/$command"
        done ;;
    *" -c "*) exec "$real" -E -S -c "${{PRELUDE:-}}
${{@: -1}}" ;;
    *) echo "ran: $*"; case "$*" in *"${{FAILS:-nothing}}"*) exit 3 ;; esac ;;
esac
"""
OLD = "import sys; sys.version_info = (3, 9, 6, 'final', 0)"
BARE = "import sys; sys.version_info = (3, 12, 1, 'final', 0); sys.modules['ensurepip'] = None"


class Checkout:
    """A repository with the real scripts, and a stub for Python; each call of pip install is a line in a file."""

    def __init__(self, tmp: Path) -> None:
        self.root = tmp / "a checkout"
        self.root.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.python = tmp / "stub python"
        self.python.write_text(STUB)
        self.python.chmod(0o755)
        self.calls = tmp / "calls"
        self.elsewhere = tmp / "elsewhere"
        self.elsewhere.mkdir()

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def installs(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def start(self, script: str, *args: str, **env: str) -> "subprocess.Popen[str]":
        stub = {"PYTHON": str(self.python), "CALLS": str(self.calls)}
        return subprocess.Popen(
            [str(self.root / script), *args],
            cwd=self.elsewhere,
            env={**os.environ, **stub, **env},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __call__(self, script: str, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        process = self.start(script, *args, **env)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def installing(checkout: Checkout) -> Iterator["subprocess.Popen[str]"]:
    """A set-up that has come as far as pip and stays there until it is killed."""
    process = checkout.start("scripts/run", PIP_SECONDS="60")
    deadline = time.monotonic() + 30
    while not checkout.installs and time.monotonic() < deadline:
        time.sleep(0.02)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_first_call_installs_and_the_second_only_runs(checkout: Checkout) -> None:
    first = checkout("scripts/run", "model=cnn", "name=a b")
    assert first.stdout == f"{checkout.elsewhere} model=cnn name=a b\n"
    assert first.returncode == 0
    assert "the first time takes some minutes" in first.stderr
    (call,) = checkout.installs
    assert call.endswith("-c constraints.txt -e .")
    second = checkout("scripts/run")
    assert (second.stdout, second.stderr) == (f"{checkout.elsewhere}\n", "")
    assert len(checkout.installs) == 1


def test_figures_are_made_with_the_set_up_of_run(checkout: Checkout) -> None:
    checkout("scripts/run")
    made = checkout("scripts/figures", "make", "random_labels")
    assert (made.stdout, made.returncode) == (f"{checkout.elsewhere} make random_labels\n", 0)
    assert len(checkout.installs) == 1


def test_the_documentation_is_built_with_its_own_extra(checkout: Checkout) -> None:
    built = checkout("scripts/docs", "site")
    script = checkout.root / "scripts" / "documentation" / "build_documentation.py"
    assert (built.stdout, built.returncode) == (f"ran: {script} site\n", 0)
    assert [call.rpartition(" ")[2] for call in checkout.installs] == [".[docs]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_change_of_what_is_needed_installs_again(checkout: Checkout, name: str) -> None:
    checkout("scripts/run")
    with (checkout.root / name).open("a") as file:
        file.write("# another\n")
    assert checkout("scripts/run").returncode == 0
    assert len(checkout.installs) == 2


def test_a_moved_checkout_installs_again(checkout: Checkout) -> None:
    checkout("scripts/run")
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    assert checkout("scripts/run").returncode == 0
    assert len(checkout.installs) == 2


def test_an_extra_is_installed_once_and_serves_run_as_well(checkout: Checkout) -> None:
    for script in ("scripts/test", "scripts/run", "scripts/benchmark", "scripts/test", "scripts/run"):
        assert checkout(script).returncode == 0
    assert [call.rpartition(" ")[2] for call in checkout.installs] == [".[test]", ".[benchmark]"]


def test_a_failed_installation_shows_pips_last_lines_and_is_done_again(checkout: Checkout) -> None:
    failed = checkout("scripts/run", PIP_FAILS="yes")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "Installing failed" in failed.stderr
    assert "  ERROR: no matching distribution\n" in failed.stderr
    assert checkout("scripts/run").returncode == 0
    assert len(checkout.installs) == 2


def test_an_installation_that_was_killed_is_done_again(
    checkout: Checkout, installing: "subprocess.Popen[str]"
) -> None:
    os.killpg(installing.pid, signal.SIGKILL)
    installing.communicate()
    assert checkout("scripts/run").returncode == 0
    assert len(checkout.installs) == 2


def test_two_set_ups_at_once_install_once(checkout: Checkout) -> None:
    processes = [checkout.start("scripts/run", str(i), PIP_SECONDS="1") for i in range(3)]
    results = [p.communicate(timeout=60) for p in processes]
    assert [out for out, _ in results] == [f"{checkout.elsewhere} {i}\n" for i in range(3)]
    assert len(checkout.installs) == 1
    assert sum("waiting for its end" in err for _, err in results) == 2


def test_a_venv_whose_interpreter_is_gone_is_remade(checkout: Checkout) -> None:
    checkout("scripts/run")
    (checkout.venv / "bin/python").unlink()
    (checkout.venv / "leftover").touch()
    assert checkout("scripts/run").returncode == 0
    assert not (checkout.venv / "leftover").exists()
    assert len(checkout.installs) == 2


def test_a_venv_of_another_version_than_the_python_asked_for_is_remade(checkout: Checkout) -> None:
    checkout("scripts/run")
    newer = checkout.python.with_name("newer")
    newer.write_text(STUB.replace("${PRELUDE:-}", "import sys; sys.version_info = (3, 99, 1, 'final', 0)"))
    newer.chmod(0o755)
    assert "with Python 3.99.1" in checkout("scripts/run", PYTHON=str(newer)).stderr
    assert checkout("scripts/run", PYTHON=str(newer)).stderr == ""


@pytest.mark.parametrize(
    ("prelude", "reason"),
    [(OLD, "is version 3.9.6: too old"), (BARE, "sudo apt install python3.12-venv")],
    ids=["too old", "without venv"],
)
def test_a_python_that_does_not_do_is_named_with_the_reason(checkout: Checkout, prelude: str, reason: str) -> None:
    result = checkout("scripts/run", PRELUDE=prelude)
    assert (result.returncode, result.stdout) == (1, "")
    assert "needs Python 3.11 or newer" in result.stderr
    assert f"{checkout.python} is version" in result.stderr
    assert reason in result.stderr
    assert not checkout.venv.exists()


def test_candidates_are_tried_in_turn_by_running_them(checkout: Checkout, tmp_path: Path) -> None:
    """A python3 that is too old and a python3.13 that is only a shim don't hide a python3.12 that does."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").write_text(STUB.replace("${PRELUDE:-}", OLD))
    (programs / "python3.13").write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    (programs / "python3.12").write_text(STUB)
    for program in programs.iterdir():
        program.chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"
    assert checkout("scripts/run", PYTHON="", PATH=path).returncode == 0
    (checkout.venv / "bin/python").unlink()
    for name in ("python3.11", "python3.12"):
        shutil.copy(programs / "python3.13", programs / name)
    result = checkout("scripts/run", PYTHON="", PATH=path)
    assert result.returncode == 1
    assert "  python3 is version 3.9.6: too old\n" in result.stderr
    assert "  python3.12 is not there, or doesn't run\n" in result.stderr


def test_every_check_runs_though_one_fails(checkout: Checkout) -> None:
    result = checkout(".ci/run", FAILS="format")
    assert result.returncode == 1
    verdicts = [line.partition(" (")[0] for line in result.stdout.splitlines()[-7:]]
    assert verdicts == [
        "PASS style: ruff check",
        "FAIL style: ruff format",
        "PASS types: mypy",
        *(f"PASS {name}: pytest" for name in ("tests", "faults", "tutorials", "documentation")),
    ]
    assert checkout("scripts/test").returncode == 0


def test_arguments_of_test_go_to_pytest_alone(checkout: Checkout) -> None:
    result = checkout("scripts/test", "-k", "sharpness or pruning", FAILS="pytest")
    assert result.stdout == "ran: -m pytest -k sharpness or pruning\n"
    assert result.returncode == 3
