# SPDX-License-Identifier: GPL-3.0-or-later
"""The changer's commands against bytes written by hand from SMC-3.

Addresses: hand 1, port 16, drives 256 and 257, slots 1024 to 1027; cartridges in the first two slots.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from virtualsite import MakeLibrary, bad, good, hexadecimal

from cta_taped.common.errors import CONFIG_INVALID, CONFIG_VTL, CtaError
from cta_taped.common.scsi.port import open_changer_port, open_tape_port
from cta_taped.virtual.library import Library
from cta_taped.virtual.smc import MediaChanger


@pytest.fixture
def directory(make_library: MakeLibrary) -> Path:
    return make_library()


@pytest.fixture
def changer(directory: Path) -> Iterator[MediaChanger]:
    port = open_changer_port(f"vtl:{directory}")
    assert isinstance(port, MediaChanger)
    yield port
    port.close()


def move(source: int, destination: int, hand: int = 0) -> str:
    return f"a500{hand:04x}{source:04x}{destination:04x}00000000"


def status(
    cdb_flags: str = "10", first: int = 0, count: int = 0xFFFF, last: str = "00", room: int = 4096
) -> str:
    return f"b8{cdb_flags}{first:04x}{count:04x}{last}{room:06x}0000"


def places(directory: Path) -> dict[str, int]:
    library = Library(directory)
    try:
        return {element.vid: element.address for element in library.elements() if element.vid}
    finally:
        library.close()


def test_inquiry_and_readiness(changer: MediaChanger) -> None:
    data = good(changer, "120000002400")
    assert data[0] == 0x08
    assert data[8:16] == b"IBM     "
    good(changer, "000000000000")
    assert good(changer, "030000001200")[2] & 0x0F == 0


def test_element_address_assignment(changer: MediaChanger) -> None:
    expected = hexadecimal("17 00 00 00 1d 12 0001 0001 0400 0004 0010 0001 0100 0002 0000")
    assert good(changer, "1a081d001800") == expected
    assert good(changer, "5a081d00000000001c00")[8:] == expected[4:]
    assert bad(changer, "1a080e001800") == "5/24/00"


def test_every_element_with_its_tag(changer: MediaChanger) -> None:
    data = good(changer, status())
    tag = b"V00001L9".ljust(32) + bytes(4)
    none = b"".ljust(32) + bytes(4)
    page = hexadecimal("80 0034 00 00")
    expected = (
        hexadecimal("0001 0008 000001c0")
        + b"\1" + page + hexadecimal("0034")
        + hexadecimal("0001 00 00 0000 000000 00 0000") + none + bytes(4)
        + b"\2" + page + hexadecimal("00d0")
        + hexadecimal("0400 09 00 0000 000000 01 0000") + tag + bytes(4)
        + hexadecimal("0401 09 00 0000 000000 01 0000") + tag.replace(b"1L9", b"2L9") + bytes(4)
        + hexadecimal("0402 08 00 0000 000000 00 0000") + none + bytes(4)
        + hexadecimal("0403 08 00 0000 000000 00 0000") + none + bytes(4)
        + b"\3" + page + hexadecimal("0034")
        + hexadecimal("0010 38 00 0000 000000 00 0000") + none + bytes(4)
        + b"\4" + page + hexadecimal("0068")
        + hexadecimal("0100 08 00 0000 000000 00 0000") + none + bytes(4)
        + hexadecimal("0101 08 00 0000 000000 00 0000") + none + bytes(4)
    )  # fmt: skip
    assert data == expected


def test_drive_identifiers(changer: MediaChanger, directory: Path) -> None:
    library = Library(directory)
    drive = library.drive(1).drive
    library.close()
    assert drive is not None
    data = good(changer, status("04", 257, 1, "01"))
    name = b"IBM     ULT3580-TD9     " + drive.identity.serial.encode()
    assert data[8:16] == bytes((4, 0)) + len(data[16:]).to_bytes(2, "big") + bytes((0, 0)) + len(
        data[16:]
    ).to_bytes(2, "big")
    assert data[16:28] == hexadecimal("0101 08 00 0000 000000 00 0000")
    assert data[28:] == bytes((2, 1, 0, len(name))) + name
    tape = open_tape_port(f"vtl:{directory}?drive=1")
    assert good(tape, "12018000ff00")[4:] == drive.identity.serial.encode()
    tape.close()


@pytest.mark.parametrize(
    ("first", "count", "kind", "addresses"),
    [
        (0, 3, "10", [1, 16, 256]),
        (0, 2, "12", [1024, 1025]),
        (1026, 99, "12", [1026, 1027]),
        (257, 99, "10", [257, 1024, 1025, 1026, 1027]),
        (0, 99, "14", [256, 257]),
    ],
)
def test_ranges_and_types(
    changer: MediaChanger, first: int, count: int, kind: str, addresses: list[int]
) -> None:
    data = good(changer, status(kind, first, count))
    assert int.from_bytes(data[2:4], "big") == len(addresses)
    assert int.from_bytes(data[:2], "big") == min(addresses)
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 8 + int.from_bytes(data[at + 5 : at + 8], "big")
        found += [int.from_bytes(data[n : n + 2], "big") for n in range(at + 8, end, length)]
        at = end
    assert sorted(found) == addresses


def test_short_allocations_get_whole_descriptors_and_the_full_count(changer: MediaChanger) -> None:
    whole = good(changer, status("12"))
    assert len(whole) == 8 + 8 + 4 * 52
    short = good(changer, status("12", room=128))
    assert short == whole[: 8 + 8 + 2 * 52]
    assert good(changer, status("12", room=8)) == whole[:8]


def test_status_of_no_element(changer: MediaChanger) -> None:
    assert bad(changer, status("10", first=2000)) == "5/21/01"
    assert bad(changer, status("15")) == "5/24/00"


def test_moves_and_their_home(changer: MediaChanger, directory: Path) -> None:
    good(changer, move(1024, 256))
    assert places(directory) == {"V00001": 256, "V00002": 1025}
    descriptor = good(changer, status("04", 256, 1))[16:]
    assert descriptor[2] == 0x01  # full, and not accessible: the drive threads it
    assert descriptor[9:12] == hexadecimal("81 0400")
    assert bad(changer, move(256, 1024)) == "5/53/03"
    tape = open_tape_port(f"vtl:{directory}?drive=0")
    tape.execute(bytes(6))
    good(tape, "1b0000000000")
    assert good(changer, status("04", 256, 1))[18] == 0x09
    good(changer, move(256, 1027, hand=1))
    assert bad(tape, "000000000000") == "2/3A/00"
    tape.close()
    assert places(directory)["V00001"] == 1027
    assert good(changer, status("02", 1027, 1))[16:][9:12] == hexadecimal("01 0000")


@pytest.mark.parametrize(
    ("cdb", "sense"),
    [
        (move(1024, 1025), "5/3B/0D"),
        (move(1026, 1027), "5/3B/0E"),
        (move(1024, 999), "5/21/01"),
        (move(999, 1026), "5/21/01"),
        (move(1024, 1026, hand=2), "5/21/01"),
        ("2b000000270f00000000", "5/21/01"),
        ("2b000002010000000000", "5/21/01"),
        ("b60000000500000000280000", "5/20/00"),
        ("b50000000000000000000000", "5/20/00"),
        ("ff0000000000", "5/20/00"),
        ("a500", "5/24/00"),
    ],
)
def test_wrong_commands_move_nothing(changer: MediaChanger, directory: Path, cdb: str, sense: str) -> None:
    before = places(directory)
    assert bad(changer, cdb) == sense
    assert places(directory) == before


def test_move_to_its_own_place(changer: MediaChanger, directory: Path) -> None:
    good(changer, move(1024, 1024))
    assert places(directory)["V00001"] == 1024


def test_exchange(changer: MediaChanger, directory: Path) -> None:
    good(changer, "a6000000040004010402" + "0000")
    assert places(directory) == {"V00001": 1025, "V00002": 1026}
    good(changer, "a6000000040104020401" + "0000")
    assert places(directory) == {"V00001": 1026, "V00002": 1025}
    assert bad(changer, "a6000000040304020400" + "0000") == "5/3B/0E"


def test_inventory_and_positioning(changer: MediaChanger) -> None:
    good(changer, "070000000000")
    good(changer, "37010400000000040000")
    good(changer, "2b000000040000000000")


def test_prevented_removal_keeps_the_ports_shut(changer: MediaChanger) -> None:
    good(changer, "1e0000000100")
    assert bad(changer, move(1024, 16)) == "5/53/02"
    good(changer, move(1024, 1026))
    good(changer, "1e0000000000")
    good(changer, move(1026, 16))


def test_import_and_export_are_announced(changer: MediaChanger, directory: Path) -> None:
    good(changer, move(1024, 16))
    assert good(changer, status("03", 16, 1))[18] == 0x39
    library = Library(directory)
    library.export_cartridge("V00001")
    assert bad(changer, "000000000000") == "6/28/01"
    good(changer, "000000000000")
    library.import_cartridge("V00001")
    library.close()
    good(changer, "120000002400")
    sense = good(changer, "030000001200")
    assert (sense[2] & 0x0F, sense[12], sense[13]) == (6, 0x28, 1)
    assert good(changer, status("03", 16, 1))[18] == 0x3B  # placed by the operator
    good(changer, move(16, 1024))
    good(changer, move(1024, 16))
    assert good(changer, status("03", 16, 1))[18] == 0x39


def test_tape_alert_page(changer: MediaChanger) -> None:
    data = good(changer, "4d006e00000000ffff00")
    assert len(data) == 4 + 64 * 5
    assert not any(data[8::5])


@pytest.mark.parametrize(
    ("url", "spec"), [("vtl:{}/nowhere", CONFIG_VTL), ("vtl:{}/library?drive=1", CONFIG_INVALID)]
)
def test_wrong_urls(directory: Path, url: str, spec: object) -> None:
    with pytest.raises(CtaError) as caught:
        open_changer_port(url.format(directory.parent))
    assert caught.value.spec is spec


def test_damaged_directory_is_told_in_one_line(directory: Path) -> None:
    (directory / "library.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(CtaError) as caught:
        open_changer_port(f"vtl:{directory}")
    assert caught.value.spec is CONFIG_VTL
