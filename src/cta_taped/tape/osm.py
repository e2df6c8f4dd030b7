# SPDX-License-Identifier: GPL-3.0-or-later
"""Tapes written by OSM, read only (tape format 9.2): two label blocks in XDR (RFC 4506), a mark, cpio files.

What it is: the label and the opening of such a volume; its files are ``cpio.py``'s. Nothing of OSM's own
catalogue is known here.
"""

from __future__ import annotations

from typing import Final

from cta_taped.common.errors import TAPE_NOT_LABELLED, CtaError
from cta_taped.tape.cpio import CRC_BYTES, CpioReader
from cta_taped.tape.drive import PROTECTION_BYTES, BlockProtection, TapeDrive
from cta_taped.tape.labels import ProtectionMethod, VolumeLabel
from cta_taped.tape.volume import ProtectionUse, demand_volume

_LABEL_BYTES: Final = 32768
_BLOCK_BYTES: Final = 262144 + CRC_BYTES
_FIRST_FILE_OBJECT: Final = 3
_MAGIC: Final = 0x00070460
_HANDLE_BYTES: Final = 128
_MAX_CHUNKS: Final = 2048
_MAX_CHUNK_BYTES: Final = 32768
_MAX_NAME_BYTES: Final = 15
_VID_BYTES: Final = 6
_OWNER_BYTES: Final = 33


class _Xdr:
    """A cursor over XDR data; running out of data raises CtaError TAPE_NOT_LABELLED."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def opaque(self, length: int) -> bytes:
        end = self._offset + length
        if end > len(self._data):
            raise CtaError(TAPE_NOT_LABELLED, "the OSM label ends too early")
        found = self._data[self._offset : end]
        self._offset = end + -length % 4
        return found

    def number(self) -> int:
        return int.from_bytes(self.opaque(4), "big")

    def counted(self, what: str, limit: int) -> bytes:
        length = self.number()
        if length > limit:
            raise CtaError(
                TAPE_NOT_LABELLED, f"the OSM label's {what} has {length} bytes, at most {limit} fit"
            )
        return self.opaque(length)


def parse_osm_label(first: bytes, second: bytes) -> VolumeLabel:
    """The volume named by the two label blocks; its VID is the first six characters of the volume's name.

    Raises CtaError TAPE_NOT_LABELLED when they are no OSM label.
    """
    record = _Xdr(first)
    record.opaque(_HANDLE_BYTES)
    for _ in ("volume id", "fn", "rn", "length"):
        record.number()
    chunks = record.number()
    if not 0 < chunks <= _MAX_CHUNKS:
        raise CtaError(TAPE_NOT_LABELLED, f"the OSM label has {chunks} chunks, expected 1 to {_MAX_CHUNKS}")
    for _ in ("ssid", "low"):
        record.number()
    label = _Xdr(record.counted("first chunk", _MAX_CHUNK_BYTES))
    magic = label.number()
    if magic != _MAGIC:
        raise CtaError(TAPE_NOT_LABELLED, f"the OSM label's magic is {magic:#010x}, expected {_MAGIC:#010x}")
    for _ in ("creation time", "expiration time", "record size", "volume id"):
        label.number()
    name = label.counted("volume name", _MAX_NAME_BYTES).decode("ascii", "replace")
    owner = second[:_OWNER_BYTES].split(b"\0")[0].decode("ascii", "replace")
    return VolumeLabel(name[:_VID_BYTES].rstrip(), owner, ProtectionMethod.CRC32C)


def open_osm(drive: TapeDrive, vid: str, *, protection_enabled: bool) -> tuple[CpioReader, ProtectionUse]:
    """Verify the label and stand at the first file.

    Block protection on reading is used where the site and the drive have it. Raises CtaError
    TAPE_NOT_LABELLED, TAPE_WRONG_VOLUME, and what the drive raises.
    """
    use = ProtectionUse.ON if protection_enabled and drive.identity().protection else ProtectionUse.OFF
    drive.set_block_protection(BlockProtection.READ if use is ProtectionUse.ON else BlockProtection.OFF)
    drive.rewind()
    buffer = memoryview(bytearray(_LABEL_BYTES + CRC_BYTES + PROTECTION_BYTES))
    length = drive.read_block(buffer)
    first = bytes(buffer[:_LABEL_BYTES])
    if length not in (_LABEL_BYTES, _LABEL_BYTES + CRC_BYTES) or drive.read_block(buffer) != length:
        raise CtaError(TAPE_NOT_LABELLED, f"{vid}: no OSM label of two blocks of {_LABEL_BYTES} bytes")
    label = parse_osm_label(first, bytes(buffer[:_LABEL_BYTES]))
    demand_volume(label, vid)
    drive.read_filemark()
    return CpioReader(drive, vid, _BLOCK_BYTES, first_object=_FIRST_FILE_OBJECT, may_embed_crc=True), use
