# SPDX-License-Identifier: GPL-3.0-or-later
"""A file's path as the catalogue, the daemon and a person are told it.

What it is: three spellings of one path of bytes, all safe for any name that a file system allows (newlines,
bytes that are no UTF-8): the ``file:`` URL that the daemon opens, the disk file id by which the catalogue
knows the file, and text for people. What it is not: any look at the disk.

The disk file id is the percent-encoded path itself where it fits into the catalogue's column, so that an
operator can read it and a folder can be found by it; a longer one is the path's SHA-256, and the URL is kept
beside the catalogue.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from cta_taped.admin.output import printable
from cta_taped.common.errors import DISK_NAME, CtaError

ID_LIMIT: Final = 100
"""ARCHIVE_FILE.DISK_FILE_ID is VARCHAR(100) (catalogue schema 15)."""
_HASHED: Final = "sha256:"


def absolute(path: str) -> bytes:
    """The absolute path, without symbolic links being followed, as the kernel takes it.

    Raises DISK_NAME for an empty path, which is a script's unset variable and not the present folder.
    """
    if not path:
        raise CtaError(DISK_NAME, "a path is empty")
    return os.path.abspath(os.fsencode(path))  # noqa: PTH100 - Path has no bytes


def url(path: bytes) -> str:
    """The ``file:`` URL of an absolute path (RFC 8089)."""
    return "file://" + quote_from_bytes(path, safe="/")


def text(path: bytes) -> str:
    """The path for people and for ARCHIVE_FILE_PATH columns: one line of valid text."""
    return printable(os.fsdecode(path))


def quoted(path: bytes) -> str:
    """The path in a message, with quotation marks."""
    return repr(os.fsdecode(path))


def disk_file_id(path: bytes) -> str:
    """The id of a path within its disk instance; the same path always has the same id."""
    encoded = quote_from_bytes(path, safe="/")
    return encoded if len(encoded) <= ID_LIMIT else _HASHED + hashlib.sha256(path).hexdigest()


def path_of(identifier: str) -> bytes | None:
    """The path that a disk file id spells; None for a hash, or an id that some other front end made."""
    if not identifier.startswith("/"):
        return None
    path = unquote_to_bytes(identifier)
    return path if disk_file_id(path) == identifier else None


def path_of_url(kept: str) -> bytes:
    """The path of a URL that ``url`` made."""
    return unquote_to_bytes(kept.removeprefix("file://"))


def is_hash(identifier: str) -> bool:
    """Whether a disk file id is the hash of a path."""
    return identifier.startswith(_HASHED)


def is_below(path: bytes, folder: bytes) -> bool:
    """Whether ``path`` lies somewhere in ``folder``; both absolute."""
    return path.startswith(folder.rstrip(b"/") + b"/")
