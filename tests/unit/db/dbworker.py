# SPDX-License-Identifier: GPL-3.0-or-later
"""A drive as a process of its own: claims mounts and archives jobs until nothing is left.

Run by test_concurrency with the URLs of catalogue and scheduler, a drive number, a batch size and the VO's
quota. Prints one line an event; a line "VIOLATION ..." is a broken promise.
"""

from __future__ import annotations

import sys
import time

from dbsite import ANYTHING, BACKEND, drive_identity, written

from cta_taped.common.model import DesiredState, DriveReport, DriveStatus
from cta_taped.db.backends import open_catalogue, open_scheduler


def main(catalogue_url: str, scheduler_url: str, number: int, batch: int, quota: int) -> None:
    catalogue = open_catalogue(catalogue_url)
    scheduler = open_scheduler(scheduler_url, catalogue_url, BACKEND)
    drive = drive_identity(number)
    catalogue.drives.register(drive, "0.1", BACKEND, [], DesiredState(up=True))
    idle = 0
    while idle < 3:
        mount = scheduler.mounts.next(drive, ANYTHING)
        if mount is None:
            idle += 1
            time.sleep(0.05)
            continue
        idle = 0
        rows = catalogue.drives.all()
        if [row.name for row in rows if row.vid == mount.vid] != [drive.name]:
            print(f"VIOLATION tape {mount.vid} in two drives", flush=True)
        if sum(row.mount_id is not None for row in rows) > quota:
            print("VIOLATION more mounts than the organisation may have", flush=True)
        print(f"mount {mount.mount_id} {mount.vid}", flush=True)
        jobs = scheduler.archive.claim(drive, mount, batch, 10**12)
        fseq = catalogue.tapes.facts(mount.vid).last_fseq
        if fseq != mount.last_fseq:
            print(f"VIOLATION tape {mount.vid} was written by somebody else", flush=True)
        files = [written(job, mount.vid, fseq + 1 + at) for at, job in enumerate(jobs)]
        catalogue.files.record_written(drive.name, files)
        gone = scheduler.archive.done(mount, [job.job_id for job in jobs])
        print(f"done {len(jobs)} gone {len(gone)}", flush=True)
        report = DriveReport(1, time.time(), DriveStatus.UP, last_mount_id=mount.mount_id)
        catalogue.drives.publish(drive, [report])
    catalogue.drives.remove(drive.name, force=True)
    print("finished", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(argument) for argument in sys.argv[3:6]))
