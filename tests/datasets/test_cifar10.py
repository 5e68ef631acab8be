import pytest

from atml_exp.datasets.cifar10 import cifar10
from atml_exp.errors import ConfigError


def test_reads_the_files(tmp_path, write_cifar, check_images):
    images = write_cifar("CIFAR10")
    data = cifar10(root=str(tmp_path))
    check_images(data, images)
    assert (data.name, data.num_classes, data.input_shape) == ("cifar10", 10, (3, 32, 32))


def test_an_empty_root_lists_every_file(tmp_path):
    with pytest.raises(ConfigError, match="7 of the 7 files of CIFAR10 are missing") as error:
        cifar10(root=str(tmp_path))
    assert str(tmp_path / "cifar-10-batches-py" / "test_batch") in str(error.value)
    assert "set dataset.download=true" in str(error.value)


def test_an_altered_file_is_refused_before_it_is_unpickled(tmp_path, write_cifar):
    write_cifar("CIFAR10")
    altered = tmp_path / "cifar-10-batches-py" / "test_batch"
    altered.write_bytes(altered.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"checksum of .*test_batch is not that of CIFAR10; truncated or altered"):
        cifar10(root=str(tmp_path))
