import pytest

from atml_exp.datasets.fashion_mnist import fashion_mnist
from atml_exp.errors import ConfigError


@pytest.mark.parametrize("zipped", [False, True])
def test_reads_the_files(tmp_path, write_mnist, check_images, zipped):
    images = write_mnist("FashionMNIST", zipped=zipped)
    data = fashion_mnist(root=str(tmp_path))
    check_images(data, images)
    assert (data.name, data.num_classes, data.input_shape) == ("fashion_mnist", 10, (1, 28, 28))


def test_missing_files_are_named_with_the_way_to_get_them(tmp_path, write_mnist):
    write_mnist("FashionMNIST")
    gone = tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    gone.unlink()
    with pytest.raises(ConfigError) as error:
        fashion_mnist(root=str(tmp_path))
    message = str(error.value)
    assert f"dataset.root={tmp_path}: 1 of the 4 files of FashionMNIST are missing:\n  {gone}\n" in message
    assert "set dataset.download=true" in message
    assert "train-images" not in message
