"""What is printed, where it can be and where it can't."""

import errno
import io
import sys

import pytest

from atml_exp.terminal import Outlet, reader_has_gone, say


class Ended(io.RawIOBase):
    """A stream whose writes fail."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(self.number, "over")


def test_an_outlet_hands_on_what_is_written():
    to = io.BytesIO()
    with io.TextIOWrapper(io.BufferedWriter(Outlet(to)), encoding="ascii", errors="backslashreplace") as stream:
        stream.write("a σ\n")
        stream.flush()
        assert to.getvalue() == b"a \\u03c3\n"


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC, errno.EIO])
def test_an_outlet_outlives_what_it_leads_to_and_knows_the_first_error(number):
    outlet = Outlet(Ended(number))
    stream = io.TextIOWrapper(io.BufferedWriter(outlet), encoding="utf-8")
    for _ in range(2):
        print("x" * 10**5, file=stream, flush=True)
    assert outlet.error is not None
    assert outlet.error.errno == number
    assert reader_has_gone(outlet.error) == (number != errno.ENOSPC)


def test_a_stream_that_is_to_be_asked_again_is():
    outlet = Outlet(Ended(errno.EAGAIN))
    with pytest.raises(BlockingIOError):
        outlet.write(b"x")
    assert outlet.error is None


def test_nothing_is_said_where_the_terminal_was_closed(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    say("hello")
