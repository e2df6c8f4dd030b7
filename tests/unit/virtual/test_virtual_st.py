# SPDX-License-Identifier: GPL-3.0-or-later
"""The port against the rules of the Linux st driver: errno, file and block numbers, status bits."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from virtualsite import OpenImage, good

from cta_taped.common.errors import (
    CONFIG_INVALID,
    CONFIG_USAGE,
    DRIVE_BUSY,
    DRIVE_NOT_FOUND,
    TAPE_INCOMPATIBLE,
    CtaError,
)
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.virtual.st import SequentialPort

# linux/mtio.h
MTFSF, MTBSF, MTFSR, MTBSR, MTWEOF, MTREW, MTOFFL, MTNOP, MTRETEN = 1, 2, 3, 4, 5, 6, 7, 8, 9
MTBSFM, MTFSFM, MTEOM, MTERASE, MTSETBLK, MTSETDENSITY, MTSEEK = 10, 11, 12, 13, 20, 21, 22
MTLOCK, MTUNLOCK, MTLOAD, MTUNLOAD, MTCOMPRESSION, MTSETPART, MTWEOFI = 28, 29, 30, 31, 32, 33, 35
EOF, BOT, EOT, EOD = 0x80000000, 0x40000000, 0x20000000, 0x08000000
WR_PROT, ONLINE, DR_OPEN = 0x04000000, 0x01000000, 0x00040000


@pytest.fixture
def port(open_image: OpenImage) -> SequentialPort:
    return open_image(vid="V00001")


def write(port: SequentialPort, *sizes: int) -> None:
    for size in sizes:
        if size:
            assert port.write(bytes(size)) == size
        else:
            port.mt_op(MTWEOFI, 1)


def read(port: SequentialPort, size: int = 1000) -> int:
    return port.read(memoryview(bytearray(size)))


def fails(number: int, action: object, *arguments: object) -> None:
    with pytest.raises(OSError) as caught:
        action(*arguments)  # type: ignore[operator]
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


def where(port: SequentialPort) -> tuple[int, int]:
    status = port.mt_status()
    return status.fileno, status.blkno


def bits(port: SequentialPort) -> int:
    return port.mt_status().gstat & (EOF | BOT | EOT | EOD | WR_PROT | ONLINE | DR_OPEN)


def test_blank_tape(port: SequentialPort) -> None:
    status = port.mt_status()
    assert bits(port) == BOT | ONLINE
    assert status.dsreg == 0x60000000
    port.mt_op(MTREW, 1)
    fails(errno.EIO, port.mt_op, MTFSR, 1)
    assert bits(port) == BOT | ONLINE | EOD
    fails(errno.EIO, read, port)


def test_reading_files_and_their_end(port: SequentialPort) -> None:
    write(port, 100, 0, 200, 0)
    port.mt_op(MTREW, 1)
    assert read(port) == 100
    assert where(port) == (0, 1)
    assert read(port) == 0
    assert where(port) == (1, 0)
    assert bits(port) == EOF | ONLINE
    assert [read(port), read(port)] == [200, 0]
    assert where(port) == (2, 0)
    assert [read(port), read(port)] == [0, 0]
    assert bits(port) & EOD
    fails(errno.EIO, read, port)
    fails(errno.EIO, read, port)


def test_end_of_data_without_a_filemark(port: SequentialPort) -> None:
    write(port, 100, 0, 200)
    good(port, "010000000000")
    assert [read(port), read(port), read(port)] == [100, 0, 200]
    fails(errno.EIO, read, port)


def test_block_longer_than_the_buffer_is_passed(port: SequentialPort) -> None:
    write(port, 100, 50, 0)
    port.mt_op(MTREW, 1)
    fails(errno.ENOMEM, read, port, 99)
    assert where(port) == (0, 1)
    assert read(port) == 50


def test_empty_transfers_do_nothing(port: SequentialPort) -> None:
    assert port.write(b"") == 0
    assert port.read(memoryview(bytearray())) == 0
    assert where(port) == (0, 0)


@pytest.mark.parametrize(
    ("operations", "expected", "next_read"),
    [
        ([(MTFSF, 1)], (1, 0), 200),
        ([(MTFSF, 2)], (2, 0), 300),
        ([(MTFSF, 2), (MTBSF, 1)], (1, -1), 0),
        ([(MTFSF, 2), (MTBSF, 2)], (0, -1), 0),
        ([(MTFSF, 2), (MTBSFM, 2)], (1, 0), 200),
        ([(MTFSFM, 1)], (0, -1), 0),
        ([(MTFSR, 2)], (0, 2), 0),
        ([(MTFSR, 2), (MTBSR, 1)], (0, 1), 101),
        ([(MTFSF, 1), (MTREW, 1)], (0, 0), 100),
        ([(MTSEEK, 3)], (-1, -1), 200),
        ([(MTSEEK, 0)], (0, 0), 100),
        ([(MTFSF, 1), (MTNOP, 1)], (1, 0), 200),
        ([(MTRETEN, 1)], (0, 0), 100),
    ],
)
def test_positioning(
    port: SequentialPort, operations: list[tuple[int, int]], expected: tuple[int, int], next_read: int
) -> None:
    write(port, 100, 101, 0, 200, 0, 300, 0)
    port.mt_op(MTREW, 1)
    for op, count in operations:
        port.mt_op(op, count)
    assert where(port) == expected
    assert read(port) == next_read


@pytest.mark.parametrize(
    ("start", "op", "count", "status", "place"),
    [
        (0, MTFSF, 9, EOD, (3, -1)),
        (0, MTBSF, 1, BOT, (0, 0)),
        (0, MTBSR, 1, BOT, (0, 0)),
        (0, MTFSR, 3, EOF, (1, 0)),
        (1, MTFSR, 2, EOF, (2, 0)),
        (3, MTFSR, 1, EOD, (3, 0)),
        (1, MTBSR, 1, 0, (0, -1)),
    ],
)
def test_positioning_that_fails(
    port: SequentialPort, start: int, op: int, count: int, status: int, place: tuple[int, int]
) -> None:
    write(port, 100, 101, 0, 200, 0, 300, 0)
    port.mt_op(MTREW, 1)
    if start:
        port.mt_op(MTFSF, start)
    fails(errno.EIO, port.mt_op, op, count)
    assert bits(port) & (EOF | BOT | EOD) & ~(EOF if status == EOD else 0) == status
    assert where(port) == place


def test_end_of_medium_operation_keeps_the_file_number(port: SequentialPort) -> None:
    write(port, 100, 0, 200, 0)
    port.mt_op(MTREW, 1)
    port.mt_op(MTEOM, 1)
    assert where(port) == (2, -1)
    assert bits(port) == EOD | ONLINE
    fails(errno.EIO, read, port)
    write(port, 300, 0)
    port.mt_op(MTREW, 1)
    port.mt_op(MTFSF, 2)
    assert read(port) == 300


@pytest.mark.parametrize("op", [MTREW, MTSEEK, MTBSF, MTOFFL])
def test_leaving_a_written_file_writes_its_mark(port: SequentialPort, op: int) -> None:
    write(port, 50, 0, 100)
    port.mt_op(op, 0 if op == MTSEEK else 1)
    if op == MTOFFL:
        port.mt_op(MTLOAD, 1)
    if op == MTBSF:
        assert read(port) == 0
        assert where(port) == (1, 0)
        good(port, "010000000000")
    assert [read(port) for _ in range(4)] == [50, 0, 100, 0]


@pytest.mark.parametrize(("after", "marks"), [((), 1), ((MTWEOFI, 1), 1), ((MTWEOF, 0), 0), ((MTWEOF, 2), 2)])
def test_close_writes_a_mark_after_a_write(
    open_image: OpenImage, port: SequentialPort, tmp_path: Path, after: tuple[int, ...], marks: int
) -> None:
    write(port, 100)
    if after:
        port.mt_op(*after)
    port.close()
    port.close()
    assert (tmp_path / "tape.tap").stat().st_size == 108 + 4 * marks
    assert read(open_image()) == 100


def test_reopening_keeps_the_place_and_marks_the_end(port: SequentialPort) -> None:
    write(port, 100)
    port.reopen()
    assert where(port) == (1, 0)
    port.mt_op(MTREW, 1)
    read(port)
    port.reopen()
    assert where(port) == (0, 1)
    assert read(port) == 0


def test_write_refusals_alternate_in_the_early_warning_zone(open_image: OpenImage) -> None:
    port = open_image(media="TEST-16M", vid="T00001")
    block = bytes(262144)
    accepted = 0
    while True:
        try:
            assert port.write(block) == len(block)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            break
        accepted += 1
    assert bits(port) & (EOT | EOD)
    outcomes = []
    for _ in range(8):
        try:
            outcomes.append(port.write(block))
        except OSError as error:
            outcomes.append(-(error.errno or 0))
    assert outcomes[:4] == [len(block), -errno.ENOSPC] * 2
    assert where(port) == (0, accepted + outcomes.count(len(block)))
    assert -errno.ENOSPC in outcomes[-2:]
    port.mt_op(MTWEOF, 1)
    assert where(port)[0] == 1


def test_write_protected_image(open_image: OpenImage, tmp_path: Path) -> None:
    first = open_image()
    write(first, 100, 0)
    memory = tmp_path / "tape.memory.json"
    cartridge = first._drive._cartridge
    assert cartridge is not None
    memory.write_text(cartridge.memory.model_copy(update={"write_protected": True}).model_dump_json())
    first.close()
    port = open_image()
    assert bits(port) & WR_PROT
    fails(errno.EACCES, port.write, b"data")
    fails(errno.EACCES, port.mt_op, MTWEOF, 1)
    fails(errno.EACCES, port.mt_op, MTERASE, 0)
    assert read(port) == 100


def test_unloaded_drive(port: SequentialPort) -> None:
    write(port, 100, 0)
    port.mt_op(MTUNLOAD, 1)
    assert bits(port) & (ONLINE | DR_OPEN) == DR_OPEN
    fails(errno.ENOMEDIUM, read, port)
    fails(errno.ENOMEDIUM, port.write, b"x")
    fails(errno.ENOMEDIUM, port.mt_op, MTREW, 1)
    fails(errno.ENOMEDIUM, port.mt_op, MTUNLOAD, 1)
    port.reopen()
    assert bits(port) & (ONLINE | DR_OPEN) == 0
    assert where(port) == (-1, -1)
    fails(errno.EIO, read, port)
    port.mt_op(MTLOAD, 1)
    assert bits(port) == ONLINE | BOT
    assert read(port) == 100


def test_prevented_removal(port: SequentialPort) -> None:
    port.mt_op(MTLOCK, 1)
    fails(errno.EIO, port.mt_op, MTUNLOAD, 1)
    port.mt_op(MTUNLOCK, 1)
    port.mt_op(MTUNLOAD, 1)


def test_reset_loses_the_position_until_a_rewind(port: SequentialPort) -> None:
    write(port, 100, 0, 200)
    port._drive.power_cycle()
    fails(errno.EIO, port.write, b"x")
    fails(errno.EIO, read, port)
    fails(errno.EIO, port.mt_op, MTFSF, 1)
    fails(errno.EIO, port.mt_status)
    port.mt_op(MTREW, 1)
    assert where(port) == (0, 0)
    assert [read(port), read(port), read(port)] == [100, 0, 200]


def test_pass_through_does_not_move_the_drivers_numbers(port: SequentialPort) -> None:
    write(port, 100, 0, 200, 0)
    port.mt_op(MTREW, 1)
    good(port, "2b000000000002000000")
    assert where(port) == (0, 0)
    assert read(port) == 200


def test_other_operations(port: SequentialPort) -> None:
    port.mt_op(MTCOMPRESSION, 0)
    assert not good(port, "1a080f00ff00")[6] & 0x80
    port.mt_op(MTCOMPRESSION, 1)
    assert good(port, "1a080f00ff00")[6] & 0x80
    port.mt_op(MTSETBLK, 0)
    fails(errno.EIO, port.mt_op, MTSETBLK, 512)
    fails(errno.EIO, port.mt_op, MTSETDENSITY, 0x58)
    fails(errno.ENOSYS, port.mt_op, MTSETPART, 1)
    write(port, 100)
    port.mt_op(MTREW, 1)
    port.mt_op(MTERASE, 1)
    fails(errno.EIO, read, port)


def test_new_opener_knows_where_it_is(open_image: OpenImage) -> None:
    port = open_image()
    write(port, 100, 0)
    port.close()
    again = open_image()
    assert where(again) == (0, 0)


@pytest.mark.parametrize(
    ("url", "spec"),
    [
        ("tap:{}/missing.tap", DRIVE_NOT_FOUND),
        ("tap:{}", DRIVE_NOT_FOUND),
        ("tap:{}/no/such/place.tap?create=1", DRIVE_NOT_FOUND),
        ("tap:{}/t.tap?create=yes", CONFIG_INVALID),
        ("tap:{}/t.tap?colour=red", CONFIG_INVALID),
        ("tap:{}/t.tap?create=1&capacity=big", CONFIG_INVALID),
        ("tap:{}/t.tap?create=1&media=VHS", CONFIG_USAGE),
        ("tap:{}/t.tap?create=1&product=ULT3580-TD7", TAPE_INCOMPATIBLE),
    ],
)
def test_wrong_urls_are_told_in_one_line(tmp_path: Path, url: str, spec: object) -> None:
    with pytest.raises(CtaError) as caught:
        open_tape_port(url.format(tmp_path))
    assert caught.value.spec is spec
    assert "\n" not in caught.value.detail


def test_image_is_opened_once(open_image: OpenImage) -> None:
    port = open_image()
    with pytest.raises(CtaError) as caught:
        open_image()
    assert caught.value.spec is DRIVE_BUSY
    port.close()
    open_image()


def test_file_descriptors_are_given_back(open_image: OpenImage) -> None:
    open_image().close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        open_image().close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
