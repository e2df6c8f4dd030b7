# SPDX-License-Identifier: GPL-3.0-or-later
"""The 80-byte labels of CTA's on-tape format: one table per label, a reader and a writer made from it.

What it is: VOL1, HDR1/EOF1, HDR2/EOF2 and UHL1/UTL1 as ANSI X3.27 level 3 with CTA's user labels; each field
has an offset, a length, a name and a rule. What it is not: it moves no tape and knows no order of labels
(``files.py`` and ``volume.py`` do). Why tables: the reader checks with one compiled pattern per label, and
the table names the field that is wrong when the pattern does not match. Why templates: a file costs six
labels, so everything a session knows beforehand is formatted once and a label costs one ``%``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cta_taped.common.errors import (
    CONFIG_USAGE,
    TAPE_LABEL_FORMAT,
    TAPE_NOT_LABELLED,
    TAPE_PROTECTION_METHOD,
    CtaError,
)
from cta_taped.common.model import WriterIdentity

LABEL_SIZE: Final = 80
BLOCK_SIZE: Final = 262144
"""Payload block size that CTA writes, in bytes; a reader takes it from UHL1 instead."""
MAX_BLOCK_SIZE: Final = 2**24 - 1
"""The transfer length of READ(6) has 24 bits (SSC-4); a larger block size would only cost memory."""
PLACEHOLDER_TEXT: Final = "UNKNOWN"
"""Stands where a field would be blank: CTA's readers refuse blank fields."""
PRELABEL: Final = "PRELABEL"
"""File id of the one HDR1 of an empty tape."""


class ProtectionMethod(IntEnum):
    """Logical block protection method codes (SSC-4, mode page 0Ah/F0h), as VOL1 names them in hexadecimal."""

    NONE = 0
    REED_SOLOMON = 1
    CRC32C = 2


class Rule(StrEnum):
    """What a reader demands of a field that has no constant value."""

    FILLED = "not blank"
    ANY = "anything"


class Field(NamedTuple):
    """One field of a label; ``rule`` is a ``Rule``, or the constant text that the field must hold."""

    offset: int
    length: int
    name: str
    rule: Rule | str


def _blank(offset: int, length: int, name: str = "reserved") -> Field:
    return Field(offset, length, name, " " * length)


# fmt: off
_VOL1: Final = (
    Field(0, 4, "label identifier", "VOL1"),
    Field(4, 6, "VSN", Rule.FILLED),
    _blank(10, 1, "accessibility"),
    _blank(11, 13),
    _blank(24, 13, "implementation identifier"),
    Field(37, 14, "owner", Rule.ANY),
    _blank(51, 26),
    Field(77, 2, "LBP method", Rule.ANY),
    Field(79, 1, "label standard", "3"),
)


def _first(identifier: str, block_count: Rule | str) -> tuple[Field, ...]:
    return (
        Field(0, 4, "label identifier", identifier),
        Field(4, 17, "file identifier", Rule.FILLED),
        Field(21, 6, "VSN", Rule.FILLED),
        Field(27, 4, "file section number", "0001"),
        Field(31, 4, "file sequence number", Rule.FILLED),
        Field(35, 4, "generation number", "0001"),
        Field(39, 2, "generation version", "00"),
        Field(41, 6, "creation date", Rule.FILLED),
        Field(47, 6, "expiration date", Rule.FILLED),
        _blank(53, 1, "accessibility"),
        Field(54, 6, "block count", block_count),
        Field(60, 13, "system code", Rule.FILLED),
        _blank(73, 7),
    )


def _second(identifier: str) -> tuple[Field, ...]:
    return (
        Field(0, 4, "label identifier", identifier),
        Field(4, 1, "record format", "F"),
        Field(5, 5, "block length", Rule.FILLED),
        Field(10, 5, "record length", Rule.FILLED),
        Field(15, 1, "tape density", Rule.ANY),
        _blank(16, 18),
        Field(34, 2, "recording technique", Rule.ANY),
        _blank(36, 14),
        Field(50, 2, "buffer offset", "00"),
        _blank(52, 28),
    )


def _user(identifier: str) -> tuple[Field, ...]:
    return (
        Field(0, 4, "label identifier", identifier),
        Field(4, 10, "file sequence number", Rule.FILLED),
        Field(14, 10, "block size", Rule.FILLED),
        Field(24, 10, "record length", Rule.FILLED),
        Field(34, 8, "site", Rule.FILLED),
        Field(42, 10, "host", Rule.FILLED),
        Field(52, 8, "drive vendor", Rule.FILLED),
        Field(60, 8, "drive model", Rule.FILLED),
        Field(68, 12, "drive serial", Rule.FILLED),
    )


LAYOUTS: Final[Mapping[str, tuple[Field, ...]]] = {
    "VOL1": _VOL1,
    "HDR1": _first("HDR1", "000000"), "EOF1": _first("EOF1", Rule.FILLED),
    "HDR2": _second("HDR2"), "EOF2": _second("EOF2"),
    "UHL1": _user("UHL1"), "UTL1": _user("UTL1"),
}
# fmt: on


def _pattern(layout: tuple[Field, ...]) -> re.Pattern[bytes]:
    parts = []
    for field in layout:
        if field.rule is Rule.FILLED:
            parts.append(rf"(?! {{{field.length}}})([ -~]{{{field.length}}})")
        elif field.rule is Rule.ANY:
            parts.append(rf"([\x00-\xff]{{{field.length}}})")
        else:
            parts.append(f"({re.escape(field.rule)})")
    return re.compile("".join(parts).encode("ascii"))


_MATCHERS: Final = {name: _pattern(layout).fullmatch for name, layout in LAYOUTS.items()}


class VolumeLabel(NamedTuple):
    """What VOL1 says."""

    vid: str
    owner: str
    protection: ProtectionMethod


class FileLabel(NamedTuple):
    """What HDR1 or EOF1 says; ``fseq_modulo`` is the fSeq modulo 10000, dates are ``cyyddd``."""

    file_id: str
    vid: str
    fseq_modulo: str
    creation_date: str
    expiration_date: str
    block_count: str
    system_code: str

    @property
    def is_prelabel(self) -> bool:
        """True for the HDR1 of an empty tape."""
        return self.file_id == PRELABEL


class UserLabel(NamedTuple):
    """What UHL1 or UTL1 says; sizes in bytes."""

    fseq: int
    block_size: int
    record_length: str
    site: str
    host: str
    drive_vendor: str
    drive_model: str
    drive_serial: str


def _fields(identifier: str, label: bytes, *numbers: int) -> list[str]:
    """The fields ``numbers`` (counted from 1) of a verified label, without trailing spaces."""
    match = _MATCHERS[identifier](label)
    if match is None:
        raise CtaError(TAPE_LABEL_FORMAT, _fault(identifier, label), label=bytes(label).hex())
    return [group.decode("latin-1").rstrip(" ") for group in match.group(*numbers)]


def _fault(identifier: str, label: bytes) -> str:
    if len(label) != LABEL_SIZE:
        return (
            f"{identifier}: a block of {len(label)} bytes stands where a label of {LABEL_SIZE} was expected"
        )
    for field in LAYOUTS[identifier]:
        text = label[field.offset : field.offset + field.length].decode("latin-1")
        if field.rule is Rule.FILLED:
            if not text.strip(" "):
                return f"{identifier}: {field.name} is blank"
            if not all(" " <= character <= "~" for character in text):
                return f"{identifier}: {field.name} is {text!r}, expected printable ASCII"
        elif field.rule is not Rule.ANY and text != field.rule:
            return f"{identifier}: {field.name} is {text!r}, expected {str(field.rule)!r}"
    raise AssertionError("the pattern and the table of a label disagree")


def _decimal(identifier: str, name: str, text: str) -> int:
    if not text.isdigit():
        raise CtaError(TAPE_LABEL_FORMAT, f"{identifier}: {name} is {text!r}, expected a decimal number")
    return int(text)


def parse_vol1(label: bytes) -> VolumeLabel:
    """Read VOL1.

    Raises CtaError TAPE_NOT_LABELLED when the block is no VOL1 at all, TAPE_LABEL_FORMAT when a field of it
    is wrong, TAPE_PROTECTION_METHOD when it names a method that does not exist.
    """
    if label[:4] != b"VOL1":
        raise CtaError(
            TAPE_NOT_LABELLED,
            f"the first block ({len(label)} bytes) is no VOL1 label: it begins with {bytes(label[:4])!r}",
        )
    vid, owner, method = _fields("VOL1", label, 2, 6, 8)
    return VolumeLabel(vid, owner, parse_protection(method))


def parse_protection(text: str) -> ProtectionMethod:
    """The method named by VOL1's two characters, blank (tapes older than the field) meaning none.

    Raises CtaError TAPE_PROTECTION_METHOD for anything but 00, 01, 02.
    """
    digits = text.strip(" ")
    if not digits:
        return ProtectionMethod.NONE
    if re.fullmatch(r"0?[0-2]", digits) is None:
        raise CtaError(TAPE_PROTECTION_METHOD, f"VOL1: LBP method is {text!r}, expected '00', '01' or '02'")
    return ProtectionMethod(int(digits))


def parse_first(identifier: str, label: bytes) -> FileLabel:
    """Read ``HDR1`` or ``EOF1``; raises CtaError TAPE_LABEL_FORMAT."""
    return FileLabel(*_fields(identifier, label, 2, 3, 5, 8, 9, 11, 12))


def check_second(identifier: str, label: bytes) -> None:
    """Verify ``HDR2`` or ``EOF2``, which tell a reader nothing; raises CtaError TAPE_LABEL_FORMAT."""
    _fields(identifier, label, 1, 2)


def parse_user(identifier: str, label: bytes) -> UserLabel:
    """Read ``UHL1`` or ``UTL1``; raises CtaError TAPE_LABEL_FORMAT, also for an impossible block size."""
    fseq, block_size, *rest = _fields(identifier, label, *range(2, 10))
    size_bytes = _decimal(identifier, "block size", block_size)
    if not 1 <= size_bytes <= MAX_BLOCK_SIZE:
        raise CtaError(
            TAPE_LABEL_FORMAT, f"{identifier}: block size is {block_size!r}, expected 1 to {MAX_BLOCK_SIZE}"
        )
    return UserLabel(_decimal(identifier, "file sequence number", fseq), size_bytes, *rest)


def parse_archive_file_id(file_id: str) -> int:
    """The number in an HDR1's file identifier; raises CtaError TAPE_LABEL_FORMAT if not hexadecimal."""
    if re.fullmatch(r"[0-9A-Fa-f]+", file_id) is None:
        raise CtaError(
            TAPE_LABEL_FORMAT, f"HDR1: file identifier is {file_id!r}, expected a hexadecimal number"
        )
    return int(file_id, 16)


def checked_vid(vid: str) -> str:
    """``vid`` if a label can hold it: 1 to 6 printable characters, no space, no lower case.

    Raises CtaError CONFIG_USAGE: a truncated VID would name another cartridge.
    """
    if re.fullmatch(r"[!-`{-~]{1,6}", vid) is None:
        raise CtaError(
            CONFIG_USAGE, f"VID {vid!r} cannot stand in a label: 1 to 6 upper-case characters are expected"
        )
    return vid


def label_date(when: time.struct_time) -> str:
    """``cyyddd``: c is 0 in this century and a space in the last one (ANSI X3.27); ``when`` in local time."""
    century = "0" if when.tm_year >= 2000 else " "
    return f"{century}{when.tm_year % 100:02d}{when.tm_yday:03d}"


def site_name(resolv_conf: Path = Path("/etc/resolv.conf")) -> str:
    """The site as CTA derives it: first label of the first domain of the first ``search `` line, upper case.

    ``UNKNOWN`` when there is none (CTA would refuse to write at all).
    """
    try:
        lines = resolv_conf.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return PLACEHOLDER_TEXT
    for line in lines:
        if line.startswith("search "):
            domains = line.removeprefix("search ").split()
            return (domains[0].split(".")[0].upper() if domains else "") or PLACEHOLDER_TEXT
    return PLACEHOLDER_TEXT


def short_host(host_name: str) -> str:
    """A host name as labels carry it: cut at the first dot, upper case."""
    return host_name.split(".")[0].upper()


def _text(value: str, length: int) -> str:
    """A left-justified field: not printable becomes ``?``, blank the placeholder, too long is cut."""
    printable = "".join(c if " " <= c <= "~" else "?" for c in value.strip(" "))
    return (printable or PLACEHOLDER_TEXT)[:length].ljust(length)


def vol1(vid: str, protection: ProtectionMethod) -> bytes:
    """The volume label of ``vid``; raises CtaError CONFIG_USAGE for a VID that does not fit."""
    return f"VOL1{checked_vid(vid):<6}{'':27}{'CTA':<40}{protection:02x}3".encode("ascii")


class LabelWriter:
    """The labels of one session on one tape, preformatted.

    ``date`` fixes the label date (``cyyddd``); None means today, taken again when the local day changes.
    An archive file id has at most 64 bits; a block count is applied modulo its field, as CTA does.
    """

    def __init__(self, vid: str, identity: WriterIdentity, date: str | None = None) -> None:
        if date is not None and re.fullmatch(r"[ 0-9]\d{5}", date) is None:
            raise CtaError(CONFIG_USAGE, f"label date {date!r} is not of the form cyyddd, for example 026331")
        self._vid = checked_vid(vid)
        self._identity = identity
        self._fixed_date = date
        self._format(time.time())

    def _format(self, now_s: float) -> None:
        local = time.localtime(now_s)
        midnight = (local.tm_year, local.tm_mon, local.tm_mday + 1, 0, 0, 0, 0, 0, -1)
        self._day_end_s = float("inf") if self._fixed_date is not None else time.mktime(midnight)
        date = self._fixed_date or label_date(local)
        who = self._identity
        system = _text(f"CTA {who.system_version.strip(' ') or PLACEHOLDER_TEXT}", 13)
        vid = _text(self._vid, 6).replace("%", "%%")
        tail = f"{system}{'':7}".replace("%", "%%")
        writer = (
            _text(who.site, 8)
            + _text(who.host, 10)
            + _text(who.drive_vendor, 8)
            + _text(who.drive_model, 8)
            + _text(who.drive_serial, 12)
        ).replace("%", "%%")
        start = f"%-17X{vid}0001%04d000100{date}{date} "
        self._hdr1 = f"HDR1{start}000000{tail}".encode("ascii")
        self._eof1 = f"EOF1{start}%06d{tail}".encode("ascii")
        self._uhl1 = f"UHL1%010d{BLOCK_SIZE:010d}{BLOCK_SIZE:010d}{writer}".encode("ascii")
        self._utl1 = b"UTL1" + self._uhl1[4:]
        length = f"{BLOCK_SIZE if BLOCK_SIZE < 100000 else 0:05d}"
        self.hdr2 = f"HDR2F{length}{length}{'':35}00{'':28}".encode("ascii")
        self.eof2 = b"EOF2" + self.hdr2[4:]
        self.prelabel = b"HDR1" + PRELABEL.ljust(17).encode("ascii") + self.hdr1(0, 1)[21:]

    def refresh(self, now_s: float) -> None:
        """Take today's date again if the local day of ``now_s`` (seconds since the epoch) is another one."""
        if now_s >= self._day_end_s:
            self._format(now_s)

    def hdr1(self, archive_file_id: int, fseq: int) -> bytes:
        """HDR1 of a file."""
        return self._hdr1 % (archive_file_id, fseq % 10_000)

    def uhl1(self, fseq: int) -> bytes:
        """UHL1 of a file."""
        return self._uhl1 % (fseq % 10_000_000_000)

    def eof1(self, archive_file_id: int, fseq: int, block_count: int) -> bytes:
        """EOF1 of a file of ``block_count`` payload blocks."""
        return self._eof1 % (archive_file_id, fseq % 10_000, block_count % 1_000_000)

    def utl1(self, fseq: int) -> bytes:
        """UTL1 of a file."""
        return self._utl1 % (fseq % 10_000_000_000)
