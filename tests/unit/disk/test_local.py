# SPDX-License-Identifier: GPL-3.0-or-later
"""Local sources and destinations on a real file system: names, failures, their codes, atomic appearance."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from cta_taped.common.errors import CtaError
from cta_taped.disk.files import VerifySink, WritePolicy, open_destination, open_source

RELAXED = WritePolicy(synchronise=False)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def read_all(url: str, block_bytes: int = 7) -> bytes:
    source = open_source(url)
    try:
        buffer = memoryview(bytearray(block_bytes))
        out = bytearray()
        while size := source.readinto(buffer):
            out += buffer[:size]
        assert len(out) == source.size_bytes
        return bytes(out)
    finally:
        source.close()
        source.close()


def write_all(url: str, data: bytes, policy: WritePolicy = RELAXED) -> None:
    destination = open_destination(url, len(data), policy)
    destination.write(memoryview(data))
    destination.commit()


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "two\nlines\r\t",
        "percent %41%",
        "blank and ? and # and ;",
        "\udcff\udcfe raw bytes",
        "-",
        "ü" * 127,
    ],
)
def test_any_name_as_a_plain_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_all(str(path), b"0123456789")
    assert path.read_bytes() == b"0123456789"
    assert read_all(str(path)) == b"0123456789"
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("prefix", "tail", "name"),
    [
        ("file://", "two%0alines", b"two\nlines"),
        ("file://localhost", "%FF%fe", b"\xff\xfe"),
        ("file:", "a%20b%25", b"a b%"),
        ("file://", "question?mark#", b"question?mark#"),
    ],
)
def test_file_urls_are_percent_decoded(tmp_path: Path, prefix: str, tail: str, name: bytes) -> None:
    url = f"{prefix}{tmp_path}/{tail}"
    write_all(url, b"payload")
    assert names(tmp_path) == [os.fsdecode(name)]
    assert read_all(url) == b"payload"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relative/path",
        "http://host/file",
        "file:relative",
        "file://elsewhere/path",
        "/nul\0byte",
        "file:///a%00b",
    ],
)
def test_unusable_names(url: str) -> None:
    for attempt in (open_source, lambda url: open_destination(url, 1, RELAXED)):
        with pytest.raises(CtaError) as caught:
            attempt(url)
        assert caught.value.spec.symbol == "DISK_NAME"
        assert "\n" not in str(caught.value)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "symbol"),
    [
        (lambda path: None, "DISK_SOURCE_GONE"),
        (Path.mkdir, "DISK_NOT_A_FILE"),
        (os.mkfifo, "DISK_NOT_A_FILE"),
        (_socket, "DISK_NOT_A_FILE"),
        (_loop, "DISK_NAME"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, make: Callable[[Path], None], symbol: str) -> None:
    path = tmp_path / "new\nline"
    make(path)
    with pytest.raises(CtaError) as caught:
        open_source(str(path))
    assert caught.value.spec.symbol == symbol
    assert "\n" not in str(caught.value)


def test_a_source_below_a_file_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CtaError) as caught:
        open_source(str(tmp_path / "file" / "below"))
    assert caught.value.spec.symbol == "DISK_SOURCE_GONE"


@pytest.mark.parametrize(
    ("number", "symbol", "charged"),
    [
        (errno.EACCES, "DISK_PERMISSION", True),
        (errno.EIO, "DISK_READ", True),
        (errno.ETIMEDOUT, "DISK_TIMEOUT", False),
        (errno.ESTALE, "DISK_UNREACHABLE", False),
        (errno.EMFILE, "SYSTEM_RESOURCES", False),
    ],
)
def test_errno_of_reading(
    tmp_path: Path, mocker: MockerFixture, number: int, symbol: str, charged: bool
) -> None:
    """No real file system here fails in these ways on demand, hence the mock."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    source = open_source(str(path))
    mocker.patch("os.readv", side_effect=OSError(number, os.strerror(number)))
    with pytest.raises(CtaError) as caught:
        source.readinto(memoryview(bytearray(1)))
    source.close()
    assert (caught.value.spec.symbol, caught.value.spec.charged) == (symbol, charged)
    assert caught.value.evidence["errno"] == number


def test_no_name_before_the_commit_and_nothing_after_abandon(tmp_path: Path) -> None:
    path = tmp_path / "file"
    destination = open_destination(str(path), 4, WritePolicy())
    destination.write(memoryview(b"abcd"))
    assert not path.exists()
    destination.abandon()
    assert names(tmp_path) == []


def test_existing_destination_is_refused_at_open_and_at_commit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(CtaError) as caught:
        open_destination(str(path), 3, RELAXED)
    assert caught.value.spec.symbol == "DISK_EXISTS"
    path.unlink()
    late = open_destination(str(path), 3, RELAXED)
    late.write(memoryview(b"new"))
    path.write_bytes(b"old")
    with pytest.raises(CtaError) as caught:
        late.commit()
    assert caught.value.spec.symbol == "DISK_EXISTS"
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_overwriting_where_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write_all(str(path), b"newer", WritePolicy(overwrite=True))
    assert path.read_bytes() == b"newer"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("taken", [False, True])
def test_a_file_system_without_hard_links(tmp_path: Path, mocker: MockerFixture, taken: bool) -> None:
    """FAT and some network file systems answer EPERM to link(2); none is mounted here."""
    path = tmp_path / "file"
    destination = open_destination(str(path), 3, RELAXED)
    destination.write(memoryview(b"new"))
    mocker.patch("os.link", side_effect=OSError(errno.EPERM, "Operation not permitted"))
    if taken:
        path.write_bytes(b"old")
        with pytest.raises(CtaError) as caught:
            destination.commit()
        assert caught.value.spec.symbol == "DISK_EXISTS"
    else:
        destination.commit()
    assert path.read_bytes() == (b"old" if taken else b"new")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("tail", "symbol"),
    [("missing/file", "DISK_OPEN_WRITE"), ("", "DISK_NOT_A_FILE"), ("x" * 256, "DISK_NAME")],
)
def test_where_no_destination_can_be(tmp_path: Path, tail: str, symbol: str) -> None:
    with pytest.raises(CtaError) as caught:
        open_destination(f"{tmp_path}/{tail}", 1, RELAXED)
    assert caught.value.spec.symbol == symbol
    assert names(tmp_path) == []


def test_a_directory_is_no_destination_even_for_overwriting(tmp_path: Path) -> None:
    with pytest.raises(CtaError) as caught:
        open_destination(str(tmp_path), 1, WritePolicy(overwrite=True))
    assert caught.value.spec.symbol == "DISK_NOT_A_FILE"


def test_a_short_file_gets_no_name(tmp_path: Path) -> None:
    destination = open_destination(str(tmp_path / "file"), 5, RELAXED)
    destination.write(memoryview(b"four"))
    with pytest.raises(CtaError) as caught:
        destination.commit()
    assert caught.value.spec.symbol == "DISK_WRITE"
    assert names(tmp_path) == []


@pytest.fixture
def one_megabyte_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_is_cut_short_fails_and_leaves_nothing(tmp_path: Path, one_megabyte_limit: None) -> None:
    """A real short write: the first call writes up to the limit, the next fails with EFBIG."""
    destination = open_destination(str(tmp_path / "file"), 2 << 20, RELAXED)
    with pytest.raises(CtaError) as caught:
        destination.write(memoryview(bytes(2 << 20)))
    assert caught.value.spec.symbol == "DISK_NO_SPACE"
    destination.abandon()
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_not_charged(tmp_path: Path, mocker: MockerFixture, number: int) -> None:
    """Filling a real disk would disturb every other test of this machine, hence the mock."""
    destination = open_destination(str(tmp_path / "file"), 1, RELAXED)
    mocker.patch("os.write", side_effect=OSError(number, os.strerror(number)))
    with pytest.raises(CtaError) as caught:
        destination.write(memoryview(b"x"))
    assert caught.value.spec.symbol == "DISK_NO_SPACE"
    assert not caught.value.spec.charged
    destination.abandon()
    assert names(tmp_path) == []


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = list(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        write_all(str(tmp_path / "file"), b"x", WritePolicy(overwrite=True))
        read_all(str(tmp_path / "file"))
        open_destination(str(tmp_path / "other"), 1, RELAXED).abandon()
        with pytest.raises(CtaError):
            open_source(str(tmp_path))
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


def test_the_verify_sink_keeps_nothing(tmp_path: Path) -> None:
    sink = VerifySink()
    sink.write(memoryview(b"anything"))
    sink.commit()
    sink.abandon()
    assert names(tmp_path) == []
