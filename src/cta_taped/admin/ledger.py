# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin ledger``: files that are on tape and that the databases have not taken yet.

What it is: a look at the ledgers of this host's drives, which needs no database. What it is not: their
delivery; the drives' daemons do that as soon as the databases answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import click

from cta_taped.admin.completion import local_drive_names
from cta_taped.admin.output import Column, listing, shown, shown_size, shown_time
from cta_taped.admin.site import Site, json_option, pass_site
from cta_taped.common.config import load
from cta_taped.db.ledger import Ledger

_COLUMNS: Final = (
    Column("driveName", "drive"),
    Column("vid", "vid"),
    Column("fSeq", "fseq", shown, right=True),
    Column("archiveId", "archive id", shown, right=True),
    Column("size", "size", shown_size, right=True),
    Column("writtenTime", "written", shown_time),
    Column("recorded", "recorded"),
    Column("path", "path"),
)


@click.group()
def ledger() -> None:
    """Look at files that are on tape and not yet recorded."""


@ledger.command("ls")
@click.argument("drive", metavar="[DRIVE]", required=False, shell_complete=local_drive_names)
@json_option
@pass_site
def list_ledgers(site: Site, drive: str | None) -> None:
    """List the undelivered files of one drive of this host, or of all.

    Recorded are those that the catalogue has and the scheduler does not know to be done.
    """
    rows = [
        row for name in ([drive] if drive is not None else site.local_drives) for row in _rows(site, name)
    ]
    listing(rows, _COLUMNS, site.as_json)


def _rows(site: Site, drive: str) -> Iterator[dict[str, Any]]:
    directory = load(site.file, drive).config.state_dir
    if not (directory / "ledger.db").exists():
        return
    kept = Ledger(directory)
    for vid in kept.vids():
        for mount in kept.mounts(vid):
            for recorded in (True, False):
                for file in kept.files(mount, recorded):
                    yield {
                        "driveName": drive,
                        "vid": file.vid,
                        "mountId": mount.mount_id,
                        "fSeq": file.fseq,
                        "blockId": file.block_id,
                        "size": file.size_bytes,
                        "adler32": f"{file.adler32:08x}",
                        "writtenTime": file.written_time,
                        "archiveId": file.job.archive_file_id if file.job else None,
                        "path": file.job.disk_file_path if file.job else None,
                        "recorded": recorded,
                    }
