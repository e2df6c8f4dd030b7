# SPDX-License-Identifier: GPL-3.0-or-later
"""Local files written to a tape without a catalogue: for images, tests and training.

What it is: one loop that reads a file, checksums it and writes it, in the order given. What it is not: an
archive session; nothing is recorded anywhere but on the tape. Why: the same labels, layout and checks as the
daemon's, in a form that one command can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cta_taped.common.checksum import ADLER32_OF_NOTHING, adler32
from cta_taped.common.errors import TAPE_TRUNCATED, CtaError
from cta_taped.common.model import WriterIdentity
from cta_taped.disk.files import SourceFile, open_source
from cta_taped.tape.drive import PROTECTION_BYTES, TapeDrive
from cta_taped.tape.files import FileWriter, Placeholder
from cta_taped.tape.labels import BLOCK_SIZE
from cta_taped.tape.scan import TapeScan
from cta_taped.tape.volume import label_volume, open_for_write


@dataclass(slots=True)
class RecordedFile:
    """A file written: ``block_id`` as a catalogue records it, sizes in bytes.

    ``placeholder`` tells that the source was empty: size and checksum are the source's, one block is on tape.
    """

    vid: str
    fseq: int
    archive_file_id: int
    source: Path
    block_id: int = 0
    size_bytes: int = 0
    adler32: int = ADLER32_OF_NOTHING
    blocks: int = 0
    placeholder: bool = False


def write_volume(
    drive: TapeDrive,
    vid: str,
    sources: Sequence[Path],
    *,
    identity: WriterIdentity,
    protection: bool,
    archive_file_id: int | None = None,
    append: bool = False,
    date: str | None = None,
) -> Iterator[RecordedFile]:
    """Label a blank tape and write ``sources``; with ``append``, write them behind the last file of a tape.

    ``sources`` are absolute paths; ``archive_file_id`` is the first one's, default its fSeq, and counts up.
    ``protection`` is for the label: an appended tape keeps its own. ``date`` fixes the labels' date (cyyddd).
    Synchronises at the end. Raises CtaError as ``label_volume``, ``open_for_write``, ``open_source``, and the
    drive; what was begun is then debris, which the next ``append`` overwrites.
    """
    if not append:
        label_volume(drive, vid, protection=protection, identity=identity, date=date)
    if not sources:
        return
    last = last_fseq(drive, vid) if append else 0
    writer, _ = open_for_write(drive, vid, last, protection_enabled=True, identity=identity, date=date)
    buffer = memoryview(bytearray(BLOCK_SIZE + PROTECTION_BYTES))
    first_id = last + 1 if archive_file_id is None else archive_file_id
    for number, path in enumerate(sources, first_id):
        file = RecordedFile(vid, writer.last_fseq + 1, number, path)
        source = open_source(str(path))
        try:
            _record(drive, writer, source, file, buffer)
        finally:
            source.close()
        yield file
    writer.flush()


def last_fseq(drive: TapeDrive, vid: str) -> int:
    """The last file of a tape, every one before it verified; one that the end of data cuts off is debris.

    Raises CtaError as ``TapeScan``, and the error of the first damaged file: nothing is appended behind it.
    """
    last = 0
    broken: CtaError | None = None
    for file in TapeScan(drive, vid).files():
        if broken is not None:
            raise broken
        if file.error is None:
            last = file.fseq
        elif file.error.spec is TAPE_TRUNCATED:
            broken = file.error
        else:
            raise file.error
    return last


def _record(
    drive: TapeDrive, writer: FileWriter, source: SourceFile, file: RecordedFile, buffer: memoryview
) -> None:
    length = _fill(source, buffer[:BLOCK_SIZE])
    if length == 0:
        file.block_id = writer.placeholder(file.archive_file_id, Placeholder.ZERO_LENGTH)
        file.blocks, file.placeholder = 1, True
        return
    file.block_id = writer.begin_file(file.archive_file_id)
    while length:
        file.adler32 = adler32(buffer[:length], file.adler32)
        drive.write_block(buffer, length)
        file.size_bytes += length
        file.blocks += 1
        length = _fill(source, buffer[:BLOCK_SIZE])
    writer.end_file(file.blocks)


def _fill(source: SourceFile, buffer: memoryview) -> int:
    """Fill ``buffer`` from the source; less only at its end."""
    filled = 0
    while filled < len(buffer) and (length := source.readinto(buffer[filled:])):
        filled += length
    return filled
