"""A disk that is full, or can't be written any more: said in one message."""

import errno
import shutil
from pathlib import Path

from atml_exp.errors import DiskError

__all__ = ["disk_error", "is_of_disk"]

CODES = (
    errno.ENOSPC,
    getattr(errno, "EDQUOT", errno.ENOSPC),  # Windows has no quotas of this name
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


def is_of_disk(error: BaseException, folder: Path) -> bool:
    """Whether an error says that `folder` can't be written; one that names a file elsewhere doesn't."""
    if not isinstance(error, OSError) or error.errno not in CODES:
        return False
    return error.filename is None or Path(str(error.filename)).absolute().is_relative_to(folder.absolute())


def disk_error(error: OSError, folder: Path, step: int) -> DiskError:
    """The message: which folder, why, how much is free, and from which step the same command goes on."""
    reason = error.strerror or str(error)
    return DiskError(
        f"{folder}: can't be written any more: {reason}{_free(folder)}. Nothing that was saved is lost: the same "
        f"command goes on from step {step} once the folder can be written"
    )


def _free(folder: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return f" ({free / 1e6:,.1f} MB free)"
