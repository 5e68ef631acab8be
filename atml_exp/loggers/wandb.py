"""Weights & Biases: online where that is possible, else offline; never a prompt, never a hang."""

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from atml_exp.errors import ConfigError
from atml_exp.fields import Name, Positive
from atml_exp.loggers.logger import RunStart

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbLogger"]

_log = logging.getLogger("atml_exp")


class WandbLogger:
    """One wandb run for each run, with its files in RUN_DIRECTORY/wandb; several may be open at once.

    mode: `auto` is online where there is a login and the server can be reached, else offline (send it later
        with `wandb sync`); the environment variable WANDB_MODE, where set, takes the place of `auto`.
        `online` raises ConfigError where it would have to prompt or wait.
    timeout: seconds that the start and the end of a run may wait for the server; what wasn't sent by then
        stays in the run directory for `wandb sync`.

    A run that goes on after an interruption keeps its wandb id, which it finds in its directory. Neither
    source code nor git state, console output or environment is sent; nor, unless the environment variable
    WANDB_ERROR_REPORTING asks for it, what wandb tells its makers of its own errors and speed.
    """

    def __init__(
        self,
        *,
        project: Name = "atml_exp",
        entity: str | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
        tags: Sequence[str] = (),
        timeout: Positive = 30.0,
    ) -> None:
        self.project, self.entity, self.mode = project, entity, mode
        self.tags, self.timeout = tuple(tags), timeout
        self._run: wandb.Run | None = None
        self._step = 0

    def start(self, run: RunStart) -> None:
        import wandb

        # wandb asks this variable, not its settings, and goes on asking: so it stays. Its reporting also leaves
        # two threads behind for each run.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        previous = _previous_id(run.directory)
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=_mode(self.mode),
            tags=self.tags,
            group=run.group,
            name=run.run_id,
            id=previous or uuid.uuid4().hex[:8],
            resume="allow" if previous else None,
            dir=run.directory,
            config={**run.config, "system": run.system},
            reinit="create_new",
            settings=_settings(self.timeout),
        )

    def log(self, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        self._step = step
        self._open.log({"epoch": epoch, **metrics}, step=step)

    def figure(self, name: str, png: bytes) -> None:
        import wandb
        from PIL import Image

        self._open.log({name: wandb.Image(Image.open(BytesIO(png)))}, step=self._step)

    def finish(self, status: str) -> None:
        if self._run is None:
            return
        try:
            self._run.summary["status"] = status
            self._run.finish(exit_code=0 if status in ("complete", "diverged") else 1)
        except ConnectionError:  # its process is gone, which it would say again at the end of ours
            import wandb

            with contextlib.suppress(Exception):
                wandb.teardown()
            raise

    @property
    def _open(self) -> "wandb.Run":
        if self._run is None:
            raise RuntimeError("start(run) comes before log and figure")
        return self._run


def _settings(timeout: float) -> "wandb.Settings":
    """Silent, private and bounded in time; options that the installed version doesn't know are left out."""
    import wandb

    wanted: dict[str, Any] = {
        "silent": True,
        "console": "off",
        "symlink": False,
        "save_code": False,
        "disable_code": True,
        "disable_git": True,
        "disable_job_creation": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_save_requirements": False,
        "init_timeout": timeout,
        "finish_timeout": timeout,
    }
    return wandb.Settings(**{key: value for key, value in wanted.items() if key in wandb.Settings.model_fields})


def _previous_id(directory: Path) -> str | None:
    """The id of the wandb run that an earlier process began here: folders are `[offline-]run-TIME-ID`."""
    folders = sorted(directory.glob("wandb/*run-*-*"), key=lambda folder: folder.name.split("run-")[-1])
    return folders[-1].name.rsplit("-", 1)[-1] if folders else None


def _mode(wanted: Literal["auto", "online", "offline"]) -> Literal["online", "offline"] | None:
    """The mode to start in; None leaves it to WANDB_MODE."""
    mode = os.environ.get("WANDB_MODE", wanted) if wanted == "auto" else wanted
    if mode not in ("auto", "online", "run", "shared"):
        return "offline" if mode == "offline" else None
    obstacle = _obstacle()
    if obstacle is None:
        return None if mode == "shared" else "online"
    if mode != "auto":
        raise ConfigError(f"wandb can't be {mode}: {obstacle} (logger.wandb.mode=auto goes offline instead)")
    _log.info("wandb is offline: %s; `wandb sync` in the run's directory sends the run later", obstacle)
    return "offline"


def _obstacle() -> str | None:
    """Why wandb can't be online, if it can't: asked before it starts, since it would prompt or wait."""
    import wandb

    settings = wandb.setup(wandb.Settings(silent=True)).settings
    if not (settings.api_key or settings.identity_token_file or _in_netrc(settings.base_url)):
        return f"no login for {settings.base_url} (`wandb login` makes one)"
    if not _reachable(*_endpoint(settings.base_url), minute=int(time.monotonic() // 60)):
        return f"{settings.base_url} can't be reached"
    return None


def _in_netrc(base_url: str) -> bool:
    host = urlsplit(base_url).netloc
    aliases = (host, "api.wandb.ai") if host.endswith("forge.coreweave.com") else (host,)  # one service
    names = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    files = [path for path in (Path(name).expanduser() for name in names) if path.is_file()]
    try:
        return bool(files) and any(netrc(files[0]).authenticators(alias) for alias in aliases)
    except (NetrcParseError, OSError):
        return False


def _endpoint(url: str) -> tuple[str, int]:
    """Host and port that a connection to `url` goes to: the server's, or those of the proxy before it."""
    parts = urlsplit(url)
    if not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(getproxies().get(parts.scheme, url))
    return parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)


@lru_cache(maxsize=1)
def _reachable(host: str, port: int, *, minute: int, timeout: float = 2.0) -> bool:
    """Whether a TCP connection opens within `timeout` seconds; asked once a minute, not for every replica.

    In a thread, since a look-up of the name can take far longer than any timeout of the connection.
    """
    opened = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout):
            opened.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout)
    return opened.is_set()
