"""TensorBoard: `tensorboard --logdir outputs/runs` shows the runs side by side."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from atml_exp.errors import ConfigError
from atml_exp.loggers.logger import RunStart

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorboardLogger"]


class TensorboardLogger:
    """Writes a run's metrics, figures, configuration and status as event files in RUN_DIRECTORY/tensorboard.

    Raises ConfigError where the package tensorboard isn't installed.
    """

    def __init__(self) -> None:
        if find_spec("tensorboard") is None:
            raise ConfigError("logger = tensorboard: the package is missing; pip install 'atml_exp[tensorboard]'")
        self._writer: SummaryWriter | None = None
        self._step = 0

    def start(self, run: RunStart) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(run.directory / "tensorboard")
        self._text("config", run.config)
        self._text("system", run.system)

    def log(self, step: int, epoch: float, metrics: Mapping[str, float]) -> None:
        self._step = step
        for name, value in {"epoch": epoch, **metrics}.items():
            self._open.add_scalar(name, value, step)

    def figure(self, name: str, png: bytes) -> None:
        from PIL import Image

        pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB"))
        self._open.add_image(name, pixels, self._step, dataformats="HWC")

    def finish(self, status: str) -> None:
        if self._writer is not None:
            self._writer.add_text("status", status, self._step)
            self._writer.close()

    @property
    def _open(self) -> "SummaryWriter":
        if self._writer is None:
            raise RuntimeError("start(run) comes before log and figure")
        return self._writer

    def _text(self, name: str, content: Mapping[str, object]) -> None:
        """As JSON in a Markdown code block (four spaces), which TensorBoard shows in a fixed-width font."""
        lines = json.dumps(content, indent=2, default=str).splitlines()
        self._open.add_text(name, "\n".join(f"    {line}" for line in lines))
