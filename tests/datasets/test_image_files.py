import numpy as np
import pytest
import torch

from atml_exp.datasets.image_files import channel_moments, read_images
from atml_exp.errors import ConfigError
from atml_exp.torchvision_operators import import_torchvision


def read(root, download=False):
    return read_images("mnist", "MNIST", 10, root=str(root), download=download)


def test_channel_moments_are_numpys():
    images = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 4), dtype=np.uint8)
    images[:, 1] = 77
    mean, std = channel_moments(torch.as_tensor(images))
    np.testing.assert_allclose(mean.flatten(), images.mean((0, 2, 3)))
    np.testing.assert_allclose(std.flatten(), np.where([True, False, True], images.std((0, 2, 3)), 1))


@pytest.mark.parametrize("kept", [0, 10, 500])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte"])
def test_a_truncated_file_is_refused(tmp_path, write_mnist, name, kept):
    write_mnist("MNIST")
    path = tmp_path / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:kept])
    part = "training" if name.startswith("train") else "test"
    with pytest.raises(ConfigError, match=rf"the {part} files of MNIST in .*MNIST/raw can't be read; .* truncated"):
        read(tmp_path)


def test_labels_and_images_of_different_number_are_refused(tmp_path, write_mnist):
    write_mnist("MNIST")
    folder = tmp_path / "MNIST" / "raw"
    (folder / "t10k-labels-idx1-ubyte").write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(ConfigError, match="x holds 12 examples and y 30"):
        read(tmp_path)


def test_labels_out_of_range_are_refused(tmp_path, write_mnist):
    write_mnist("MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(ConfigError, match="labels must lie in 0 … 9"):
        read(tmp_path)


def test_a_truncated_archive_is_refused_and_leaves_nothing_behind(tmp_path, write_mnist):
    write_mnist("MNIST", zipped=True)
    folder = tmp_path / "MNIST" / "raw"
    archive = folder / "train-images-idx3-ubyte.gz"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte\.gz can't be unpacked"):
        read(tmp_path)
    assert all(path.suffix == ".gz" for path in folder.iterdir())


def test_download_is_asked_for_only_on_request_and_its_failure_is_told(tmp_path, monkeypatch):
    mnist = import_torchvision().datasets.MNIST

    def refuse(self):
        raise OSError("no network")

    monkeypatch.setattr(mnist, "download", refuse)
    with pytest.raises(ConfigError, match="files of MNIST are missing"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"dataset.download=true: MNIST couldn't be fetched .*no network"):
        read(tmp_path, download=True)


def test_what_download_brings_is_read(tmp_path, monkeypatch, write_mnist, check_images):
    written = []
    monkeypatch.setattr(
        import_torchvision().datasets.MNIST, "download", lambda self: written.append(write_mnist("MNIST"))
    )
    data = read(tmp_path, download=True)
    assert len(written) == 1
    check_images(data, written[0])
