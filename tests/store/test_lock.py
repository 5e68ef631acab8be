"""One process at a time; a killed one holds nothing back."""

import errno
import signal
import subprocess
import sys

import pytest

from atml_exp.errors import RunBusyError
from atml_exp.store.lock import Lock

HOLD = """
import sys, time
from pathlib import Path
from atml_exp.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_directory_is_locked_until_it_is_released(tmp_path):
    first = Lock(tmp_path)
    with pytest.raises(RunBusyError, match="another process is training this run"):
        Lock(tmp_path)
    first.release()
    first.release()
    Lock(tmp_path).release()


def test_a_killed_process_holds_nothing_back_and_leaves_no_file(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunBusyError):
            Lock(tmp_path)
        holder.send_signal(signal.SIGKILL)
    Lock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "busy"), [(errno.EWOULDBLOCK, True), (errno.ENOLCK, False), (errno.ENOTSUP, False)]
)
def test_a_file_system_that_knows_no_locks_is_not_taken_for_a_busy_run(tmp_path, monkeypatch, code, busy):
    """Else everybody would wait there for nobody."""
    fcntl = pytest.importorskip("fcntl")

    def refused(*_):
        raise OSError(code, "")

    monkeypatch.setattr(fcntl, "flock", refused)
    if busy:
        with pytest.raises(RunBusyError):
            Lock(tmp_path)
    else:
        Lock(tmp_path).release()
