# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels against the worked examples of the format (bytes and CRC32C) and every rule of the tables."""

from __future__ import annotations

import time
from pathlib import Path

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cta_taped.common import errors
from cta_taped.common.errors import CtaError
from cta_taped.common.model import WriterIdentity
from cta_taped.tape import labels
from cta_taped.tape.labels import LabelWriter, ProtectionMethod

IDENTITY = WriterIdentity("CERN", "TPSRV001", "IBM", "ULT3580-TD9", "0123456789", "5.11.20.0")
WRITER = LabelWriter("L80001", IDENTITY, date="026327")
FILE_ID, FSEQ = 4294967338, 12345

WORKED = [
    (
        labels.vol1("L80001", ProtectionMethod.CRC32C),
        "VOL1L80001···························CTA·····································023",
        0xE02DD256,
    ),
    (
        labels.vol1("L80001", ProtectionMethod.NONE),
        "VOL1L80001···························CTA·····································003",
        0xC768E2B8,
    ),
    (
        WRITER.prelabel,
        "HDR1PRELABEL·········L8000100010001000100026327026327·000000CTA·5.11.20.0·······",
        0x016C8485,
    ),
    (
        WRITER.hdr1(FILE_ID, FSEQ),
        "HDR110000002A········L8000100012345000100026327026327·000000CTA·5.11.20.0·······",
        0xCB4441CF,
    ),
    (
        WRITER.hdr2,
        "HDR2F0000000000···································00····························",
        0x0C6CB329,
    ),
    (
        WRITER.uhl1(FSEQ),
        "UHL1000001234500002621440000262144CERN····TPSRV001··IBM·····ULT3580-0123456789··",
        0x47C99DC9,
    ),
    (
        WRITER.eof1(FILE_ID, FSEQ, 20),
        "EOF110000002A········L8000100012345000100026327026327·000020CTA·5.11.20.0·······",
        0x845E29B2,
    ),
    (
        WRITER.eof2,
        "EOF2F0000000000···································00····························",
        0xFB5D063C,
    ),
    (
        WRITER.utl1(FSEQ),
        "UTL1000001234500002621440000262144CERN····TPSRV001··IBM·····ULT3580-0123456789··",
        0xEEAFE1D8,
    ),
]


@pytest.mark.parametrize(("label", "text", "crc"), WORKED, ids=[row[1][:12] for row in WORKED])
def test_worked_examples(label: bytes, text: str, crc: int) -> None:
    assert label == text.replace("·", " ").encode()
    assert crc32c.crc32c(label) == crc


def check(identifier: str, label: bytes) -> object:
    """Read a label with the function that its identifier asks for."""
    match identifier:
        case "VOL1":
            return labels.parse_vol1(label)
        case "HDR1" | "EOF1":
            return labels.parse_first(identifier, label)
        case "HDR2" | "EOF2":
            return labels.check_second(identifier, label)
        case _:
            return labels.parse_user(identifier, label)


GOOD = {row[0][:4].decode(): row[0] for row in WORKED}


@pytest.mark.parametrize(
    ("identifier", "field"),
    [(name, field) for name, layout in labels.LAYOUTS.items() for field in layout],
    ids=lambda value: value if isinstance(value, str) else f"{value.offset}",
)
def test_each_field_follows_its_rule(identifier: str, field: labels.Field) -> None:
    """Damage one field: a constant must not change, a filled one must not be blank, any other may be all."""
    good = GOOD[identifier]
    end = field.offset + field.length
    check(identifier, good)
    blank = good[: field.offset] + b" " * field.length + good[end:]
    other = good[: field.offset] + b"~" * field.length + good[end:]
    if field.rule is labels.Rule.ANY:
        check(identifier, blank)
        if field.name != "LBP method":
            check(identifier, other)
        return
    wrong = blank if field.rule is labels.Rule.FILLED else other
    with pytest.raises(CtaError) as caught:
        check(identifier, wrong)
    if field.name != "label identifier":
        assert field.name in caught.value.detail
        assert caught.value.spec is errors.TAPE_LABEL_FORMAT


@pytest.mark.parametrize("identifier", labels.LAYOUTS)
def test_layouts_cover_80_bytes_without_gap(identifier: str) -> None:
    position = 0
    for field in labels.LAYOUTS[identifier]:
        assert field.offset == position
        position += field.length
    assert position == labels.LABEL_SIZE


@given(label=st.binary(max_size=100))
def test_no_bytes_at_all_give_another_exception(label: bytes) -> None:
    for identifier in labels.LAYOUTS:
        for candidate in (label, identifier.encode() + label, GOOD[identifier][:40] + label[:40]):
            try:
                check(identifier, candidate)
            except CtaError:
                continue


@given(
    file_id=st.integers(0, 2**64 - 1),
    fseq=st.integers(1, 2**33),
    blocks=st.integers(1, 2**32),
    words=st.lists(st.text(max_size=30), min_size=6, max_size=6),
)
def test_whatever_is_written_is_readable(file_id: int, fseq: int, blocks: int, words: list[str]) -> None:
    """Six arbitrary texts as identity: labels stay 80 bytes, no field blank, numbers come back."""
    writer = LabelWriter("%A%S%D"[:6], WriterIdentity(*words))
    first = labels.parse_first("HDR1", writer.hdr1(file_id, fseq))
    assert labels.parse_archive_file_id(first.file_id) == file_id
    assert first.vid == "%A%S%D"
    assert int(first.fseq_modulo) == fseq % 10_000
    assert (
        int(labels.parse_first("EOF1", writer.eof1(file_id, fseq, blocks)).block_count) == blocks % 1_000_000
    )
    assert labels.parse_user("UHL1", writer.uhl1(fseq)).fseq == fseq
    assert labels.parse_user("UTL1", writer.utl1(fseq)).fseq == fseq
    assert labels.parse_first("HDR1", writer.prelabel).is_prelabel


def test_blank_identity_becomes_a_placeholder() -> None:
    writer = LabelWriter("V00001", WriterIdentity("", " ", "", "", "", ""), date="025166")
    assert (
        writer.uhl1(1) == b"UHL1000000000100002621440000262144UNKNOWN UNKNOWN   UNKNOWN UNKNOWN UNKNOWN     "
    )
    assert writer.hdr1(1, 1)[60:73] == b"CTA UNKNOWN  "


@pytest.mark.parametrize(
    ("text", "method"), [("  ", 0), ("00", 0), ("01", 1), ("02", 2), (" 2", 2), ("2 ", 2), ("", 0)]
)
def test_protection_methods(text: str, method: int) -> None:
    assert labels.parse_protection(text) == method


@pytest.mark.parametrize("text", ["03", "0x", "ff", "-1", "+1", "1_", "²0"])
def test_protection_methods_refused(text: str) -> None:
    with pytest.raises(CtaError) as caught:
        labels.parse_protection(text)
    assert caught.value.spec is errors.TAPE_PROTECTION_METHOD


def test_a_foreign_first_block_is_not_a_label() -> None:
    with pytest.raises(CtaError) as caught:
        labels.parse_vol1(b"ustar" * 100)
    assert caught.value.spec is errors.TAPE_NOT_LABELLED


@pytest.mark.parametrize("file_id", ["0x1F", "PRELABEL", "1_0", "-1", "1 0"])
def test_file_id_is_strictly_hexadecimal(file_id: str) -> None:
    with pytest.raises(CtaError) as caught:
        labels.parse_archive_file_id(file_id)
    assert caught.value.spec is errors.TAPE_LABEL_FORMAT


@pytest.mark.parametrize("vid", ["", "V000001", "v00001", "V 0001", "VÖ0001"])
def test_unusable_vid(vid: str) -> None:
    with pytest.raises(CtaError) as caught:
        labels.vol1(vid, ProtectionMethod.NONE)
    assert caught.value.spec is errors.CONFIG_USAGE


@pytest.mark.parametrize("date", ["26331", "2026-11-27", "0263310", "02633x"])
def test_unusable_date(date: str) -> None:
    with pytest.raises(CtaError) as caught:
        LabelWriter("V00001", IDENTITY, date=date)
    assert caught.value.spec is errors.CONFIG_USAGE


def test_zero_block_size_is_refused() -> None:
    label = GOOD["UHL1"]
    with pytest.raises(CtaError) as caught:
        labels.parse_user("UHL1", label[:14] + b"0000000000" + label[24:])
    assert caught.value.spec is errors.TAPE_LABEL_FORMAT


@pytest.mark.parametrize(
    ("day", "date"),
    [("2026-11-27", "026331"), ("2024-12-31", "024366"), ("2005-01-01", "005001"), ("1999-12-31", " 99365")],
)
def test_dates(day: str, date: str) -> None:
    assert labels.label_date(time.strptime(day, "%Y-%m-%d")) == date


def test_the_date_follows_the_day() -> None:
    """A session that runs past midnight writes the new day, and only from midnight on."""
    writer = LabelWriter("V00001", IDENTITY)
    noon = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
    writer.refresh(noon + 400 * 86400.0)
    before = writer.hdr1(1, 1)
    writer.refresh(noon + 400 * 86400.0 + 3600)
    assert writer.hdr1(1, 1) == before
    writer.refresh(noon + 401 * 86400.0)
    after = writer.hdr1(1, 1)
    assert (before[41:47], after[41:47]) == (b"028001", b"028002")


@pytest.mark.parametrize(
    ("content", "site"),
    [
        ("nameserver 192.0.2.1\nsearch cern.ch example.org\n", "CERN"),
        ("domain other.org\nsearch first.example\nsearch second.example\n", "FIRST"),
        ("search\tcern.ch\n", "UNKNOWN"),
        ("#search cern.ch\n", "UNKNOWN"),
        ("search \n", "UNKNOWN"),
        ("search .\n", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_site(tmp_path: Path, content: str, site: str) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(content)
    assert labels.site_name(path) == site


def test_site_without_a_file(tmp_path: Path) -> None:
    assert labels.site_name(tmp_path / "absent") == "UNKNOWN"


def test_host() -> None:
    assert labels.short_host("tpsrv001.cern.ch") == "TPSRV001"
