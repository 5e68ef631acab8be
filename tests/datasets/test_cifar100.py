import pytest

from atml_exp.datasets.cifar100 import cifar100
from atml_exp.errors import ConfigError


def test_reads_the_files(tmp_path, write_cifar, check_images):
    images = write_cifar("CIFAR100")
    data = cifar100(root=str(tmp_path))
    check_images(data, images)
    assert (data.name, data.num_classes, data.input_shape) == ("cifar100", 100, (3, 32, 32))


def test_an_empty_root_lists_every_file(tmp_path):
    with pytest.raises(ConfigError, match="3 of the 3 files of CIFAR100 are missing") as error:
        cifar100(root=str(tmp_path))
    assert str(tmp_path / "cifar-100-python" / "test") in str(error.value)
    assert "set dataset.download=true" in str(error.value)


def test_an_altered_file_is_refused_before_it_is_unpickled(tmp_path, write_cifar):
    write_cifar("CIFAR100")
    altered = tmp_path / "cifar-100-python" / "test"
    altered.write_bytes(altered.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"checksum of .*test is not that of CIFAR100; truncated or altered"):
        cifar100(root=str(tmp_path))
