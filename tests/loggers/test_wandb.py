import io
import json
import logging
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

from atml_exp.errors import ConfigError
from atml_exp.loggers import wandb as module
from atml_exp.loggers.logger import Guarded, RunStart
from atml_exp.loggers.wandb import WandbLogger

KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """Nobody's login, settings or session: an empty home, no WANDB_ variable, a wandb that starts anew."""
    import wandb

    for name in ("home", "run"):
        (tmp_path / name).mkdir()
    for name in [
        name for name in module.os.environ if name.startswith("WANDB_") or name.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.chdir(tmp_path / "home")
    wandb.teardown()
    module._reachable.cache_clear()
    yield
    wandb.teardown()
    module._reachable.cache_clear()


@pytest.fixture
def silent_server(monkeypatch):
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


def png(colour):
    file = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(file, "PNG")
    return file.getvalue()


def records(directory):
    """The records of a run's .wandb file: blocks of 32 KiB with chunks of (checksum, length, type), data."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # waits for wandb's process, which closes the file a moment after a run has finished
    (path,) = directory.glob("wandb/*run-*/*.wandb")
    content, position, data = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        if (rest := 32768 - position % 32768) < 7:
            position += rest
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        data += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(data)
            data = b""


def history(directory):
    rows = []
    for record in records(directory):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def run_record(directory):
    return next(record.run for record in records(directory) if record.WhichOneof("record_type") == "run")


def contents(directory):
    import wandb

    wandb.teardown()
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_offline_run_holds_config_metrics_figures_group_and_status(tmp_path):
    started = time.perf_counter()
    logger = WandbLogger(project="course", tags=["a", "b"])
    config = {"model": {"width": 32}, "seed": 0}
    logger.start(RunStart("a1b2c3", tmp_path / "run", config, group="sweep", system={"loss": "hinge"}))
    logger.log(0, 0.0, {"train/loss": 2.5})
    logger.log(0, 0.0, {"sharpness/top": 7.5})
    logger.log(10, 0.5, {"train/loss": float("nan")})
    logger.figure("sharpness", png("red"))
    logger.finish("diverged")
    assert time.perf_counter() - started < 20

    run = run_record(tmp_path / "run")
    assert (run.display_name, run.project, run.run_group, list(run.tags)) == (
        "a1b2c3",
        "course",
        "sweep",
        ["a", "b"],
    )
    stored = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert stored["model"] == {"width": 32}
    assert stored["seed"] == 0
    assert stored["system"] == {"loss": "hinge"}

    first, last = history(tmp_path / "run")
    assert (first["_step"], first["epoch"], first["train/loss"], first["sharpness/top"]) == (0, 0.0, 2.5, 7.5)
    assert (last["_step"], last["epoch"]) == (10, 0.5)
    assert last["train/loss"] != last["train/loss"]
    (picture,) = (tmp_path / "run").rglob("*.png")
    assert Image.open(picture).getpixel((0, 0)) == (255, 0, 0)
    summary = [record.summary for record in records(tmp_path / "run") if record.HasField("summary")]
    assert any(item.value_json == '"diverged"' for part in summary for item in part.update)


def test_runs_open_at_once_keep_separate(tmp_path):
    directories = [tmp_path / "run" / str(index) for index in range(3)]
    loggers = []
    for index, directory in enumerate(directories):
        directory.mkdir()
        loggers.append(WandbLogger())
        loggers[-1].start(RunStart(f"run{index}", directory, {"seed": index}))
    for step in range(4):
        for index, logger in enumerate(loggers):
            logger.log(step, step / 4, {"train/loss": 10.0 * index + step})
    for logger in loggers:
        logger.finish("complete")
    for index, directory in enumerate(directories):
        assert run_record(directory).display_name == f"run{index}"
        assert [row["train/loss"] for row in history(directory)] == [10.0 * index + step for step in range(4)]


def test_a_run_that_goes_on_keeps_its_id(tmp_path):
    for name in ("offline-run-20250101_000000-old1", "run-20260101_000000-new2"):
        (tmp_path / "run" / "wandb" / name).mkdir(parents=True)
    logger = WandbLogger()
    logger.start(RunStart("a1", tmp_path / "run", {}))
    logger.finish("complete")
    assert run_record(tmp_path / "run").run_id == "new2"


@pytest.mark.parametrize("mode", ["auto", "offline"])
def test_no_key_and_no_file_leave_the_places_they_belong_to(mode, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("SOME_TOKEN", "secret-of-the-environment")
    logger = WandbLogger(mode=mode)
    logger.start(RunStart("a1", tmp_path / "run", {}))
    logger.log(0, 0.0, {"train/loss": 1.0})
    logger.finish("complete")
    files = contents(tmp_path / "run")
    assert any(path.suffix == ".wandb" for path in files)
    for path, content in files.items():
        assert KEY.encode() not in content, path
        assert b"secret-of-the-environment" not in content, path
    assert not [path for path in (tmp_path / "home").iterdir() if path.name == "wandb"]
    assert capfd.readouterr() == ("", "")  # a progress bar may be on the screen


def test_a_server_that_never_answers_costs_the_timeout_and_a_warning(
    tmp_path, monkeypatch, silent_server, caplog, capfd
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    started = time.perf_counter()
    guarded = Guarded(WandbLogger(timeout=1))
    guarded.start(RunStart("a1", tmp_path / "run", {}))
    guarded.log(0, 0.0, {"train/loss": 1.0})
    guarded.finish("complete")
    assert time.perf_counter() - started < 15
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("WandbLogger is switched off for the rest of this run: its start() raised")
    for path, content in contents(tmp_path / "run").items():
        assert KEY.encode() not in content, path
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_wandb_tells_its_makers_nothing(mode, tmp_path, monkeypatch, silent_server):
    """Left alone, its threads ask the server once a minute whether it takes reports, even of an offline run."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    before = set(threading.enumerate())
    guarded = Guarded(WandbLogger(mode=mode, timeout=1))
    guarded.start(RunStart("a1", tmp_path / "run", {}))
    guarded.finish("complete")
    assert not [thread.name for thread in set(threading.enumerate()) - before if "Otel" in thread.name]
    assert module.os.environ["WANDB_ERROR_REPORTING"] == "false"


def test_what_the_user_says_of_reporting_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "true")
    logger = WandbLogger()
    logger.start(RunStart("a1", tmp_path / "run", {}))
    logger.finish("complete")
    assert module.os.environ["WANDB_ERROR_REPORTING"] == "true"


def netrc_line(host):
    (module.Path.home() / ".netrc").write_text(f"machine {host}\n  login user\n  password {KEY}\n")


def test_offline_without_a_login_however_good_the_network(silent_server, caplog):
    with caplog.at_level(logging.INFO, "atml_exp"):
        assert module._mode("auto") == "offline"
    assert "wandb is offline: no login for http://127.0.0.1" in caplog.text


def test_offline_without_a_network(monkeypatch, caplog):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with caplog.at_level(logging.INFO, "atml_exp"):
        assert module._mode("auto") == "offline"
    assert "wandb is offline: http://127.0.0.1:9 can't be reached" in caplog.text


def test_online_with_a_key_in_the_environment(monkeypatch, silent_server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert module._mode("auto") == "online"


def test_online_with_a_login_in_netrc(silent_server):
    netrc_line(module.os.environ["WANDB_BASE_URL"].removeprefix("http://"))
    assert module._mode("auto") == "online"


@pytest.mark.parametrize(
    ("stored", "base_url", "found"),
    [
        ("api.wandb.ai", "https://api.wandb.ai", True),
        ("api.wandb.ai", "https://api.forge.coreweave.com", True),
        ("api.wandb.ai", "https://wandb.example.org", False),
        ("elsewhere.org", "https://api.wandb.ai", False),
    ],
)
def test_which_netrc_entry_counts_is_as_in_wandb(stored, base_url, found):
    from wandb.sdk.lib.wbauth import read_netrc_auth

    netrc_line(stored)
    assert module._in_netrc(base_url) is found
    assert (read_netrc_auth(host=base_url) is not None) is found


def test_a_broken_netrc_is_no_login():
    (module.Path.home() / ".netrc").write_text("machine\n")
    assert not module._in_netrc("https://api.wandb.ai")


@pytest.mark.parametrize("how", ["option", "environment"])
def test_online_on_purpose_is_refused_where_it_would_prompt(how, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(ConfigError, match=r"wandb can't be online: no login for .*mode=auto goes offline"):
        module._mode("online" if how == "option" else "auto")


@pytest.mark.parametrize(
    ("variable", "option", "mode"), [("offline", "auto", "offline"), ("disabled", "auto", None)]
)
def test_the_environment_variable_takes_the_place_of_auto(variable, option, mode, monkeypatch, silent_server):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", variable)
    assert module._mode(option) == mode
    assert module._mode("online") == "online"


def test_disabled_by_the_environment_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = WandbLogger()
    logger.start(RunStart("a1", tmp_path / "run", {}))
    logger.log(0, 0.0, {"train/loss": 1.0})
    logger.finish("complete")
    assert not contents(tmp_path / "run")


def test_the_network_is_asked_through_the_proxy(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("no_proxy", "wandb.local")
    assert module._endpoint("https://api.wandb.ai") == ("proxy.example.org", 3128)
    assert module._endpoint("https://wandb.local") == ("wandb.local", 443)
    assert module._endpoint("http://wandb.local:8080") == ("wandb.local", 8080)


def test_a_name_server_that_never_answers_costs_the_timeout(monkeypatch):
    over = threading.Event()

    def look_up_in_vain(*_):
        over.wait(60)
        raise OSError("too late")

    monkeypatch.setattr(socket, "create_connection", look_up_in_vain)
    started = time.perf_counter()
    assert not module._reachable("api.wandb.ai", 443, minute=-1, timeout=0.1)
    assert time.perf_counter() - started < 30
    over.set()


def test_importing_the_logger_does_not_import_wandb():
    imports = "import sys, atml_exp.loggers.wandb, atml_exp.loggers.tensorboard"
    code = f"{imports}; print({{'wandb', 'torch'}} & {{*sys.modules}})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_logging_before_the_start_is_refused():
    with pytest.raises(RuntimeError, match=r"start\(run\) comes before"):
        WandbLogger().log(0, 0.0, {"train/loss": 1.0})
