import io
import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from atml_exp.errors import ConfigError
from atml_exp.loggers.logger import RunStart
from atml_exp.loggers.tensorboard import TensorboardLogger


def png(colour, size=(5, 4)):
    file = io.BytesIO()
    Image.new("RGBA", size, colour).save(file, "PNG")
    return file.getvalue()


def logged(directory):
    logger = TensorboardLogger()
    logger.start(RunStart("a1", directory, {"model": {"width": 32}}, system={"loss": "cross-entropy"}))
    for step in range(0, 30, 10):
        logger.log(step, step / 20, {"train/loss": 1 / (step + 1), "sharpness/top": float("nan")})
    logger.figure("sharpness", png((255, 0, 128, 255)))
    logger.finish("complete")
    events = EventAccumulator(str(directory / "tensorboard"))
    return events.Reload()


def test_metrics_are_read_back_at_their_steps(tmp_path):
    events = logged(tmp_path)
    loss = events.Scalars("train/loss")
    assert [event.step for event in loss] == [0, 10, 20]
    np.testing.assert_allclose([event.value for event in loss], [1, 1 / 11, 1 / 21], rtol=1e-6)
    assert [event.value for event in events.Scalars("epoch")] == [0, 0.5, 1]
    assert np.isnan(events.Scalars("sharpness/top")[0].value)


def test_the_figure_is_read_back(tmp_path):
    (event,) = logged(tmp_path).Images("sharpness")
    pixels = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert event.step == 20
    assert pixels.shape == (4, 5, 3)
    assert (pixels == (255, 0, 128)).all()


def test_config_system_and_status_are_texts(tmp_path):
    events = logged(tmp_path)

    def text(name):
        (event,) = events.Tensors(f"{name}/text_summary")
        return event.tensor_proto.string_val[0].decode()

    assert json.loads(text("config")) == {"model": {"width": 32}}
    assert json.loads(text("system")) == {"loss": "cross-entropy"}
    assert text("status") == "complete"


def test_everything_is_under_the_run_directory(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    logged(tmp_path)
    assert not list(elsewhere.iterdir())


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("atml_exp.loggers.tensorboard.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"logger = tensorboard: .* pip install 'atml_exp\[tensorboard\]'"):
        TensorboardLogger()


def test_logging_before_the_start_is_refused():
    with pytest.raises(RuntimeError, match=r"start\(run\) comes before"):
        TensorboardLogger().log(0, 0.0, {"train/loss": 1.0})
