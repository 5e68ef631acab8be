import pytest

from atml_exp.errors import ConfigError
from atml_exp.models.cnn import cnn
from atml_exp.models.image import image_shape
from atml_exp.models.resnet18 import resnet18


@pytest.mark.parametrize("shape", [(64,), (8, 8), (1, 4, 8, 8)])
def test_what_is_not_an_image_is_refused(shape):
    with pytest.raises(ConfigError, match=r"model = m: needs images \(channels, height, width\); this dataset's"):
        image_shape("m", shape)


@pytest.mark.parametrize("model", [cnn, resnet18])
def test_the_message_names_the_model_and_the_shape(model):
    with pytest.raises(ConfigError, match=rf"model = {model.__name__}: .* have shape \(13,\): choose model=mlp"):
        model((13,), 2)
