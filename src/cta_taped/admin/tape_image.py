# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin tape scan``, ``extract`` and ``write``: tapes and tape images without a catalogue.

What it is: options, and how the results are told; the work is in ``tape.scan``, ``tape_extraction`` and
``tape_recording``. What it is not: anything that asks a database or a daemon; these commands serve when
neither is there. An image is a drive with that cartridge in it: everything runs through a drive's code.

JSON is one object a line, with the names that CTA's own tools use, because a tape has millions of files.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from cta_taped.admin.output import Column, Problems, listing, shown_size
from cta_taped.admin.site import Site, json_option, pass_site
from cta_taped.admin.tape_extraction import extract
from cta_taped.admin.tape_recording import RecordedFile, write_volume
from cta_taped.common.config import load
from cta_taped.common.errors import (
    CONFIG_USAGE,
    DISK_EMPTY_FILE,
    DISK_EXISTS,
    DISK_SOURCE_GONE,
    CtaError,
)
from cta_taped.common.model import WriterIdentity
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.disk.files import open_source
from cta_taped.tape import labels
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.scan import ScannedFile, TapeScan

_MEDIA: Final = "LTO-9"

_COLUMNS: Final = (
    Column("fSeq", "FSEQ", right=True),
    Column("blockId", "BLOCK ID", right=True),
    Column("archiveFileId", "ARCHIVE FILE", right=True),
    Column("size", "SIZE", shown_size, right=True),
    Column("adler32", "ADLER32"),
    Column("blocks", "BLOCKS", right=True),
)
_SCANNED: Final = (
    *_COLUMNS,
    Column("written", "WRITTEN"),
    Column("host", "HOST"),
    Column("driveSerial", "DRIVE"),
    Column("errorCode", "ERROR"),
)
_STORED: Final = (*_COLUMNS, Column("file", "FILE"), Column("errorCode", "ERROR"))


class FseqRange(click.ParamType[tuple[int, int | None]]):
    """``N``, ``N-M`` or ``N-``: first and last fSeq, None for the end of data."""

    name = "range"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int | None]:
        """Parse; click's own usage error for anything else."""
        match = re.fullmatch(r"([0-9]{1,10})(-?)([0-9]{0,10})", value)
        if match is None or int(match[1]) < 1 or (match[3] and not match[2]):
            self.fail(f"{value!r} is no fSeq range; write 7, 7-9 or 7-", param, ctx)
        first = int(match[1])
        last = int(match[3]) if match[3] else None if match[2] else first
        if last is not None and last < first:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return first, last


def image_url(image: Path, **properties: str) -> str:
    """The device URL of a drive that has ``image`` loaded."""
    return f"tap:{quote(str(image.absolute()))}" + (f"?{urlencode(properties)}" if properties else "")


def device_url(site: Site, drive: str) -> str:
    """The device URL of ``drive``: itself if it is a path or a URL, else of this host's drive of that name.

    Raises CtaError CONFIG_MISSING, CONFIG_INVALID.
    """
    if "/" in drive or ":" in drive:
        return drive
    return load(site.file, drive).config.drive.device


@contextmanager
def _opened(url: str) -> Iterator[TapeDrive]:
    drive = TapeDrive(open_tape_port(url))
    try:
        yield drive
    finally:
        drive.close()


def _existing(image: Path) -> Path:
    if not image.is_file():
        raise CtaError(DISK_SOURCE_GONE, f"image {image} does not exist or is not a file")
    return image


def _told(error: CtaError) -> dict[str, Any]:
    return {"error": error.detail, "errorCode": error.code}


def scanned_row(file: ScannedFile) -> dict[str, Any]:
    """A scanned file with the field names of CTA's tools; the checksum as 8 hexadecimal digits."""
    row = {
        "ok": file.ok,
        "vid": file.vid,
        "fSeq": file.fseq,
        "blockId": file.block_id,
        "archiveFileId": file.archive_file_id,
        "size": file.size_bytes,
        "adler32": f"{file.adler32:08x}",
        "blocks": file.blocks,
        "tapeBlockSize": file.tape_block_size,
        "endPosition": file.end_position,
        "placeholder": file.placeholder,
        "written": file.written,
        "host": file.host,
        "driveSerial": file.drive_serial,
    }
    return row | _told(file.error) if file.error else row


def recorded_row(file: RecordedFile) -> dict[str, Any]:
    """A written file likewise."""
    return {
        "ok": not file.placeholder,
        "vid": file.vid,
        "fSeq": file.fseq,
        "blockId": file.block_id,
        "archiveFileId": file.archive_file_id,
        "size": file.size_bytes,
        "adler32": f"{file.adler32:08x}",
        "blocks": file.blocks,
        "placeholder": file.placeholder,
        "file": str(file.source),
    }


def _tell(rows: Iterator[dict[str, Any]], columns: tuple[Column, ...], as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    else:
        listing(rows, columns, as_json=False)


@click.command("scan")
@click.option("--image", type=click.Path(path_type=Path), help="Tape image to scan.")
@click.option("--drive", help="Drive with the tape loaded: a drive of this host, a device or a URL.")
@json_option
@pass_site
def scan(site: Site, image: Path | None, drive: str | None) -> None:
    """Walk a tape without a catalogue: every label verified, every file checksummed."""
    if (image is None) == (drive is None):
        raise CtaError(CONFIG_USAGE, "give either --image FILE or --drive DRIVE")
    url = image_url(_existing(image)) if image is not None else device_url(site, drive or "")
    problems = Problems()
    files = 0

    def rows(walk: TapeScan) -> Iterator[dict[str, Any]]:
        nonlocal files
        for file in walk.files():
            files += file.ok
            if file.error is not None:
                problems.add(file.error)
            yield scanned_row(file)
        if site.as_json and walk.prelabel:
            yield {"ok": True, "vid": walk.vid, "prelabel": True}

    with _opened(url) as device:
        try:
            walk = TapeScan(device)
            _tell(rows(walk), _SCANNED, site.as_json)
        except CtaError as error:
            if site.as_json:
                click.echo(json.dumps({"ok": False} | _told(error)))
            raise
    if site.as_json:
        end = {"endOfData": True, "position": walk.end_position, "files": files, "lbpMode": walk.protection}
        click.echo(json.dumps({"ok": problems.count == 0, "vid": walk.vid} | end))
    else:
        state = "labelled and empty" if walk.prelabel else f"{files} good files, {problems.count} damaged"
        click.echo(f"{walk.vid}: {state}; end of data at object {walk.end_position}; {walk.protection}")
    problems.end()


@click.command("extract")
@click.option("--image", type=click.Path(path_type=Path), required=True, help="Tape image to read.")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Existing directory for the files, named VID-FSEQ-ARCHIVEFILEID.",
)
@click.option("--fseq", type=FseqRange(), default="1-", show_default=True, help="7, 7-9 or 7-.")
@json_option
@pass_site
def extract_files(site: Site, image: Path, directory: Path, fseq: tuple[int, int | None]) -> None:
    """Write the files of a tape image to a directory; nothing is overwritten."""
    problems = Problems()

    def rows(device: TapeDrive) -> Iterator[dict[str, Any]]:
        for file, path in extract(device, directory, *fseq):
            if file.error is not None:
                problems.add(file.error)
            yield scanned_row(file) | {"file": None if path is None else str(path)}

    with _opened(image_url(_existing(image))) as device:
        _tell(rows(device), _STORED, site.as_json)
    problems.end()


@click.command("write")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--image", type=click.Path(path_type=Path), required=True, help="Tape image to make.")
@click.option("--vid", required=True, help="Volume identifier: 1 to 6 characters, upper case.")
@click.option(
    "--archive-file-id", type=click.IntRange(1, 2**64 - 1), help="Of the first file; then counted up."
)
@click.option("--append", is_flag=True, help="Write behind the last file of an existing image.")
@click.option("--label-only", is_flag=True, help="Write the volume label and no file.")
@click.option("--lbp/--no-lbp", "protection", default=False, help="Label with block protection (CRC32C).")
@click.option("--site", "site_name", help="In labels; default: from /etc/resolv.conf.")
@click.option("--host", help="In labels; default: this host's name.")
@click.option("--date", help="In labels, as cyyddd; default: today.")
@click.option("--vendor", default="IBM", show_default=True, help="Drive vendor in labels.")
@click.option("--model", default="ULT3580-TD9", show_default=True, help="Drive model in labels.")
@click.option("--serial", default="0000000000", show_default=True, help="Drive serial number in labels.")
@click.option("--system-version", help="Software version in labels; default: CTA's that this follows.")
@json_option
@pass_site
def write(
    site: Site,
    files: tuple[Path, ...],
    image: Path,
    vid: str,
    archive_file_id: int | None,
    append: bool,
    label_only: bool,
    protection: bool,
    site_name: str | None,
    host: str | None,
    date: str | None,
    vendor: str,
    model: str,
    serial: str,
    system_version: str | None,
) -> None:
    """Write local files to a tape image in CTA's format."""
    if label_only == bool(files) or (append and label_only):
        raise CtaError(CONFIG_USAGE, "give files to write, or --label-only for a new image without files")
    if append:
        _existing(image)
    elif image.exists():
        raise CtaError(DISK_EXISTS, f"image {image} exists already; give --append to write behind its files")
    sources = [file.absolute() for file in files]
    for source in sources:
        open_source(str(source)).close()
    identity = WriterIdentity(
        site_name or labels.site_name(),
        host or labels.short_host(socket.gethostname()),
        vendor,
        model,
        serial,
    )
    if system_version is not None:
        identity = replace(identity, system_version=system_version)
    # Refuses what no label can hold, before there is an image.
    labels.LabelWriter(vid, identity, date)
    problems = Problems()

    def rows(device: TapeDrive) -> Iterator[dict[str, Any]]:
        for file in write_volume(
            device,
            vid,
            sources,
            archive_file_id=archive_file_id,
            identity=identity,
            protection=protection,
            append=append,
            date=date,
        ):
            if file.placeholder:
                problems.add(CtaError(DISK_EMPTY_FILE, f"{file.source} is empty: a placeholder was written"))
            yield recorded_row(file)

    properties = {"vid": vid, "media": _MEDIA, "vendor": vendor, "product": model, "serial": serial}
    if not append:
        properties |= {"create": "1", "lbp": str(int(protection))}
    with _opened(image_url(image, **properties)) as device:
        _tell(rows(device), _STORED, site.as_json)
    problems.end()
