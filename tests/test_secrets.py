"""No token and no environment variable ends up in a run directory, or is printed."""

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SECRETS = {
    "WANDB_API_KEY": "sentinelwandb" + "0" * 27,
    "AWS_SECRET_ACCESS_KEY": "sentinelaws/5f3a",
    "SOMETHING_ELSE": "sentinelother-91c7",
}
NETRC = "sentinelnetrc4d2e"
TINY = ("dataset=two_moons", "dataset.num_train=20", "model.width=4", "recipe.steps=2", "recipe.batch_size=5")


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hydra_state: None) -> list[str]:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {NETRC}\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return [*SECRETS.values(), NETRC]


def _bytes(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, and what is compressed in it."""
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        yield path, data
        if path.suffix == ".parquet":
            yield path, pd.read_parquet(path).to_csv().encode()
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((path, archive.read(name)) for name in archive.namelist())
        elif data[:2] == b"\x1f\x8b":
            yield path, gzip.decompress(data)


@pytest.mark.parametrize("logger", ["[]", "[tensorboard]", "[wandb]"])
def test_no_byte_of_a_run_is_secret(
    command: Callable[..., Any], secrets: list[str], tmp_path: Path, logger: str
) -> None:
    for name in logger.strip("[]").split():
        pytest.importorskip(name)
    ended = command(*TINY, "probe=[trajectory]", f"logger={logger}", "progress=false")
    assert ended.code == 0, ended.err
    files = list(_bytes(tmp_path / "outputs"))
    assert len({path for path, _ in files}) >= 5
    for path, data in [*files, (Path("stdout"), ended.out.encode()), (Path("stderr"), ended.err.encode())]:
        assert not [s for s in secrets if s.encode() in data], path


@pytest.mark.parametrize(
    "override",
    [
        "+model.x=${oc.env:AWS_SECRET_ACCESS_KEY}",
        "+experiment_name=a-${oc.env:SOMETHING_ELSE}-b",
        "dataset.seed='${oc.decode:${oc.env:SOMETHING_ELSE}}'",
        "logger=[wandb] logger.wandb.project=${oc.env:WANDB_API_KEY}",
        "objective='${oc.${dtype}:SOMETHING_ELSE}'",
    ],
)
def test_a_config_that_reads_the_environment_is_refused_without_saying_what_it_says(
    command: Callable[..., Any], secrets: list[str], tmp_path: Path, override: str
) -> None:
    message = command(*TINY, *override.split()).message
    assert "reads an environment variable, and would be written into the run's directory" in message
    assert not [s for s in secrets if s in message]
    assert not (tmp_path / "outputs").exists()


def test_a_folder_may_come_from_the_environment(
    command: Callable[..., Any], secrets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH_FOLDER", str(tmp_path / "scratch"))
    assert command(*TINY, "probe=[]", "output_dir=${oc.env:SCRATCH_FOLDER}").code == 0
    assert list((tmp_path / "scratch" / "runs").iterdir())
    assert os.environ["SOMETHING_ELSE"] in secrets
