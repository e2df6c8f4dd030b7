# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a tape written to a directory without a catalogue.

What it is: a scan whose payload goes to local files, each under a temporary name until its labels and blocks
were all verified, then under its own; nothing is overwritten. What it is not: a retrieve session.
Why: to rescue files from a tape or an image when the catalogue, or this program's daemon, is not there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from cta_taped.common.errors import DISK_EXISTS, CtaError
from cta_taped.disk.files import OPEN_DESTINATION, WRITE, disk_error
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.scan import ScannedFile, TapeScan


def file_name(file: ScannedFile) -> str:
    """The name of an extracted file: ``VID-FSEQ-ARCHIVEFILEID``."""
    return f"{file.vid.replace('/', '_')}-{file.fseq}-{file.archive_file_id}"


def extract(
    drive: TapeDrive, directory: Path, first: int = 1, last: int | None = None
) -> Iterator[tuple[ScannedFile, Path | None]]:
    """Write the files from fSeq ``first`` to ``last`` (None: the end of data) to ``directory``.

    Yields each file with its path; None for a placeholder and for a file with an ``error``, which may be the
    tape's, DISK_EXISTS, or a failure to write; the walk goes on. Raises CtaError as ``TapeScan``.
    """
    destination = _Destination(directory)
    try:
        for file in TapeScan(drive, sink=destination.begin).files(first, last):
            yield file, destination.end(file)
    finally:
        destination.discard()


class _Destination:
    """The one file that is being written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stream: IO[bytes] | None = None

    def begin(self, file: ScannedFile) -> Callable[[memoryview], object]:
        self.discard()
        path = self._directory / file_name(file)
        if path.exists() or path.is_symlink():
            raise CtaError(DISK_EXISTS, f"{path} exists already and is not overwritten")
        try:
            # Named, because only a name can be linked to a second one that must not exist yet.
            self._stream = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by end or discard
                prefix=".cta-extract-", dir=self._directory, buffering=0, delete=False
            )
        except OSError as error:
            raise disk_error(OPEN_DESTINATION, str(path), error) from error
        return self._write

    def _write(self, block: memoryview) -> None:
        assert self._stream is not None
        try:
            while block:
                block = block[self._stream.write(block) :]
        except OSError as error:
            raise disk_error(WRITE, self._stream.name, error) from error

    def end(self, file: ScannedFile) -> Path | None:
        stream, path = self._stream, self._directory / file_name(file)
        try:
            if stream is None or not file.ok or file.placeholder:
                return None
            os.fdatasync(stream.fileno())
            stream.close()
            # Unlike rename, link never replaces a file that appeared meanwhile.
            path.hardlink_to(stream.name)
            return path
        except OSError as error:
            file.error = disk_error(WRITE, str(path), error)
            return None
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary name; a complete file has its own by now."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            with contextlib.suppress(OSError):
                os.unlink(stream.name)  # noqa: PTH108 - the stream's own name
