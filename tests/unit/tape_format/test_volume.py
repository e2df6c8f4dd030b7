# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of a tape before it is labelled, written or read; nothing is written where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_images import GOLDEN, LoadImage, records

from cta_taped.common import errors
from cta_taped.common.errors import CtaError, ErrorSpec
from cta_taped.common.model import WriterIdentity
from cta_taped.tape import files
from cta_taped.tape.drive import PROTECTION_BYTES, BlockProtection
from cta_taped.tape.files import FileWriter, Placeholder
from cta_taped.tape.volume import (
    ProtectionUse,
    identify,
    label_volume,
    open_for_read,
    open_for_write,
)

IDENTITY = WriterIdentity("CERN", "TPSRV01", "IBM", "ULT3580-TD9", "XVAL000001")
NEGATIVE = "negative"


@pytest.mark.parametrize("lbp", [False, True])
def test_a_blank_tape_is_labelled(lbp: bool, tmp_path: Path, load_image: LoadImage) -> None:
    drive = load_image(tmp_path / "new.tap", create="1", vid="V00001", media="LTO-9", lbp=str(int(lbp)))
    label_volume(drive, "V00001", protection=lbp, identity=IDENTITY)
    assert drive.block_protection is BlockProtection.OFF
    label = identify(drive)
    assert (label.vid, label.owner, bool(label.protection)) == ("V00001", "CTA", lbp)


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({}, errors.TAPE_FOREIGN),
        ({"old_label": "V00002"}, None),
        ({"old_label": "V00003"}, errors.TAPE_FOREIGN),
        ({"force": True}, None),
        ({"old_label": "V00003", "force": True}, None),
    ],
)
def test_a_labelled_tape_needs_its_old_label(
    options: dict[str, str], spec: ErrorSpec | None, tmp_path: Path, load_image: LoadImage
) -> None:
    image = tmp_path / "used.tap"
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00009", media="LTO-9")
    if spec is None:
        label_volume(drive, "V00009", protection=False, identity=IDENTITY, **options)
        assert identify(drive).vid == "V00009"
        return
    with pytest.raises(CtaError) as caught:
        label_volume(drive, "V00009", protection=False, identity=IDENTITY, **options)
    assert caught.value.spec is spec
    drive.close()
    assert image.read_bytes() == (GOLDEN / "sizes.tap").read_bytes()


@pytest.mark.parametrize("content", [b"\x10\x00\x00\x00" + b"x" * 16 + b"\x10\x00\x00\x00", b"\0\0\0\0"])
def test_a_foreign_tape_is_labelled_only_by_force(
    content: bytes, tmp_path: Path, load_image: LoadImage
) -> None:
    image = tmp_path / "foreign.tap"
    image.write_bytes(content)
    drive = load_image(image, vid="V00009", media="LTO-9")
    with pytest.raises(CtaError) as caught:
        label_volume(drive, "V00009", protection=False, identity=IDENTITY)
    assert caught.value.spec is errors.TAPE_FOREIGN
    label_volume(drive, "V00009", protection=False, identity=IDENTITY, force=True)
    assert identify(drive).vid == "V00009"


def test_an_unusable_vid_is_refused_before_anything_is_written(tmp_path: Path, load_image: LoadImage) -> None:
    drive = load_image(tmp_path / "new.tap", create="1", vid="V00001", media="LTO-9", lbp="0")
    with pytest.raises(CtaError) as caught:
        label_volume(drive, "TOOLONG", protection=False, identity=IDENTITY)
    assert caught.value.spec is errors.CONFIG_USAGE
    assert drive.is_blank()


@pytest.mark.parametrize(
    ("image", "vid", "last_fseq", "enabled", "spec"),
    [
        ("sizes.tap", "V00003", 4, True, errors.TAPE_WRONG_VOLUME),
        ("sizes.tap", "V00002", 3, True, None),
        ("sizes.tap", "V00002", 5, True, errors.TAPE_TRAILER_MISMATCH),
        ("sizes.tap", "V00002", 1000, True, errors.TAPE_TRAILER_MISMATCH),
        ("sizes.tap", "V00002", 0, True, None),
        ("labelled.tap", "V00001", 1, True, errors.TAPE_TRAILER_MISMATCH),
        ("small100-lbp.tap", "L00004", 100, True, None),
        ("small100-lbp.tap", "L00004", 100, False, errors.TAPE_PROTECTION_METHOD),
        ("negative/blank.tap", "V00002", 0, True, errors.TAPE_NOT_LABELLED),
        ("negative/vol1-lbp01.tap", "V00002", 4, True, errors.TAPE_PROTECTION_METHOD),
        ("negative/utl1-fseq.tap", "V00002", 2, True, errors.TAPE_TRAILER_MISMATCH),
        ("negative/utl1-fseq.tap", "V00002", 4, True, None),
        ("negative/no-trailer-mark.tap", "V00002", 4, True, errors.TAPE_TRAILER_MISMATCH),
        ("negative/truncated-in-file.tap", "V00002", 4, True, errors.TAPE_TRAILER_MISMATCH),
        ("negative/truncated-in-file.tap", "V00002", 3, True, None),
    ],
)
def test_open_for_write(
    image: str,
    vid: str,
    last_fseq: int,
    enabled: bool,
    spec: ErrorSpec | None,
    negative: Path,
    load_image: LoadImage,
) -> None:
    path = negative / image.removeprefix("negative/") if image.startswith("negative") else GOLDEN / image
    drive = load_image(path)
    if spec is None:
        writer, _ = open_for_write(drive, vid, last_fseq, protection_enabled=enabled, identity=IDENTITY)
        assert writer.last_fseq == last_fseq
        return
    with pytest.raises(CtaError) as caught:
        open_for_write(drive, vid, last_fseq, protection_enabled=enabled, identity=IDENTITY)
    assert caught.value.spec is spec


@pytest.mark.parametrize(
    ("image", "vid", "enabled", "use"),
    [
        ("small100-lbp.tap", "L00004", True, ProtectionUse.ON),
        ("small100-lbp.tap", "L00004", False, ProtectionUse.OFF_BUT_PRESENT),
        ("small100.tap", "V00004", True, ProtectionUse.OFF),
        ("small100.tap", None, True, ProtectionUse.OFF),
    ],
)
def test_open_for_read(
    image: str, vid: str | None, enabled: bool, use: ProtectionUse, load_image: LoadImage
) -> None:
    reader, found = open_for_read(load_image(GOLDEN / image), vid, protection_enabled=enabled)
    assert found is use
    assert reader.standing_at == 1


def test_the_wrong_cartridge_is_not_read(load_image: LoadImage) -> None:
    with pytest.raises(CtaError) as caught:
        open_for_read(load_image(GOLDEN / "sizes.tap"), "V00003", protection_enabled=True)
    assert caught.value.spec is errors.TAPE_WRONG_VOLUME


def test_a_protected_cartridge_is_not_labelled_or_written(tmp_path: Path, load_image: LoadImage) -> None:
    drive = load_image(GOLDEN / "sizes.tap")
    drive.write_protected = lambda: True  # type: ignore[method-assign]
    with pytest.raises(CtaError) as caught:
        label_volume(drive, "V00002", protection=False, identity=IDENTITY)
    assert caught.value.spec is errors.TAPE_WRITE_PROTECTED
    with pytest.raises(CtaError) as caught:
        open_for_write(drive, "V00002", 4, protection_enabled=True, identity=IDENTITY)
    assert caught.value.spec is errors.TAPE_WRITE_PROTECTED


def writer_on(load_image: LoadImage, image: Path) -> FileWriter:
    """A writer behind the last file of a copy of ``sizes``."""
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00002", media="LTO-9")
    return open_for_write(drive, "V00002", 4, protection_enabled=True, identity=IDENTITY)[0]


def test_only_what_is_behind_the_last_file_is_overwritten(tmp_path: Path, load_image: LoadImage) -> None:
    """The catalogue knows two files: the other two are debris, the first two stay as they are."""
    image = tmp_path / "debris.tap"
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00002", media="LTO-9")
    writer, _ = open_for_write(drive, "V00002", 2, protection_enabled=True, identity=IDENTITY)
    assert writer.placeholder(7, Placeholder.READ_FAILED) == 21
    writer.flush()
    drive.close()
    objects = records(image.read_bytes())
    assert objects[:21] == records((GOLDEN / "sizes.tap").read_bytes())[:21]
    assert len(objects) == 31
    assert objects[25][4:-4].rstrip(b"\0") == Placeholder.READ_FAILED.value.rstrip(b"\0")


def test_files_are_begun_and_ended_in_order(tmp_path: Path, load_image: LoadImage) -> None:
    writer = writer_on(load_image, tmp_path / "order.tap")
    with pytest.raises(CtaError) as caught:
        writer.end_file(1)
    assert caught.value.spec is errors.SYSTEM_INTERNAL
    assert writer.begin_file(1) == 61
    for misuse in (lambda: writer.begin_file(2), lambda: writer.end_file(0)):
        with pytest.raises(CtaError) as caught:
            misuse()
        assert caught.value.spec is errors.SYSTEM_INTERNAL


def test_a_block_that_nobody_counted_stops_the_writer(tmp_path: Path, load_image: LoadImage) -> None:
    image = tmp_path / "count.tap"
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00002", media="LTO-9")
    writer, _ = open_for_write(drive, "V00002", 4, protection_enabled=True, identity=IDENTITY)
    writer.begin_file(1)
    block = memoryview(bytearray(100 + PROTECTION_BYTES))
    drive.write_block(block, 100)
    drive.write_block(block, 100)
    writer.end_file(1)
    with pytest.raises(CtaError) as caught:
        writer.flush()
    assert caught.value.spec is errors.TAPE_POSITION


def test_a_drive_that_was_moved_is_noticed_before_the_next_file(
    tmp_path: Path, load_image: LoadImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody rewinds the drive between two files that are longer than VERIFY_S."""
    monkeypatch.setattr(files, "VERIFY_S", 0.0)
    image = tmp_path / "moved.tap"
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00002", media="LTO-9")
    writer, _ = open_for_write(drive, "V00002", 4, protection_enabled=True, identity=IDENTITY)
    writer.placeholder(1, Placeholder.ZERO_LENGTH)
    drive.rewind()
    with pytest.raises(CtaError) as caught:
        writer.begin_file(2)
    assert caught.value.spec is errors.TAPE_POSITION
    drive.close()
    assert image.read_bytes().startswith((GOLDEN / "sizes.tap").read_bytes())


def test_a_flush_in_an_open_file_accepts_its_blocks_but_no_way_back(
    tmp_path: Path, load_image: LoadImage
) -> None:
    image = tmp_path / "torn.tap"
    image.write_bytes((GOLDEN / "sizes.tap").read_bytes())
    drive = load_image(image, vid="V00002", media="LTO-9")
    writer, _ = open_for_write(drive, "V00002", 4, protection_enabled=True, identity=IDENTITY)
    writer.begin_file(1)
    drive.write_block(memoryview(bytearray(100 + PROTECTION_BYTES)), 100)
    writer.flush()
    drive.rewind()
    with pytest.raises(CtaError) as caught:
        writer.flush()
    assert caught.value.spec is errors.TAPE_POSITION
