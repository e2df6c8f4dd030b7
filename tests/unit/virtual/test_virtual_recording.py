# SPDX-License-Identifier: GPL-3.0-or-later
"""What blocks become on the medium: protection information, keys, early warning, write protection, WORM."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from crc32c import crc32c
from virtualsite import OpenImage, bad, command, flags, good, residual

from cta_taped.virtual.cartridge import new_memory
from cta_taped.virtual.st import SequentialPort

REWIND = "010000000000"
LABEL = b"VOL1V00001".ljust(79) + b"3"


def guarded(data: bytes) -> bytes:
    return data + crc32c(data).to_bytes(4, "little")


def protect(drive: SequentialPort, *, write: bool, read: bool) -> None:
    bits = write << 7 | read << 6
    page = bytes.fromhex("4af0001c") + bytes((2, 4, bits)) + bytes(25)
    good(drive, "151000002400", bytes(4) + page)


def unprotect(drive: SequentialPort) -> None:
    good(drive, "151000002400", bytes(4) + bytes.fromhex("4af0001c") + bytes(28))


def write(drive: SequentialPort, data: bytes) -> None:
    good(drive, f"0a00{len(data):06x}00", data)


def read(drive: SequentialPort, length: int) -> bytes:
    return good(drive, f"0802{length:06x}00", length=length)


def image(path: Path) -> list[bytes]:
    """The records of an image, b"" for filemarks."""
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 8 + length + (length & 1) if length else 4
    return found


def test_known_crc() -> None:
    assert guarded(b"123456789")[-4:] == bytes.fromhex("839206e3")


@pytest.mark.parametrize("data", [LABEL, b"x", b"y" * 262144])
def test_protected_medium_keeps_the_crc(open_image: OpenImage, tmp_path: Path, data: bytes) -> None:
    drive = open_image()
    protect(drive, write=True, read=True)
    write(drive, guarded(data))
    write(drive, guarded(b"second"))
    good(drive, REWIND)
    assert read(drive, 300000) == guarded(data)
    unprotect(drive)
    assert read(drive, 300000) == b"second"
    drive.close()
    assert image(tmp_path / "tape.tap") == [guarded(data), guarded(b"second")]


def test_block_without_crc_gets_one_on_a_protected_medium(open_image: OpenImage, tmp_path: Path) -> None:
    drive = open_image()
    protect(drive, write=True, read=False)
    write(drive, guarded(LABEL))
    unprotect(drive)
    write(drive, b"plain")
    drive.close()
    assert image(tmp_path / "tape.tap") == [guarded(LABEL), guarded(b"plain")]


def test_unprotected_medium_stays_so_until_it_is_written_from_its_beginning(
    open_image: OpenImage, tmp_path: Path
) -> None:
    drive = open_image()
    write(drive, LABEL)
    protect(drive, write=True, read=True)
    write(drive, guarded(b"checked"))
    good(drive, REWIND)
    assert [read(drive, 100), read(drive, 100)] == [guarded(LABEL), guarded(b"checked")]
    assert image(tmp_path / "tape.tap") == [LABEL, b"checked"]
    good(drive, REWIND)
    write(drive, guarded(LABEL))
    assert image(tmp_path / "tape.tap") == [guarded(LABEL)]


@pytest.mark.parametrize(("lbp", "expected"), [(0, LABEL), (1, guarded(LABEL))])
def test_url_decides_what_a_blank_medium_carries(
    open_image: OpenImage, tmp_path: Path, lbp: int, expected: bytes
) -> None:
    drive = open_image(lbp=lbp)
    write(drive, LABEL)
    assert image(tmp_path / "tape.tap") == [expected]
    good(drive, REWIND)
    protect(drive, write=True, read=True)
    write(drive, guarded(LABEL))
    assert image(tmp_path / "tape.tap") == [expected]


def test_protection_is_recognized_by_the_label(open_image: OpenImage) -> None:
    first = open_image()
    protect(first, write=True, read=False)
    write(first, guarded(LABEL))
    first.close()
    assert read(open_image(lbp=0), 100) == LABEL


@pytest.mark.parametrize("block", [LABEL + b"\0\0\0\0", b"abcd", b"abc"])
def test_wrong_crc_is_not_recorded(open_image: OpenImage, tmp_path: Path, block: bytes) -> None:
    drive = open_image()
    protect(drive, write=True, read=True)
    write(drive, guarded(LABEL))
    sense = bad(drive, f"0a00{len(block):06x}00", block)
    assert sense == ("B/10/01" if len(block) > 4 else "5/24/00")
    write(drive, guarded(b"next"))
    assert image(tmp_path / "tape.tap") == [guarded(LABEL), guarded(b"next")]


def test_damaged_block_is_seen_by_whoever_checks(open_image: OpenImage, tmp_path: Path) -> None:
    """With protection the host gets the block and its CRC; without, the drive must not hand it out."""
    path = tmp_path / "tape.tap"
    first = open_image()
    protect(first, write=True, read=False)
    write(first, guarded(LABEL))
    write(first, guarded(b"0123456789"))
    first.close()
    data = bytearray(path.read_bytes())
    data[data.index(b"0123456789") + 3] ^= 0x10
    path.write_bytes(data)
    drive = open_image()
    protect(drive, write=False, read=True)
    read(drive, 100)
    block = read(drive, 100)
    assert block != guarded(b"0123456789")
    assert guarded(block[:-4]) != block
    unprotect(drive)
    good(drive, "2b000000000001000000")
    assert bad(drive, "080200006400") == "3/10/01"


def test_too_small_buffers_with_protection(open_image: OpenImage) -> None:
    drive = open_image()
    protect(drive, write=True, read=True)
    write(drive, guarded(LABEL))
    good(drive, REWIND)
    result = command(drive, "080000003200")
    assert (residual(result), flags(result)) == (50 - 84, "I")
    unprotect(drive)
    good(drive, REWIND)
    result = command(drive, "080000003200")
    assert (residual(result), flags(result), result.data) == (50 - 80, "I", LABEL[:50])


def test_unload_ends_protection(open_image: OpenImage) -> None:
    drive = open_image()
    protect(drive, write=True, read=True)
    good(drive, "1b0000000000")
    assert good(drive, "1a080af0ff00")[8:11] == bytes(3)


# --- keys ---


def set_key(drive: SequentialPort, key: bytes, encrypting: int = 2, decrypting: int = 3) -> None:
    head = bytes.fromhex("001000302000") + bytes((encrypting, decrypting)) + bytes.fromhex("010000")
    good(drive, "b52000100000000000340000", head + bytes(7) + b"\0\x20" + key.ljust(32, b"\0"))


def clear_key(drive: SequentialPort) -> None:
    set_key(drive, b"", 0, 0)


def written_with_keys(drive: SequentialPort) -> None:
    """Objects: 0 clear, 1 key A, 2 mark, 3 key A, 4 key B, 5 clear."""
    write(drive, b"clear")
    set_key(drive, b"A")
    write(drive, b"with A")
    good(drive, "100100000100")
    write(drive, b"more A")
    set_key(drive, b"B")
    write(drive, b"with B")
    clear_key(drive)
    write(drive, b"clear again")


def readable(drive: SequentialPort) -> list[str]:
    """Of each object "ok", "mark", or the sense of reading it."""
    found = []
    for number in range(6):
        good(drive, f"2b0000{number:08x}000000")
        result = command(drive, "080200006400")
        if result.status == 0:
            found.append("ok")
        elif result.sense[2] & 0x80:
            found.append("mark")
        else:
            found.append(f"{result.sense[2] & 0xF}/{result.sense[12]:02X}/{result.sense[13]:02X}")
    return found


NO, WRONG, CLEAR = "7/74/01", "7/74/03", "7/74/02"


@pytest.mark.parametrize(
    ("key", "decrypting", "expected"),
    [
        (b"", 0, ["ok", NO, "mark", NO, NO, "ok"]),
        (b"A", 3, ["ok", "ok", "mark", "ok", WRONG, "ok"]),
        (b"B", 3, ["ok", WRONG, "mark", WRONG, "ok", "ok"]),
        (b"A", 2, [CLEAR, "ok", "mark", "ok", WRONG, CLEAR]),
    ],
)
def test_blocks_are_read_with_their_key_only(
    open_image: OpenImage, key: bytes, decrypting: int, expected: list[str]
) -> None:
    first = open_image()
    written_with_keys(first)
    first.close()
    drive = open_image()
    set_key(drive, key, 0, decrypting)
    assert readable(drive) == expected


def test_the_next_block_status_tells_without_reading(open_image: OpenImage) -> None:
    drive = open_image()
    written_with_keys(drive)
    for number, status in ((0, 0x3), (1, 0x5), (2, 0x1), (5, 0x3), (6, 0x1)):
        good(drive, f"2b0000{number:08x}000000")
        assert good(drive, "a22000210000000001000000")[12] == status


def test_overwritten_blocks_lose_their_key(open_image: OpenImage) -> None:
    drive = open_image()
    written_with_keys(drive)
    good(drive, "2b000000000001000000")
    write(drive, b"clear now")
    good(drive, REWIND)
    assert [read(drive, 100), read(drive, 100)] == [b"clear", b"clear now"]
    write(drive, b"and on")


def test_the_key_itself_is_nowhere_on_disk(open_image: OpenImage, tmp_path: Path) -> None:
    drive = open_image()
    set_key(drive, b"this is the secret key 012345678")
    write(drive, b"data")
    drive.close()
    for path in tmp_path.iterdir():
        assert b"secret" not in path.read_bytes()
    assert json.loads((tmp_path / "tape.memory.json").read_text())["keys"]


# --- the end of the tape ---


def test_early_warning_then_overflow(open_image: OpenImage) -> None:
    """16 MiB with the last 1 MiB behind early warning; blocks of 256 KiB take 262152 bytes."""
    drive = open_image(media="TEST-16M", vid="T00001")
    block = bytes(262144)
    outcomes = []
    for _ in range(65):
        result = command(drive, "0a0004000000", block)
        key = (
            f"{result.sense[2] & 0xF:X}/{result.sense[12]:02X}/{result.sense[13]:02X}" if result.sense else ""
        )
        outcomes.append((key, flags(result) if result.sense else ""))
    first = next(n for n, outcome in enumerate(outcomes) if outcome[0])
    assert outcomes[:first] == [("", "")] * first
    assert first * 262152 <= 15 << 20 < (first + 1) * 262152
    assert outcomes[first:63] == [("0/00/02", "E")] * (63 - first)
    assert outcomes[63:] == [("D/00/02", "E")] * 2
    position = good(drive, "34000000000000000000")
    assert int.from_bytes(position[4:8], "big") == 63
    assert position[0] & 0x40
    mark = command(drive, "100000000100")
    assert (mark.sense[2] & 0xF, mark.sense[12:14], flags(mark)) == (0, b"\0\2", "E")


def test_what_is_overwritten_makes_room(open_image: OpenImage) -> None:
    drive = open_image(media="TEST-16M", vid="T00001")
    for _ in range(64):
        command(drive, "0a0004000000", bytes(262144))
    good(drive, REWIND)
    good(drive, "0a0004000000", bytes(262144))


# --- protection of the cartridge ---


def stored_memory(tmp_path: Path, **fields: object) -> None:
    memory = new_memory("V00001", "LTO-9").model_copy(update=fields)
    (tmp_path / "tape.memory.json").write_text(memory.model_dump_json())


def test_write_protected_cartridge(open_image: OpenImage, tmp_path: Path) -> None:
    stored_memory(tmp_path, write_protected=True)
    drive = open_image()
    assert good(drive, "1a0000000c00")[2] & 0x80
    assert bad(drive, "0a0000000400", b"data") == "7/27/00"
    assert bad(drive, "100000000100") == "7/27/00"
    assert bad(drive, "190000000000") == "7/27/00"
    good(drive, "100000000000")


def test_worm_cartridge_takes_data_only_at_its_end(open_image: OpenImage, tmp_path: Path) -> None:
    stored_memory(tmp_path, worm=True)
    drive = open_image()
    write(drive, b"one")
    write(drive, b"two")
    assert good(drive, "1a081d00ff00")[6] & 1
    good(drive, "2b000000000001000000")
    assert bad(drive, "0a0000000400", b"data") == "7/30/0C"
    assert bad(drive, "100000000100") == "7/30/0C"
    assert read(drive, 10) == b"two"
    write(drive, b"three")


def test_append_only_mode(open_image: OpenImage) -> None:
    drive = open_image()
    write(drive, b"one")
    page = bytearray(good(drive, "1a081001ff00"))
    page[0] = 0
    page[4] &= 0x7F
    page[8] = 0x10
    good(drive, "151000002400", bytes(page))
    good(drive, REWIND)
    assert bad(drive, "0a0000000400", b"data") == "7/30/0C"


def test_block_longer_than_the_limit(open_image: OpenImage) -> None:
    drive = open_image()
    assert bad(drive, "0a0080000100", bytes(0x800001)) == "5/24/00"
    protect(drive, write=True, read=False)
    good(drive, "0a0080000400", guarded(bytes(0x800000)))


def test_damaged_image_reads_up_to_the_damage(open_image: OpenImage, tmp_path: Path) -> None:
    first = open_image()
    for data in (b"good", b"bad!", b"lost"):
        write(first, data)
    first.close()
    path = tmp_path / "tape.tap"
    data = bytearray(path.read_bytes())
    data[12 + 8] ^= 1
    path.write_bytes(data)
    drive = open_image()
    assert read(drive, 10) == b"good"
    assert bad(drive, "080200000a00") == "3/14/03"
