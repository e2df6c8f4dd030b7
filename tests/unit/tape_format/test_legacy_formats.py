# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of OSM and Enstore, made here by hand from their description, and read like CTA's own."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import crc32c
import pytest
from golden_images import GOLDEN, LoadImage

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.tape.cpio import parse_cpio_header
from cta_taped.tape.drive import PROTECTION_BYTES, TapeDrive
from cta_taped.tape.files import VolumeReader
from cta_taped.tape.formats import open_volume

MARK = struct.pack("<I", 0)
CONTENTS = [random.Random(seed).randbytes(size) for seed, size in enumerate([1, 5000, 3_000_001, 262_144])]


def record(data: bytes) -> bytes:
    """One record of an image."""
    length = struct.pack("<I", len(data))
    return length + data + b"\0" * (len(data) % 2) + length


def cpio(content: bytes, *, hexadecimal: bool = False) -> bytes:
    """A cpio member with its trailer."""
    name = b"/pnfs/example/file\0"
    size = b"H%010X" % len(content) if hexadecimal else b"%011o" % len(content)
    head = b"070707" + b"%06o" % 1 * 7 + b"%011o" % 1700000000 + b"%06o" % len(name) + size
    trailer = b"070707" + b"0" * 59 + b"%06o" % 11 + b"%011o" % 0
    return head + name + content + trailer[:65] + b"0" * 11 + b"TRAILER!!!\0"


def blocks(data: bytes, size: int, *, crc: bool = False, pad: bool = False) -> bytes:
    """Records of at most ``size`` bytes each."""
    found = []
    for start in range(0, len(data), size):
        block = data[start : start + size]
        if pad:
            block = block.ljust(size, b"\0")
        found.append(record(block + struct.pack("<I", crc32c.crc32c(block)) if crc else block))
    return b"".join(found)


def xdr(data: bytes) -> bytes:
    """Variable-length opaque data."""
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def osm_label(name: bytes, *, magic: int = 0x00070460) -> bytes:
    """First part of an OSM label."""
    inner = struct.pack(">IIIII", magic, 1, 2, 262144, 7) + xdr(name)
    chunk = struct.pack(">II", 1, 0) + xdr(inner)
    return (b"\1" * 128 + struct.pack(">IIIII", 7, 0, 0, len(inner), 1) + chunk).ljust(32768, b"\0")


def osm(*, crc: bool) -> bytes:
    """A whole OSM volume."""
    parts = [osm_label(b"OS0001JD"), (b"owner".ljust(33, b"\0") + b"1.0").ljust(32768, b"\0")]
    if crc:
        parts = [part + struct.pack("<I", crc32c.crc32c(part)) for part in parts]
    files = [
        blocks(cpio(content, hexadecimal=index % 2 == 1), 262144, crc=crc) + MARK
        for index, content in enumerate(CONTENTS)
    ]
    return b"".join(map(record, parts)) + MARK + b"".join(files)


def vol1(standard: bytes, length: int = 80) -> bytes:
    """VOL1 of Enstore."""
    return (b"VOL1EN0001" + b" " * 69 + standard).ljust(length, b" ")


def enstore() -> bytes:
    """A whole Enstore volume."""
    files = [blocks(cpio(content), 1048576) + MARK for content in CONTENTS]
    return record(vol1(b"0", 240)) + MARK + b"".join(files)


def enstore_large() -> bytes:
    """A whole volume of large files; file ids, sections and numbers are none that CTA would know."""
    image = [record(vol1(b"3", 240)), MARK]
    for content in CONTENTS:
        first = b"%-17sEN000100420099000100024001024001 %06dENSTORE             "
        second = b"D0000000000" + b" " * 35 + b"00" + b" " * 28
        user = b"0000000099" + b"0000131072" * 2 + b"FNAL    MOVER     IBM     ULT3580-SERIAL      "
        uhl2 = (b"UHL2" + b" " * 60 + b"%014d  ") % len(content)
        header = b"HDR1" + first % (b"some-name", 0) + b"HDR2" + second + b"UHL1" + user + uhl2
        trailer = b"EOF1" + first % (b"some-name", 7) + b"EOF2" + second + b"UTL1" + user
        assert (len(header), len(trailer)) == (320, 240)
        image += [record(header), MARK, blocks(content, 131072, pad=True), MARK, record(trailer), MARK]
    return b"".join(image)


VOLUMES: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "osm": (lambda: osm(crc=False), "OS0001", 1),
    "osm-crc": (lambda: osm(crc=True), "OS0001", 1),
    "enstore": (enstore, "EN0001", 2),
    "enstore-large": (enstore_large, "EN0001", 3),
}


def read(drive: TapeDrive, reader: VolumeReader, fseq: int, block_id: int | None) -> bytes:
    """The payload of one file."""
    reader.position_to(fseq, block_id)
    buffer = memoryview(bytearray(reader.open_file(1234, fseq) + PROTECTION_BYTES))
    content = bytearray()
    count = 0
    while length := reader.read_block(buffer):
        content += buffer[:length]
        count += 1
    reader.close_file(count)
    return bytes(content)


@pytest.mark.parametrize("name", VOLUMES)
def test_files_in_every_order(name: str, tmp_path: Path, load_image: LoadImage) -> None:
    make, vid, label_format = VOLUMES[name]
    (tmp_path / "volume.tap").write_bytes(make())
    drive = load_image(tmp_path / "volume.tap")
    reader, _ = open_volume(drive, vid, label_format, protection_enabled=True)
    for fseq in [1, 2, 3, 4, 2, 3, 1, 4, 4, 1]:
        assert read(drive, reader, fseq, None) == CONTENTS[fseq - 1]


@pytest.mark.parametrize("name", ["osm", "osm-crc"])
def test_osm_by_block_id(name: str, tmp_path: Path, load_image: LoadImage) -> None:
    (tmp_path / "volume.tap").write_bytes(VOLUMES[name][0]())
    drive = load_image(tmp_path / "volume.tap")
    reader, _ = open_volume(drive, "OS0001", 1, protection_enabled=False)
    starts = {1: 0, 2: 5, 3: 7}
    for fseq in (3, 1, 2):
        assert read(drive, reader, fseq, starts[fseq]) == CONTENTS[fseq - 1]


@pytest.mark.parametrize("name", VOLUMES)
def test_another_volume_is_refused(name: str, tmp_path: Path, load_image: LoadImage) -> None:
    make, _, label_format = VOLUMES[name]
    (tmp_path / "volume.tap").write_bytes(make())
    with pytest.raises(CtaError) as caught:
        open_volume(load_image(tmp_path / "volume.tap"), "XX0001", label_format, protection_enabled=True)
    assert caught.value.spec is errors.TAPE_WRONG_VOLUME


@pytest.mark.parametrize("label_format", [1, 2, 3])
def test_a_tape_of_cta_is_none_of_them(label_format: int, load_image: LoadImage) -> None:
    drive = load_image(GOLDEN / "sizes.tap")
    with pytest.raises(CtaError):
        reader, _ = open_volume(drive, "V00002", label_format, protection_enabled=True)
        read(drive, reader, 1, None)


def test_unknown_format(load_image: LoadImage) -> None:
    with pytest.raises(CtaError) as caught:
        open_volume(load_image(GOLDEN / "sizes.tap"), "V00002", 4, protection_enabled=True)
    assert caught.value.spec is errors.TAPE_LABEL_FORMAT


@pytest.mark.parametrize("name", ["enstore", "enstore-large"])
def test_a_file_that_ends_too_early(name: str, tmp_path: Path, load_image: LoadImage) -> None:
    """The size says more than there is before the mark; the next file is still readable."""
    make, vid, label_format = VOLUMES[name]
    image = make()
    if name == "enstore":
        image = image.replace(b"%011o" % 5000, b"%011o" % 50000)
    else:
        image = image.replace(b"%014d" % 5000, b"%014d" % 500_000)
    (tmp_path / "volume.tap").write_bytes(image)
    drive = load_image(tmp_path / "volume.tap")
    reader, _ = open_volume(drive, vid, label_format, protection_enabled=True)
    with pytest.raises(CtaError) as caught:
        read(drive, reader, 2, None)
    assert caught.value.spec is errors.TAPE_SIZE
    assert reader.position_lost
    assert read(drive, reader, 3, None) == CONTENTS[2]


def test_a_wrong_embedded_crc(tmp_path: Path, load_image: LoadImage) -> None:
    image = bytearray(osm(crc=True))
    image[len(image) - 400_000] ^= 1
    (tmp_path / "volume.tap").write_bytes(image)
    drive = load_image(tmp_path / "volume.tap")
    reader, _ = open_volume(drive, "OS0001", 1, protection_enabled=True)
    with pytest.raises(CtaError) as caught:
        read(drive, reader, 3, None)
    assert caught.value.spec is errors.TAPE_BLOCK_PROTECTION
    assert read(drive, reader, 2, None) == CONTENTS[1]


@pytest.mark.parametrize(
    "label", [b"", b"\0" * 32768, osm_label(b"OS0001", magic=1), osm_label(b"X" * 16), b"\xff" * 32768]
)
def test_what_is_no_osm_label(label: bytes, tmp_path: Path, load_image: LoadImage) -> None:
    (tmp_path / "volume.tap").write_bytes((record(label) if label else MARK) * 2 + MARK)
    with pytest.raises(CtaError) as caught:
        open_volume(load_image(tmp_path / "volume.tap"), "OS0001", 1, protection_enabled=True)
    assert caught.value.spec is errors.TAPE_NOT_LABELLED


@pytest.mark.parametrize(
    "block",
    [b"", b"070701" + b"0" * 70, cpio(b"")[:76], cpio(b"x")[:75], cpio(b"x")[:59] + b"003720" + b"0" * 11],
)
def test_what_is_no_cpio_header(block: bytes) -> None:
    with pytest.raises(CtaError) as caught:
        parse_cpio_header(block)
    assert caught.value.spec is errors.TAPE_LABEL_FORMAT


def test_cpio_sizes_beyond_8_gib() -> None:
    header = cpio(b"x", hexadecimal=True)
    assert parse_cpio_header(header[:65] + b"H1000000000" + header[76:]) == (76 + 19, 1 << 36)
