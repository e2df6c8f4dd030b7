# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume: labelling a cartridge, and opening a labelled one for writing or reading.

What it is: everything that must be true of a tape before its first file is touched (tape format 5, 6.1, 7.1).
What it is not: a mount; the cartridge is in the drive and ready. Why here and nowhere else: these checks are
the protection against overwriting, and nothing may write to a tape by another way.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from cta_taped.common.errors import (
    TAPE_FOREIGN,
    TAPE_LABEL_FORMAT,
    TAPE_NOT_A_MARK,
    TAPE_NOT_LABELLED,
    TAPE_OVERSIZE_BLOCK,
    TAPE_POSITION,
    TAPE_PROTECTION_METHOD,
    TAPE_TRAILER_MISMATCH,
    TAPE_TRUNCATED,
    TAPE_WRITE_PROTECTED,
    TAPE_WRONG_VOLUME,
    CtaError,
)
from cta_taped.common.model import WriterIdentity
from cta_taped.tape import labels
from cta_taped.tape.drive import BlockProtection, TapeDrive
from cta_taped.tape.files import FIRST_OBJECT, MARKS_PER_FILE, FileReader, FileWriter, read_trailer
from cta_taped.tape.labels import LabelWriter, ProtectionMethod, VolumeLabel


class ProtectionUse(StrEnum):
    """How a session uses logical block protection; the values are CTA's in its log."""

    ON = "LBP_On"
    OFF_BUT_PRESENT = "LBP_Off_but_present"
    OFF = "LBP_Off"


_NO_LABEL: Final = frozenset({TAPE_LABEL_FORMAT, TAPE_NOT_A_MARK, TAPE_OVERSIZE_BLOCK, TAPE_TRUNCATED})
"""What reading VOL1 raises when some other block, a mark or nothing stands there."""
_NO_TRAILER: Final = _NO_LABEL | {TAPE_POSITION}


def read_volume_label(drive: TapeDrive) -> VolumeLabel:
    """Rewind and read VOL1 in the drive's present protection mode; the tape then stands at object 1.

    Raises CtaError TAPE_NOT_LABELLED, TAPE_LABEL_FORMAT, TAPE_PROTECTION_METHOD, and what reading raises.
    """
    drive.rewind()
    try:
        block = drive.read_label()
    except CtaError as error:
        if error.spec in _NO_LABEL:
            raise CtaError(
                TAPE_NOT_LABELLED, f"no VOL1 label at the beginning of the tape: {error.detail}"
            ) from error
        raise
    return labels.parse_vol1(block)


def identify(drive: TapeDrive) -> VolumeLabel:
    """Read VOL1 with block protection off, in which every drive shows the label (tape format 6.1).

    Leaves protection off. Raises CtaError TAPE_NOT_LABELLED for a blank tape, and as ``read_volume_label``.
    """
    drive.set_block_protection(BlockProtection.OFF)
    if drive.is_blank():
        raise CtaError(TAPE_NOT_LABELLED, "the cartridge is blank")
    return read_volume_label(drive)


def label_volume(
    drive: TapeDrive,
    vid: str,
    *,
    protection: bool,
    identity: WriterIdentity,
    old_label: str | None = None,
    force: bool = False,
    date: str | None = None,
) -> None:
    """Write VOL1 and the empty tape's HDR1 at the beginning; everything behind is lost (tape format 5).

    A blank tape is accepted. Any other must carry the label ``old_label`` (default: ``vid`` itself) unless
    ``force``. Whether the catalogue still records files is the caller's question. Protection is off and the
    tape synchronised afterwards. Raises CtaError TAPE_WRITE_PROTECTED, TAPE_FOREIGN, DRIVE_NO_PROTECTION and
    what writing raises; nothing was written after the first three.
    """
    method = ProtectionMethod.CRC32C if protection else ProtectionMethod.NONE
    vol1 = labels.vol1(vid, method)
    prelabel = LabelWriter(vid, identity, date).prelabel
    if drive.write_protected():
        raise CtaError(TAPE_WRITE_PROTECTED, f"{vid}: the cartridge is write protected; nothing was written")
    drive.set_block_protection(BlockProtection.OFF)
    if not drive.is_blank() and not force:
        _demand_label(drive, vid, old_label or vid)
    drive.rewind()
    if protection:
        drive.set_block_protection(BlockProtection.WRITE)
    try:
        drive.write_labels(vol1, prelabel)
        drive.write_filemarks(1, immediate=False)
    finally:
        if protection:
            drive.set_block_protection(BlockProtection.OFF)


def _demand_label(drive: TapeDrive, vid: str, wanted: str) -> None:
    advice = "give --old-label with its present label, or --force if its content may be destroyed"
    try:
        found = read_volume_label(drive).vid
    except CtaError as error:
        if error.spec in (TAPE_NOT_LABELLED, TAPE_LABEL_FORMAT, TAPE_PROTECTION_METHOD):
            raise CtaError(
                TAPE_FOREIGN, f"{vid}: the cartridge holds something without a CTA label; {advice}"
            ) from error
        raise
    if found != wanted:
        raise CtaError(
            TAPE_FOREIGN,
            f"{vid}: the cartridge is labelled {found}, expected {wanted}; {advice}",
            found=found,
        )


def open_for_write(
    drive: TapeDrive,
    vid: str,
    last_fseq: int,
    *,
    protection_enabled: bool,
    identity: WriterIdentity,
    date: str | None = None,
) -> tuple[FileWriter, ProtectionUse]:
    """Verify the tape against the catalogue and stand behind its last file (tape format 6.1).

    ``last_fseq`` is the catalogue's, ``protection_enabled`` the site's; ``date`` fixes the label date.
    Raises CtaError TAPE_WRITE_PROTECTED, TAPE_NOT_LABELLED, TAPE_WRONG_VOLUME, TAPE_LABEL_FORMAT,
    TAPE_PROTECTION_METHOD, TAPE_TRAILER_MISMATCH, and what the drive raises. Nothing is written here.
    """
    label_writer = LabelWriter(vid, identity, date)
    if drive.write_protected():
        raise CtaError(TAPE_WRITE_PROTECTED, f"{vid}: the cartridge is write protected")
    method = _usable_method(identify(drive), vid)
    if method is ProtectionMethod.CRC32C and not protection_enabled:
        raise CtaError(
            TAPE_PROTECTION_METHOD,
            f"{vid} was labelled with block protection and this site has it switched off: not written",
        )
    if method is ProtectionMethod.CRC32C:
        drive.set_block_protection(BlockProtection.WRITE)
    demand_volume(read_volume_label(drive), vid)
    if last_fseq > 0:
        _verify_last_file(drive, vid, last_fseq)
    next_object = drive.position() if last_fseq > 0 else FIRST_OBJECT
    use = ProtectionUse.ON if method is ProtectionMethod.CRC32C else ProtectionUse.OFF
    return FileWriter(drive, vid, last_fseq, next_object, label_writer), use


def _verify_last_file(drive: TapeDrive, vid: str, last_fseq: int) -> None:
    try:
        drive.space_filemarks(MARKS_PER_FILE * last_fseq - 1)
        trailer = read_trailer(drive)
    except CtaError as error:
        if error.spec in _NO_TRAILER:
            raise CtaError(
                TAPE_TRAILER_MISMATCH,
                f"{vid}: no trailer of fSeq {last_fseq}, the catalogue's last, is on tape: {error.detail}",
                last_fseq=last_fseq,
                cause=error.code,
            ) from error
        raise
    if trailer.user.fseq != last_fseq or trailer.first.vid != vid:
        raise CtaError(
            TAPE_TRAILER_MISMATCH,
            f"{vid}: the catalogue's last fSeq is {last_fseq}, but the trailer found there is of "
            f"{trailer.first.vid} fSeq {trailer.user.fseq}",
            last_fseq=last_fseq,
            found_fseq=trailer.user.fseq,
        )


def open_for_read(
    drive: TapeDrive, vid: str | None, *, protection_enabled: bool
) -> tuple[FileReader, ProtectionUse]:
    """Verify the label and stand at the first file (tape format 7.1). ``vid`` None accepts any volume.

    Raises CtaError TAPE_NOT_LABELLED, TAPE_WRONG_VOLUME, TAPE_LABEL_FORMAT, TAPE_PROTECTION_METHOD, and what
    the drive raises.
    """
    first = identify(drive)
    wanted = first.vid if vid is None else vid
    method = _usable_method(first, wanted)
    use = ProtectionUse.OFF
    if method is ProtectionMethod.CRC32C:
        use = ProtectionUse.ON if protection_enabled else ProtectionUse.OFF_BUT_PRESENT
    if use is ProtectionUse.ON:
        drive.set_block_protection(BlockProtection.READ)
    demand_volume(read_volume_label(drive), wanted)
    return FileReader(drive, wanted), use


def _usable_method(label: VolumeLabel, vid: str) -> ProtectionMethod:
    if label.protection is ProtectionMethod.REED_SOLOMON:
        raise CtaError(
            TAPE_PROTECTION_METHOD, f"{vid}: VOL1 names Reed-Solomon block protection, which is not supported"
        )
    return label.protection


def demand_volume(label: VolumeLabel, vid: str) -> None:
    """Raise CtaError TAPE_WRONG_VOLUME unless ``label`` is ``vid``'s."""
    if label.vid != vid:
        raise CtaError(
            TAPE_WRONG_VOLUME,
            f"the cartridge in the drive is labelled {label.vid}, expected {vid}",
            found=label.vid,
        )
