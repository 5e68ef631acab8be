"""Writes the gallery: a folder that holds all it shows, and so can be moved, zipped or put on a server."""

import logging
import shutil
from functools import partial
from pathlib import Path

from atml_exp.errors import ConfigError
from atml_exp.gallery.folder import Folder, file_names, folders
from atml_exp.gallery.page import GENERATOR, page
from atml_exp.store.files import write_atomically, write_text

__all__ = ["MARK", "write_gallery"]

MARK = ".made-by-atml-figures"
"""A file in each folder that we made: what we put there may be written anew or removed, all else is the user's."""

_SAID = (
    "Made by `atml-figures gallery`, which replaces the figure's files here; files of your own it leaves alone.\n"
)

_log = logging.getLogger(__name__)


def write_gallery(figures: Path, gallery: Path) -> Path:
    """Copies each complete figure of `figures` into `gallery`, writes index.html there, and returns its path.

    A figure that is incomplete, damaged, or whose place in the gallery is taken by something that isn't ours, is
    left out with a warning. Raises ConfigError where index.html was written by somebody else. What we copied of
    figures that are no longer shown is removed, after the index has ceased to link to it.
    """
    index = Path(gallery) / "index.html"
    _check_ours(index)
    shown = [figure for figure in folders(Path(figures)) if _copied(figure, Path(gallery) / figure.name)]
    write_text(index, page(shown))
    _remove_all_but({figure.name for figure in shown}, Path(gallery))
    return index


def _check_ours(index: Path) -> None:
    if index.exists() and GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(
            f"{index} wasn't written by atml-figures, so it is left as it is; move it, then try again"
        )


def _copied(figure: Folder, target: Path) -> bool:
    """Whether it could be copied; a warning says why not."""
    if not _may_write_to(target):
        _log.warning("figure %s is left out of the gallery: %s isn't ours to write to", figure.name, target)
        return False
    try:
        _copy(figure, target)
    except OSError as error:
        _log.warning("figure %s is left out of the gallery: %s", figure.name, error)
        return False
    return True


def _may_write_to(folder: Path) -> bool:
    if folder.is_symlink() or not folder.exists():
        return not folder.is_symlink()
    return folder.is_dir() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def _copy(figure: Folder, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    write_text(target / MARK, _SAID)
    for name in file_names(figure.name):
        write_atomically(target / name, partial(shutil.copyfile, figure.path / name))


def _remove_all_but(names: set[str], gallery: Path) -> None:
    for folder in sorted(gallery.iterdir()):
        if folder.name not in names and not folder.is_symlink() and (folder / MARK).is_file():
            _remove(folder)


def _remove(folder: Path) -> None:
    """Our files in it, and the folder itself unless it holds something else."""
    for name in [*file_names(folder.name), MARK]:
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
