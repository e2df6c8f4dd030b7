# SPDX-License-Identifier: GPL-3.0-or-later
"""The drive's commands against bytes written by hand from SPC-4, SSC-4 and the vendors' references."""

from __future__ import annotations

import struct

import pytest
from virtualsite import OpenImage, bad, command, flags, good, hexadecimal, residual

from cta_taped.virtual.st import SequentialPort

TUR = "000000000000"
REWIND = "010000000000"
SHORT_POSITION = "34000000000000000000"


@pytest.fixture
def drive(open_image: OpenImage) -> SequentialPort:
    return open_image(vid="V00001", serial="0123456789")


def write(drive: SequentialPort, *sizes: int) -> None:
    """Records of these lengths by WRITE(6), filemarks for 0; record n holds bytes of value n."""
    for number, size in enumerate(sizes):
        if size:
            good(drive, f"0A00{size:06x}00", bytes([number]) * size)
        else:
            good(drive, "100100000100")


def position(drive: SequentialPort) -> int:
    return int.from_bytes(good(drive, SHORT_POSITION)[4:8], "big")


def test_inquiry(drive: SequentialPort) -> None:
    data = good(drive, "120000006000")
    assert len(data) == 96
    assert data[0] == 0x01  # sequential access, connected
    assert data[1] & 0x80  # removable
    assert data[3] & 0x0F == 2
    assert data[4] == 96 - 5
    assert data[5] & 0x01  # PROTECT
    assert data[8:36] == b"IBM     ULT3580-TD9     R3G3"
    assert good(drive, "120000000800") == data[:8]
    assert bad(drive, "120080006000") == "5/24/00"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("00", "01 00 0007 00 80 83 b0 b1 b2 b3"),
        ("80", "01 80 000a 30313233343536373839"),
        ("b0", "01 b0 0002 01 00"),
        ("b1", "01 b1 000a 30313233343536373839"),
        ("b2", "01 b2 0008 ffffffffffffffff"),
        ("b3", "01 b3 000a 30313233343536373839"),
    ],
)
def test_vital_product_data(drive: SequentialPort, page: str, expected: str) -> None:
    assert good(drive, f"1201{page}00ff00") == hexadecimal(expected)


def test_device_identification(drive: SequentialPort) -> None:
    data = good(drive, "12018300ff00")
    assert data[:4] == struct.pack(">BBH", 1, 0x83, len(data) - 4)
    designator = b"IBM     ULT3580-TD9     0123456789"
    assert data[4 : 8 + len(designator)] == bytes((2, 1, 0, len(designator))) + designator
    naa = data[8 + len(designator) :]
    assert naa[:4] == bytes((1, 3, 0, 8))
    assert naa[4] >> 4 == 3


def test_unknown_things_are_illegal_requests(drive: SequentialPort) -> None:
    assert bad(drive, "ff0000000000") == "5/20/00"
    assert bad(drive, "1201c000ff00") == "5/24/00"
    assert bad(drive, "2b00") == "5/24/00"
    assert bad(drive, "1a003e00ff00") == "5/24/00"
    assert bad(drive, "4d007e0000000000ff00") == "5/24/00"


def test_block_limits_and_densities(drive: SequentialPort) -> None:
    assert good(drive, "050000000000") == hexadecimal("00 800000 0001")
    data = good(drive, "44000000000000ffff00")
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    descriptors = [data[at : at + 52] for at in range(4, len(data), 52)]
    assert [descriptor[0] for descriptor in descriptors] == [0x5E, 0x60]
    mounted = good(drive, "44010000000000ffff00")[4:]
    assert mounted[0] == 0x60
    assert mounted[2] & 0x80
    assert int.from_bytes(mounted[12:16], "big") == 18_000_000
    assert mounted[24:32] == b"U-916   "


def test_writing_and_reading_by_cdb(drive: SequentialPort) -> None:
    write(drive, 300, 0, 5)
    assert position(drive) == 3
    good(drive, REWIND)
    assert good(drive, "080000012c00") == bytes(300)
    assert position(drive) == 1
    mark = command(drive, "080000012c00")
    assert (mark.sense[2] & 0x0F, mark.sense[12:14], flags(mark)) == (0, b"\0\1", "F")
    assert residual(mark) == 300
    assert position(drive) == 2
    good(drive, "080000000000")
    assert position(drive) == 2


def test_short_and_long_blocks_are_incorrect_lengths(drive: SequentialPort) -> None:
    write(drive, 300, 300, 300)
    good(drive, REWIND)
    short = command(drive, "080000019000")
    assert (short.data, flags(short), residual(short)) == (bytes(300), "I", 400 - 300)
    long = command(drive, "080000006400")
    assert (long.data, flags(long), residual(long)) == (b"\1" * 100, "I", 100 - 300)
    assert position(drive) == 2
    assert good(drive, "080200019000") == b"\2" * 300  # SILI


def test_fixed_blocks_are_refused(drive: SequentialPort) -> None:
    assert bad(drive, "080100000100") == "5/24/00"
    assert bad(drive, "0a0100000100", b"x" * 512) == "5/24/00"
    assert bad(drive, "0a0000020000", b"x" * 10) == "5/1A/00"


def test_end_of_data_is_a_blank_check(drive: SequentialPort) -> None:
    write(drive, 100)
    end = command(drive, "080000006400")
    assert bad(drive, "080000006400") == "8/00/05"
    assert (residual(end), flags(end)) == (100, "")


def test_positions(drive: SequentialPort) -> None:
    write(drive, 80, 80, 0, 80)
    good(drive, REWIND)
    assert good(drive, SHORT_POSITION) == hexadecimal("80 00 0000 00000000 00000000 00 000000 00000000")
    good(drive, "2b000000000003000000")
    assert good(drive, SHORT_POSITION) == hexadecimal("00 00 0000 00000003 00000003 00 000000 00000000")
    assert good(drive, "34060000000000002000") == hexadecimal(
        "00 000000 00000000 0000000000000003 0000000000000001 0000000000000000"
    )
    assert bad(drive, "34000000000000001400") == "5/24/00"
    assert bad(drive, "34020000000000000000") == "5/24/00"


@pytest.mark.parametrize(
    ("cdb", "expected"),
    [
        ("2b000000000002000000", 2),
        ("2b040000000001000000", 1),
        ("92000000" + "0000000000000004" + "00000000", 4),
        ("92080000" + "0000000000000001" + "00000000", 3),
        ("92180000" + "0000000000000000" + "00000000", 5),
    ],
)
def test_locate(drive: SequentialPort, cdb: str, expected: int) -> None:
    write(drive, 80, 80, 0, 80, 0)
    good(drive, cdb)
    assert position(drive) == expected


def test_locate_beyond_the_end(drive: SequentialPort) -> None:
    write(drive, 80, 0)
    assert bad(drive, "2b000000000003000000") == "8/00/05"
    assert position(drive) == 2
    assert bad(drive, "92080000" + "0000000000000002" + "00000000") == "8/00/05"
    assert bad(drive, "92100000" + "0000000000000002" + "00000000") == "5/24/00"
    assert bad(drive, "2b020000000000000100") == "5/24/00"  # partition 1


SPACES = [
    # Tape: two records, two filemarks, two records.
    # start, code, count, expected sense or None, residual, flags, position afterwards
    (0, 0, 2, None, 0, "", 2),
    (0, 0, 5, "0/00/01", 3, "F", 3),
    (4, 0, 9, "8/00/05", 7, "", 6),
    (5, 0, -1, None, 0, "", 4),
    (5, 0, -3, "0/00/01", 2, "F", 3),
    (1, 0, -3, "0/00/04", 2, "E", 0),
    (0, 1, 1, None, 0, "", 3),
    (0, 1, 2, None, 0, "", 4),
    (0, 1, 5, "8/00/05", 3, "", 6),
    (6, 1, -1, None, 0, "", 3),
    (6, 1, -2, None, 0, "", 2),
    (6, 1, -5, "0/00/04", 3, "E", 0),
    (1, 3, 0, None, 0, "", 6),
    (1, 0, 0, None, 0, "", 1),
]


@pytest.mark.parametrize("six", [True, False])
@pytest.mark.parametrize(("start", "code", "count", "sense", "left", "bits", "end"), SPACES)
def test_space(
    drive: SequentialPort,
    start: int,
    code: int,
    count: int,
    sense: str | None,
    left: int,
    bits: str,
    end: int,
    six: bool,
) -> None:
    write(drive, 80, 80, 0, 0, 80, 80)
    good(drive, "2b0000" + f"{start:08x}" + "000000")
    cdb = f"11{code:02x}{count & 0xFFFFFF:06x}00"
    if not six:
        cdb = f"91{code:02x}0000{count & (1 << 64) - 1:016x}00000000"
    result = command(drive, cdb)
    if sense is None:
        assert result.status == 0
    else:
        key = f"{result.sense[2] & 0x0F:X}/{result.sense[12]:02X}/{result.sense[13]:02X}"
        assert (key, residual(result), flags(result)) == (sense, left, bits)
    assert position(drive) == end


def test_spacing_over_setmarks_is_refused(drive: SequentialPort) -> None:
    assert bad(drive, "110400000100") == "5/24/00"
    assert bad(drive, "100200000100") == "5/24/00"


def test_filemarks(drive: SequentialPort) -> None:
    good(drive, "100000000000")
    assert position(drive) == 0
    good(drive, "100000000300")
    good(drive, "100100000200")
    assert position(drive) == 5


def test_erase_cuts_the_tape(drive: SequentialPort) -> None:
    write(drive, 80, 80, 80)
    good(drive, "2b000000000001000000")
    good(drive, "190000000000")
    assert bad(drive, "080000005000") == "8/00/05"
    good(drive, REWIND)
    assert good(drive, "080000005000") == bytes(80)


def test_unload_and_load(drive: SequentialPort) -> None:
    write(drive, 80)
    good(drive, "1b0000000000")
    assert bad(drive, TUR) == "2/04/02"
    assert bad(drive, "080000005000") == "2/04/02"
    good(drive, "1b0000000000")
    good(drive, "120000006000")
    good(drive, "1b0000000100")
    assert bad(drive, TUR) == "6/28/00"
    good(drive, TUR)
    assert position(drive) == 0


def test_prevented_removal(drive: SequentialPort) -> None:
    good(drive, "1e0000000100")
    assert bad(drive, "1b0000000000") == "5/53/02"
    good(drive, TUR)
    good(drive, "1e0000000000")
    good(drive, "1b0000000000")


def test_request_sense_tells_wrap_and_longitudinal_position(drive: SequentialPort) -> None:
    data = good(drive, "030000006000")
    assert len(data) == 96
    assert (data[0], data[2] & 0x0F, data[7]) == (0x70, 0, 88)
    assert data[29] == 0
    assert int.from_bytes(data[30:34], "big") == 2696
    assert good(drive, "030000001200") == data[:18]


def test_request_sense_delivers_an_attention_once(drive: SequentialPort) -> None:
    good(drive, "1b0000000000")
    good(drive, "1b0000000100")
    data = good(drive, "030000006000")
    assert (data[2] & 0x0F, data[12], data[13]) == (6, 0x28, 0)
    good(drive, TUR)


# --- modes ---


def test_mode_sense_of_the_protection_page(drive: SequentialPort) -> None:
    page = "ca f0 001c 00 00 00" + "00" * 25
    assert good(drive, "1a000af0ff00") == hexadecimal("2b 98 10 08 60 000000 00 000000" + page)
    assert good(drive, "1a080af0ff00") == hexadecimal("23 98 10 00" + page)
    assert good(drive, "5a080af000000001ff00") == hexadecimal("0026 98 10 00 00 0000" + page)
    changeable = good(drive, "1a084af0ff00")
    assert changeable[4 + 4 : 4 + 8] == hexadecimal("ff 3f c0 00")


def test_mode_sense_without_a_page_is_header_and_descriptor(drive: SequentialPort) -> None:
    assert good(drive, "1a0000000c00") == hexadecimal("0b 98 10 08 60 000000 00 000000")


def protection_list(method: int, length: int, bits: int) -> bytes:
    return (
        hexadecimal("00 00 10 08 00 000000 00 000000 4a f0 001c") + bytes((method, length, bits)) + bytes(25)
    )


@pytest.mark.parametrize("values", [(2, 4, 0xC0), (2, 4, 0x40), (2, 4, 0x80), (0, 0, 0)])
def test_mode_select_of_the_protection_page(drive: SequentialPort, values: tuple[int, int, int]) -> None:
    good(drive, "151000002c00", protection_list(*values))
    assert good(drive, "1a080af0ff00")[8:11] == bytes(values)


@pytest.mark.parametrize(
    ("cdb", "change", "sense"),
    [
        ("151000002c00", {16: 1}, "5/26/00"),  # Reed-Solomon
        ("151000002c00", {17: 3}, "5/26/00"),  # length
        ("151000002c00", {18: 0xE0}, "5/26/00"),  # RBDP cannot be changed
        ("151000002c00", {12: 0xCA}, "5/26/00"),  # PS set
        ("151000002c00", {15: 0x1D}, "5/1A/00"),  # longer than the list
        ("151000002c00", {0: 47}, "5/26/00"),  # mode data length is reserved
        ("151000002c00", {4: 0x58}, "5/26/00"),  # a density that the medium does not have
        ("151000002c00", {11: 1}, "5/26/00"),  # fixed blocks
        ("151100002c00", {}, "5/24/00"),  # SP
        ("150000002c00", {}, "5/24/00"),  # PF clear
        ("151000003c00", {}, "5/1A/00"),  # fewer data than the CDB says
        ("151000000a00", {}, "5/1A/00"),
    ],
)
def test_wrong_mode_select_changes_nothing(
    drive: SequentialPort, cdb: str, change: dict[int, int], sense: str
) -> None:
    parameters = bytearray(protection_list(2, 4, 0xC0))
    for offset, value in change.items():
        parameters[offset] = value
    assert bad(drive, cdb, bytes(parameters)) == sense
    assert good(drive, "1a080af0ff00")[8:11] == bytes(3)


def test_compression_page(drive: SequentialPort) -> None:
    page = good(drive, "1a080f00ff00")[4:]
    assert page == hexadecimal("8f 0e c0 80 000000ff 000000ff 00000000")
    changed = bytearray(page)
    changed[0], changed[2] = 0x0F, 0x40
    good(drive, "55100000000000001800", bytes(8) + bytes(changed))
    assert good(drive, "1a080f00ff00")[6] == 0x40
    assert good(drive, "1a088f00ff00")[6] == 0xC0  # default


def test_medium_configuration_and_all_pages(drive: SequentialPort) -> None:
    page = good(drive, "1a081d00ff00")[4:]
    assert page[:3] == hexadecimal("9d 1e 00")
    data = good(drive, "5a083fff0000000fff00")
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    codes, at = [], 8
    while at < len(data):
        long = data[at] & 0x40
        codes.append((data[at] & 0x3F, data[at + 1] if long else 0))
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "big") if long else 2 + data[at + 1]
    assert codes == sorted(codes)
    assert {(0x0A, 0xF0), (0x0F, 0), (0x10, 0), (0x10, 1), (0x1C, 0), (0x1D, 0)} <= set(codes)


# --- logs ---


def parameters(data: bytes) -> dict[int, bytes]:
    assert int.from_bytes(data[2:4], "big") == len(data) - 4
    found, at = {}, 4
    while at < len(data):
        size = data[at + 3]
        found[int.from_bytes(data[at : at + 2], "big")] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return found


def log(drive: SequentialPort, page: int, pointer: int = 0) -> dict[int, int]:
    data = good(drive, f"4d00{0x40 | page:02x}0000{pointer:04x}ffff00", length=65535)
    return {code: int.from_bytes(value, "big") for code, value in parameters(data).items()}


def test_supported_log_pages_answer(drive: SequentialPort) -> None:
    data = good(drive, "4d000000000000ffff00")
    assert data[:2] == b"\0\0"
    pages = list(data[4:])
    assert {0x00, 0x02, 0x03, 0x06, 0x0C, 0x17, 0x1B, 0x2E, 0x31, 0x32, 0x33, 0x34} <= set(pages)
    for page in pages[1:]:
        assert log(drive, page)


def test_counters(drive: SequentialPort) -> None:
    write(drive, 1_500_000, 0, 700_000)
    good(drive, REWIND)
    good(drive, f"0800{1_500_000:06x}00", length=1_500_000)
    compression = log(drive, 0x32)
    assert (compression[6], compression[7]) == (2, 200_000)
    assert (compression[2], compression[3]) == (1, 500_000)
    assert log(drive, 0x0C)[0] == 2_200_000
    volume = log(drive, 0x17)
    assert (volume[0x000E], volume[0x000F]) == (2, 1)
    assert volume[0x0016] == 18_000_000
    assert log(drive, 0x31) == {1: 17_999_997, 2: 0, 3: 18_000_000, 4: 0}
    assert 6 not in log(drive, 0x32, pointer=8)
    good(drive, "4c02f200000000000000")
    assert set(log(drive, 0x32).values()) == {100, 0}
    assert log(drive, 0x17)[0x000E] == 2


def test_log_select_takes_no_list(drive: SequentialPort) -> None:
    assert bad(drive, "4c00c000000000000000") == "5/24/00"
    assert bad(drive, "4c02c000000000000400", bytes(4)) == "5/24/00"


def test_3592_drive_has_its_own_pages(open_image: OpenImage) -> None:
    drive = open_image("j.tap", media="3592JE", product="0359260F", vid="J00001")
    write(drive, 10240)
    assert log(drive, 0x38) == {1: 10, 3: 0, 5: 10, 7: 0}
    assert bad(drive, "4d005b0000000000ff00") == "5/24/00"
    assert good(drive, "050000000000") == hexadecimal("00 200000 0001")
    assert len(good(drive, "030000006000")) == 18
    assert bad(drive, "a31f45000000000000ff0000") == "5/24/00"


# --- keys ---


def test_security_protocols(drive: SequentialPort) -> None:
    assert good(drive, "a20000000000000000ff0000") == hexadecimal("000000000000 0002 00 20")
    capabilities = good(drive, "a22000100000000001000000")
    assert capabilities[:4] == hexadecimal("0010 0028")
    assert capabilities[20:24] == hexadecimal("01 00 0014")
    assert int.from_bytes(capabilities[30:32], "big") == 32
    assert bad(drive, "a22000990000000001000000") == "5/24/00"
    assert bad(drive, "a22100000000000001000000") == "5/24/00"


def key_list(key: bytes, *, encrypting: int = 2, decrypting: int = 3) -> bytes:
    head = hexadecimal("0010 0030 20 00") + bytes((encrypting, decrypting)) + hexadecimal("01 00 00")
    return head + bytes(7) + hexadecimal("0020") + key.ljust(32, b"\0")


def test_data_encryption_status_follows_the_key(drive: SequentialPort) -> None:
    assert good(drive, "a22000200000000001000000")[4:12] == hexadecimal("00 00 00 00 00000000")
    good(drive, "b52000100000000000340000", key_list(b"secret"))
    assert good(drive, "a22000200000000001000000")[4:12] == hexadecimal("21 02 03 01 00000001")
    good(drive, "b52000100000000000340000", key_list(b"", encrypting=0, decrypting=0))
    assert good(drive, "a22000200000000001000000")[5:8] == bytes(3)


@pytest.mark.parametrize(
    ("change", "sense"),
    [
        ({3: 0x31}, "5/1A/00"),
        ({6: 1}, "5/26/00"),
        ({8: 2}, "5/26/00"),
        ({9: 1}, "5/26/00"),
        ({19: 16}, "5/26/00"),
    ],
)
def test_wrong_key_lists(drive: SequentialPort, change: dict[int, int], sense: str) -> None:
    parameters = bytearray(key_list(b"secret"))
    for offset, value in change.items():
        parameters[offset] = value
    assert bad(drive, "b52000100000000000340000", bytes(parameters)) == sense
    assert good(drive, "a22000200000000001000000")[5:8] == bytes(3)


# --- order and wraps ---


def segment(name: bytes, first: int, last: int) -> bytes:
    return struct.pack(">H3x10sBQQ", 0x1E, name, 0, first, last)


def order_list(*segments: bytes) -> bytes:
    return struct.pack(">II", 0, 32 * len(segments)) + b"".join(segments)


def test_recommended_access_order(open_image: OpenImage) -> None:
    """Four wraps of 4 MiB, 16 blocks each: block 35 lies beside block 3, block 20 near the far end."""
    drive = open_image(capacity=16 << 20, media="TEST-16M", vid="V00001")
    write(drive, *[262144] * 40)
    good(drive, REWIND)
    assert good(drive, "a39d00000000000000040000") == hexadecimal("0aaa 0020")
    wanted = order_list(segment(b"0", 35, 36), segment(b"1", 2, 3), segment(b"2", 20, 21))
    good(drive, "a41d02000000000000680000", wanted)
    answer = good(drive, "a31d00000000000010000000")
    assert int.from_bytes(answer[4:8], "big") == 96
    given = [answer[at : at + 32] for at in range(8, len(answer), 32)]
    assert sorted(given) == sorted(wanted[at : at + 32] for at in range(8, len(wanted), 32))
    assert [descriptor[5:6] for descriptor in given] == [b"1", b"0", b"2"]


def test_wrong_order_requests(drive: SequentialPort) -> None:
    good_list = order_list(segment(b"0", 0, 1))
    assert bad(drive, "a41d01000000000000280000", good_list) == "5/24/00"
    assert bad(drive, "a41d02000000000000270000", good_list) == "5/1A/00"
    assert bad(drive, "a41d02000000000000280000", order_list(segment(b"0", 5, 1))) == "5/26/00"


def test_drive_without_recommended_order(open_image: OpenImage) -> None:
    drive = open_image(product="ULT3580-HH9")
    assert bad(drive, "a39d00000000000000040000") == "5/20/00"


def test_end_of_wraps(open_image: OpenImage) -> None:
    drive = open_image(capacity=16 << 20, media="TEST-16M", vid="V00001")  # four wraps of 4 MiB
    write(drive, *[262144] * 40)
    data = good(drive, "a31f45020000000001000000")
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    wraps = [struct.unpack(">HHH6s", data[at : at + 12]) for at in range(4, len(data), 12)]
    ends = [int.from_bytes(end, "big") for *_, end in wraps]
    assert [wrap for wrap, *_ in wraps] == [0, 1, 2]
    assert ends == [15, 31, 40]
    assert good(drive, "a31f45010001000001000000") == hexadecimal("0008 0000 00000000001f")
    assert bad(drive, "a31f45010009000001000000") == "5/24/00"
