# SPDX-License-Identifier: GPL-3.0-or-later
"""The image and its index: golden tapes, lost and stale indexes, torn and damaged records, sudden death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from virtualsite import GOLDEN

from cta_taped.virtual import tap_walk
from cta_taped.virtual.block_index import MARK, BlockIndex, Run
from cta_taped.virtual.tap_image import DamagedRecord, TapImage
from cta_taped.virtual.tap_walk import END

IMAGES = sorted(GOLDEN.glob("*.tap"))


def record(data: bytes) -> bytes:
    length = struct.pack("<I", len(data))
    return length + data + bytes(len(data) & 1) + length


def filled(path: Path, pattern: list[int]) -> TapImage:
    """An image of records of these lengths, 0 for marks; record n holds bytes of value n."""
    path.touch()
    image = TapImage(path, path.with_suffix(".index"))
    for number, length in enumerate(pattern):
        if length:
            image.append(bytes([number & 0xFF]) * length)
        else:
            image.append_marks(1)
    return image


def contents(image: TapImage) -> list[int]:
    """Lengths of all objects, by reading each; checks that record n holds bytes of value n."""
    image.locate(0)
    lengths = []
    while (length := image.peek()) != END:
        if length == MARK:
            image.skip()
        else:
            data = bytearray(length)
            image.take([data])
            assert data == bytes([len(lengths) & 0xFF]) * length
        lengths.append(length)
    return lengths


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_golden_image_is_read_object_by_object(path: Path) -> None:
    objects = [json.loads(line) for line in path.with_suffix(".list.jsonl").read_text().splitlines()]
    assert len(objects) > 3
    image = TapImage(path, None)
    for entry in objects[:-1]:
        assert image.object == entry["obj"]
        assert image.offset == entry["offset"]
        if entry["type"] == "mark":
            assert image.peek() == MARK
            image.skip()
            continue
        assert image.peek() == entry["len"]
        data = bytearray(entry["len"])
        image.take([data])
        known = bytes.fromhex(entry.get("hex", ""))
        assert data[: len(known)] == known
    assert objects[-1]["type"] == "eod"
    assert image.peek() == END
    assert (image.object, image.damaged) == (objects[-1]["obj"], False)
    image.close()


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_golden_image_is_reached_by_object_and_by_filemark(path: Path) -> None:
    objects = [json.loads(line) for line in path.with_suffix(".list.jsonl").read_text().splitlines()][:-1]
    image = TapImage(path, None)
    marks = [entry["obj"] for entry in objects if entry["type"] == "mark"]
    for entry in reversed(objects):
        image.locate(entry["obj"])
        assert image.offset == entry["offset"]
        assert image.marks_before() == sum(mark < entry["obj"] for mark in marks)
    for number, mark in enumerate(marks):
        image.locate(0)
        assert image.space_marks(number + 1) == 0
        assert image.object == mark + 1
        assert image.object_after_mark(number + 1) == mark + 1
    assert image.space_marks(-len(marks)) == 0
    assert image.object == marks[0]
    assert image.space_marks(len(marks) + 2) == 2
    assert image.space_marks(-len(marks) - 3) == -3
    assert image.object == 0
    image.close()


def test_opening_golden_images_leaves_no_files() -> None:
    assert not [path for path in GOLDEN.iterdir() if path.suffix in (".index", ".json")]


def test_what_is_written_is_the_simh_format(tmp_path: Path) -> None:
    image = filled(tmp_path / "t.tap", [3, 0, 4])
    image.close()
    assert (tmp_path / "t.tap").read_bytes() == record(b"\0\0\0") + bytes(4) + record(b"\2\2\2\2")


def test_split_record_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "t.tap"
    path.touch()
    image = TapImage(path, None)
    image.append_split(b"abc", b"de")
    image.append_split(b"abc", b"def")
    image.close()
    assert path.read_bytes() == record(b"abcde") + record(b"abcdef")


PATTERN = [80, 80, 80, 0, 4096, 4096, 4096, 7, 0, 80, 80, 80, 0, 0, 5]


@pytest.mark.parametrize("place", range(len(PATTERN) + 1))
def test_writing_in_the_middle_cuts_off_what_follows(tmp_path: Path, place: int) -> None:
    image = filled(tmp_path / "t.tap", PATTERN)
    image.locate(place)
    length = 80 if place % 2 else 9
    image.append(bytes([place]) * length)
    assert contents(image) == [*PATTERN[:place], length]
    assert image.marks == PATTERN[:place].count(0)
    image.close()
    again = TapImage(tmp_path / "t.tap", tmp_path / "t.index")
    assert contents(again) == [*PATTERN[:place], length]
    again.close()


@pytest.mark.parametrize("place", range(len(PATTERN) + 1))
def test_spacing_over_blocks_stops_at_marks(tmp_path: Path, place: int) -> None:
    image = filled(tmp_path / "t.tap", PATTERN)
    ahead = next((n for n, length in enumerate(PATTERN[place:]) if length == 0), len(PATTERN) - place)
    image.locate(place)
    assert image.space_blocks(100) == 100 - ahead
    assert image.object == place + ahead
    behind = next((n for n, length in enumerate(reversed(PATTERN[:place])) if length == 0), place)
    image.locate(place)
    assert image.space_blocks(-100) == behind - 100
    assert image.object == place - behind
    assert image.cross_mark(-1) is (place - behind > 0)
    image.close()


@pytest.mark.parametrize("covered", range(len(PATTERN) + 1))
def test_lagging_index_is_completed(tmp_path: Path, covered: int) -> None:
    """The index of a shorter image with the longer one, as after a kill; the inode stays."""
    path = tmp_path / "t.tap"
    filled(path, PATTERN).close()
    whole = path.read_bytes()
    image = TapImage(path, tmp_path / "t.index")
    image.locate(covered)
    image.erase()
    image.close()
    path.write_bytes(whole)
    image = TapImage(path, tmp_path / "t.index")
    assert contents(image) == PATTERN
    image.close()


def test_missing_index_is_made_anew(tmp_path: Path) -> None:
    filled(tmp_path / "t.tap", PATTERN).close()
    (tmp_path / "t.index").unlink()
    image = TapImage(tmp_path / "t.tap", tmp_path / "t.index")
    assert contents(image) == PATTERN
    image.close()


@pytest.mark.parametrize("content", [b"", b"rubbish" * 30000, b"CTAVTIX1" + b"\xff" * 70000])
def test_rubbish_in_the_index_is_not_believed(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path / "t.tap", PATTERN).close()
    inode = (tmp_path / "t.tap").stat().st_ino
    (tmp_path / "t.index").write_bytes(content[:24] + struct.pack("<Q", inode) + content[32:])
    image = TapImage(tmp_path / "t.tap", tmp_path / "t.index")
    assert contents(image) == PATTERN
    image.close()


def test_index_of_another_image_is_noticed(tmp_path: Path) -> None:
    """The same file, other content: the lengths at the end agree, one in the middle does not."""
    path = tmp_path / "t.tap"
    filled(path, [80] * 10 + [0, 80]).close()
    other = [80] * 4 + [168] + [80] * 4 + [0, 80]
    assert sum(map(tap_walk.stride, other)) == path.stat().st_size
    path.write_bytes(
        b"".join(record(bytes([n]) * length) if length else bytes(4) for n, length in enumerate(other))
    )
    image = TapImage(path, tmp_path / "t.index")
    image.locate(4)
    with pytest.raises(DamagedRecord):
        image.peek()
        image.take([bytearray(80)])
    image.rebuild()
    assert contents(image) == other
    image.close()


@pytest.mark.parametrize("kept", [0, 1, 3, 4, 5, 60, 84, 85, 87])
def test_torn_record_at_the_end_is_not_on_the_tape(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "t.tap"
    filled(path, [80, 0, 80]).close()
    size = path.stat().st_size
    os.truncate(path, size - 88 + kept)
    image = TapImage(path, tmp_path / "t.index")
    assert contents(image) == [80, 0]
    assert not image.damaged
    image.append(bytes([2]) * 30)
    assert contents(image) == [80, 0, 30]
    image.close()
    assert path.stat().st_size == 88 + 4 + 38


def test_lengths_that_disagree_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.tap"
    filled(path, [80, 0, 80, 0]).close()
    data = bytearray(path.read_bytes())
    data[88 + 4 + 84] ^= 1
    path.write_bytes(data)
    image = TapImage(path, None)
    assert (image.objects, image.damaged) == (2, True)
    image.close()


def test_end_of_medium_marker_ends_the_data_and_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "t.tap"
    path.write_bytes(record(b"\0" * 80) + b"\xff" * 4 + b"left over from before")
    image = TapImage(path, None)
    assert contents(image) == [80]
    image.append_marks(1)
    image.close()
    assert path.read_bytes() == record(b"\0" * 80) + bytes(4)


def test_read_only_image_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.tap"
    filled(path, [80]).close()
    path.chmod(0o444)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write everything")
    image = TapImage(path, None)
    assert not image.writable
    assert contents(image) == [80]
    image.close()


def test_large_image_opens_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 GB in 400,000 blocks of a sparse file: with its index only a handful of lengths are read."""
    path, index_path = tmp_path / "t.tap", tmp_path / "t.index"
    blocks, length = 400_000, 262144
    stride = tap_walk.stride(length)
    with path.open("wb") as file:
        for number in (0, 1, blocks - 1):
            file.seek(number * stride)
            file.write(struct.pack("<I", length))
            file.seek(number * stride + length + 4)
            file.write(struct.pack("<I", length))
        file.write(bytes(4))
    index = BlockIndex(index_path, path.stat().st_ino)
    index.append(Run(0, 0, 0, length))
    index.cover(blocks)
    index.close()
    sizes: list[int] = []
    real = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        sizes.append(size)
        return real(fd, size, offset)

    monkeypatch.setattr(tap_walk.os, "pread", counting)
    image = TapImage(path, index_path)
    assert image.objects == blocks + 1
    assert image.marks == 1
    assert sum(sizes) < 200
    image.locate(blocks - 1)
    assert image.offset == (blocks - 1) * stride
    assert sum(sizes) < 200
    image.close()


@pytest.mark.parametrize("pattern", [[], [0], [1], [4], [0, 4], [4, 0]])
@pytest.mark.parametrize("kept", [False, True])
def test_tiny_images(tmp_path: Path, pattern: list[int], kept: bool) -> None:
    filled(tmp_path / "t.tap", pattern).close()
    image = TapImage(tmp_path / "t.tap", tmp_path / "t.index" if kept else None)
    assert contents(image) == pattern
    image.close()


def test_index_is_small_for_long_files(tmp_path: Path) -> None:
    image = filled(tmp_path / "t.tap", [80, 80, 80, 0] + [64] * 5000 + [13, 0])
    assert image.index.runs == 5
    image.close()


def test_index_grows_beyond_its_first_size(tmp_path: Path) -> None:
    pattern = [1, 3] * 2500
    image = filled(tmp_path / "t.tap", pattern)
    assert image.index.runs == len(pattern)
    image.close()
    again = TapImage(tmp_path / "t.tap", tmp_path / "t.index")
    assert contents(again) == pattern
    again.close()


WRITER = """
import sys
from pathlib import Path
from cta_taped.virtual.tap_image import TapImage
path = Path(sys.argv[1])
image = TapImage(path, path.with_suffix(".index"))
number = image.objects
image.locate(number)
while True:
    if number % 7 == 6:
        image.append_marks(1)
    else:
        image.append(bytes([number & 0xFF]) * (100 + number % 3 * 50000))
    number += 1
    if number % 50 == 0:
        print(number, flush=True)
"""


def test_killed_writer_leaves_every_record_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.tap"
    path.touch()
    written = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(3)]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        image = TapImage(path, path.with_suffix(".index"))
        lengths = contents(image)
        expected = [0 if n % 7 == 6 else 100 + n % 3 * 50000 for n in range(len(lengths))]
        assert lengths == expected
        assert len(lengths) >= said[-1] > written
        written = len(lengths)
        image.close()


def test_full_file_system_does_not_tear_the_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = filled(tmp_path / "t.tap", [80, 0])
    real = os.pwritev

    def short(fd: int, parts: list[bytes], offset: int) -> int:
        return real(fd, [b"".join(parts)[:50]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    with pytest.raises(OSError, match="short"):
        image.append(b"x" * 80)
    monkeypatch.undo()
    assert image.objects == 2
    image.append(bytes([2]) * 10)
    image.close()
    again = TapImage(tmp_path / "t.tap", None)
    assert contents(again) == [80, 0, 10]
    again.close()


def test_copied_image_is_read_with_a_foreign_index_beside_it(tmp_path: Path) -> None:
    filled(tmp_path / "a.tap", PATTERN).close()
    filled(tmp_path / "b.tap", [9, 9, 0]).close()
    shutil.copy(tmp_path / "b.index", tmp_path / "a.index")
    image = TapImage(tmp_path / "a.tap", tmp_path / "a.index")
    assert contents(image) == PATTERN
    image.close()
