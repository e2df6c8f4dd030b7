# SPDX-License-Identifier: GPL-3.0-or-later
"""Tapes written by our code are, byte for byte, those that CTA's code wrote; and what is refused instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from golden_images import GOLDEN, LoadImage, records, rows

from cta_taped.admin.tape_recording import last_fseq, write_volume
from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.model import WriterIdentity
from cta_taped.tape.drive import TapeDrive

IDENTITY = WriterIdentity("CERN", "TPSRV01", "IBM", "ULT3580-TD9", "XVAL000001", "5.11.20.0")
SECOND = replace(IDENTITY, host="TPSRV02", drive_serial="XVAL000002")
THIRD = replace(IDENTITY, site="AVERYLONGSITENAME", host="VERYLONGHOSTNAME", system_version="0-1")
DATE = "025166"
DATA = GOLDEN / "data"


def new_image(load_image: LoadImage, path: Path, *, lbp: bool) -> TapeDrive:
    """A drive with a new, blank image."""
    return load_image(path, create="1", vid="V00000", media="LTO-9", lbp=str(int(lbp)))


@pytest.mark.parametrize(
    ("name", "vid", "first_id", "sources"),
    [
        ("labelled", "V00001", None, []),
        ("labelled-lbp", "L00001", None, []),
        ("sizes", "V00002", 4294967297, ["d1", "d262144", "d262145", "d5000000"]),
        ("small100", "V00004", 1000, [f"s{number:03d}" for number in range(100)]),
        ("small100-lbp", "L00004", 1000, [f"s{number:03d}" for number in range(100)]),
        ("placeholder", "V00006", 90, ["d1", "", "d262145"]),
    ],
)
def test_one_session(
    name: str, vid: str, first_id: int | None, sources: list[str], tmp_path: Path, load_image: LoadImage
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    drive = new_image(load_image, tmp_path / "new.tap", lbp=name.endswith("-lbp"))
    written = list(
        write_volume(
            drive,
            vid,
            [DATA / source if source else empty for source in sources],
            archive_file_id=first_id,
            identity=IDENTITY,
            protection=name.endswith("-lbp"),
            date=DATE,
        )
    )
    drive.close()
    assert (tmp_path / "new.tap").read_bytes() == (GOLDEN / f"{name}.tap").read_bytes()
    manifest = rows(GOLDEN / f"{name}.manifest.jsonl") if sources else []
    keys = ("fSeq", "blockId", "archiveFileId", "size", "adler32", "blocks")
    assert [
        (file.fseq, file.block_id, file.archive_file_id, file.size_bytes, f"{file.adler32:08x}", file.blocks)
        for file in written
    ] == [tuple(row[key] for key in keys) for row in manifest]
    assert [file.placeholder for file in written] == [row.get("placeholder", False) for row in manifest]


def test_three_sessions(tmp_path: Path, load_image: LoadImage) -> None:
    """Appending: another host and drive, then a site, host and version that do not fit their fields."""
    golden = (GOLDEN / "appended.tap").read_bytes()
    sources = [DATA / "d1", tmp_path / "d80", DATA / "d262145", tmp_path / "d2", DATA / "d1"]
    sources[1].write_bytes(records(golden)[15][4:84])
    sources[3].write_bytes(records(golden)[36][4:6])
    for number, (identity, files, first_id) in enumerate(
        [(IDENTITY, sources[:2], 50), (SECOND, sources[2:3], 60), (THIRD, sources[3:], 70)]
    ):
        properties = {} if number else {"create": "1", "lbp": "0"}
        drive = load_image(tmp_path / "new.tap", vid="V00005", media="LTO-9", **properties)
        written = write_volume(
            drive,
            "V00005",
            files,
            archive_file_id=first_id,
            identity=identity,
            protection=False,
            append=number > 0,
            date=DATE,
        )
        assert [file.archive_file_id for file in written] == list(range(first_id, first_id + len(files)))
        drive.close()
    assert (tmp_path / "new.tap").read_bytes() == golden


@pytest.mark.parametrize(
    ("name", "last"), [("labelled", 0), ("sizes", 4), ("small100-lbp", 100), ("appended", 5)]
)
def test_last_file(name: str, last: int, load_image: LoadImage) -> None:
    drive = load_image(GOLDEN / f"{name}.tap")
    vid = rows(GOLDEN / f"{name}.scan.jsonl")[0]["vid"]
    assert last_fseq(drive, vid) == last


def test_debris_is_overwritten(tmp_path: Path, load_image: LoadImage) -> None:
    """The last file was cut off; appending puts it back as it was."""
    golden = (GOLDEN / "sizes.tap").read_bytes()
    image = tmp_path / "cut.tap"
    image.write_bytes(b"".join(records(golden)[:40]))
    drive = load_image(image, vid="V00002", media="LTO-9")
    list(
        write_volume(
            drive,
            "V00002",
            [DATA / "d5000000"],
            archive_file_id=4294967300,
            identity=IDENTITY,
            protection=False,
            append=True,
            date=DATE,
        )
    )
    drive.close()
    assert image.read_bytes() == golden


def test_nothing_is_appended_behind_damage(negative: Path, load_image: LoadImage) -> None:
    drive = load_image(negative / "utl1-fseq.tap")
    with pytest.raises(CtaError) as caught:
        last_fseq(drive, "V00002")
    assert caught.value.spec is errors.TAPE_HEADER_MISMATCH


def test_a_hole_in_the_middle_is_no_debris(tmp_path: Path, load_image: LoadImage) -> None:
    """A file without payload and trailer, whole ones behind it: appending there would destroy those."""
    objects = records((GOLDEN / "sizes.tap").read_bytes())
    image = tmp_path / "hole.tap"
    image.write_bytes(b"".join(objects[:15] + objects[21:]))
    with pytest.raises(CtaError):
        last_fseq(load_image(image, vid="V00002", media="LTO-9"), "V00002")
