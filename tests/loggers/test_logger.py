import logging

import pytest

from atml_exp.loggers.logger import Guarded, RunStart

METHODS = ("start", "log", "figure", "finish")


class Recording:
    """Remembers what it is asked; `raises` maps a method to what it raises."""

    def __init__(self, **raises: BaseException) -> None:
        self.raises, self.calls = raises, []

    def __getattr__(self, method):
        def call(*args):
            self.calls.append((method, *args))
            if method in self.raises:
                raise self.raises[method]

        return call


def run_through(logger, directory):
    guarded = Guarded(logger)
    guarded.start(RunStart("a1b2", directory, {"seed": 0}))
    for step in range(3):
        guarded.log(step, step / 2, {"train/loss": 1.0})
    guarded.figure("sharpness", b"png")
    guarded.finish("complete")
    return [call[0] for call in logger.calls]


def test_everything_is_passed_on(tmp_path, caplog):
    logger = Recording()
    assert run_through(logger, tmp_path) == ["start", "log", "log", "log", "figure", "finish"]
    assert logger.calls[0] == ("start", RunStart("a1b2", tmp_path, {"seed": 0}))
    assert logger.calls[2] == ("log", 1, 0.5, {"train/loss": 1.0})
    assert logger.calls[4:] == [("figure", "sharpness", b"png"), ("finish", "complete")]
    assert not caplog.records


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [OSError("disk\nfull."), SystemExit(3)])
def test_a_failure_is_one_warning_and_the_end_of_the_logger(method, error, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "atml_exp"):
        calls = run_through(Recording(**{method: error}), tmp_path)
    expected = {
        "start": ["start", "finish"],
        "log": ["start", "log", "finish"],
        "figure": ["start", "log", "log", "log", "figure", "finish"],
        "finish": ["start", "log", "log", "log", "figure", "finish"],
    }
    assert calls == expected[method]  # finish still comes, so that files are closed
    reason = "OSError: disk full" if isinstance(error, OSError) else "SystemExit: 3"
    assert [record.getMessage() for record in caplog.records] == [
        f"Recording is switched off for the rest of this run: its {method}() raised {reason}. "
        "Training goes on, and the run directory has everything."
    ]


def test_failing_everywhere_is_still_one_warning(tmp_path, caplog):
    run_through(Recording(**{method: ValueError("no") for method in METHODS}), tmp_path)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_passes(method, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_through(Recording(**{method: KeyboardInterrupt()}), tmp_path)
