# SPDX-License-Identifier: GPL-3.0-or-later
"""The session worker: probe, schedule, at most one mount, exit. With ``--rescue``, the cleaning form of it.

Started by the supervisor with a channel; ``--rescue --standalone`` is what ExecStopPost= runs when the
supervisor itself died: it reads the configuration's files, as no supervisor hands it down. Not for use by
hand.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Final

from cta_taped.common import config_snapshot, events
from cta_taped.common.config import load
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import DRIVE_BUSY, DRIVE_NOT_EMPTY, EX_OK, CtaError, DriveEffect
from cta_taped.common.ipc.channel import WorkerChannel
from cta_taped.common.journal import BackgroundJournal
from cta_taped.common.log import bind, configure, get_logger, log_error, log_event
from cta_taped.common.log import close as close_log
from cta_taped.common.model import MountType
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.db.backends import open_catalogue, open_scheduler
from cta_taped.db.ledger import Ledger
from cta_taped.session.archive_mount import ArchiveMount
from cta_taped.session.link import ChannelLink, Link, LoneLink, Outcome
from cta_taped.session.mount import Station
from cta_taped.session.pipeline import as_cta_error, share_interpreter
from cta_taped.session.rescue import Rescue
from cta_taped.session.retrieve_mount import RetrieveMount
from cta_taped.session.schedule import next_mount
from cta_taped.tape.changer import Robot, open_changer
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.slots import drive_ordinal

BUSY_S: Final = 15.0


def open_drive(device: str, link: Link) -> TapeDrive:
    """Open the drive. A session before us that is just dying may hold it for a moment (DRIVE_BUSY)."""
    until = monotonic() + BUSY_S
    while True:
        try:
            return TapeDrive(open_tape_port(device))
        except CtaError as error:
            if error.spec is not DRIVE_BUSY or monotonic() > until:
                raise
        link.wait(0.2)


def probe(drive: TapeDrive, robot: Robot, library_slot: str) -> None:
    """Make sure that drive and library agree that the drive is empty. Raises CtaError DRIVE_NOT_EMPTY."""
    if drive.has_cartridge():
        raise CtaError(DRIVE_NOT_EMPTY, "the drive holds a cartridge that this session did not mount")
    element = robot.loaded(drive_ordinal(library_slot) or 0)
    if element is not None:
        raise CtaError(
            DRIVE_NOT_EMPTY, f"the library says that the drive holds {element.barcode or 'a cartridge'}"
        )


def serve(config: Config, link: Link) -> None:
    """One session: probe, schedule, at most one mount. What is not confirmed is left to the rescue."""
    share_interpreter()
    link.state("PROBING")
    # Closed behind the last word: a drive that hangs while it is closed must not hold back what happened.
    with ExitStack() as devices:
        try:
            outcome = _serve_mount(config, link, devices)
            link.state("ENDING")
            link.finished(outcome)
        except Exception as error:
            failure = as_cta_error(error, "session")
            log_error(get_logger(), failure)
            link.failed(failure, drive_down=failure.spec.drive is DriveEffect.DOWN)
            link.state("ENDING")
            link.finished("failure")


def _serve_mount(config: Config, link: Link, devices: ExitStack) -> Outcome:
    robot = open_changer(config.drive.changer, config.drive.library_slot, config.changer_lock)
    devices.callback(robot.close)
    drive = open_drive(config.drive.device, link)
    devices.callback(drive.close)
    probe(drive, robot, config.drive.library_slot)
    log_event(get_logger(), events.DRIVE_PROBED, outcome="empty")
    link.drive_empty()
    link.state("SCHEDULING")
    catalogue = open_catalogue(config.catalogue.url)
    scheduler = open_scheduler(config.scheduler.url, config.catalogue.url, config.site.scheduler_backend_name)
    ledger = Ledger(config.state_dir)
    mount = next_mount(config, catalogue, scheduler, ledger, link)
    if mount is None:
        return "nothing"
    station = Station(config, drive, robot, catalogue, scheduler, ledger, link)
    direction = RetrieveMount if mount.mount_type is MountType.RETRIEVE else ArchiveMount
    return direction(station, mount).run()


def main() -> int:
    """The program ``python -m cta_taped.session``; its exit status, which proves nothing to anybody."""
    parser = argparse.ArgumentParser(prog="cta-taped-session", description=__doc__)
    parser.add_argument("--channel-fd", type=int)
    parser.add_argument("--snapshot", type=Path)
    parser.add_argument("--rescue", action="store_true")
    parser.add_argument("--standalone", nargs=2, metavar=("SITE_FILE", "DRIVE"))
    parser.add_argument("--vid")
    options = parser.parse_args()
    faulthandler.enable()
    # The terminal's ^C and systemd's SIGTERM are for the supervisor, which ends us over the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        if options.standalone:
            config = load(Path(options.standalone[0]), options.standalone[1]).config
        else:
            config = config_snapshot.read(options.snapshot).config
        configure("cta-taped", config.log.level, config.log.format, journal=BackgroundJournal)
        bind(drive=config.drive.name)
        if options.standalone:
            return EX_OK if Rescue(config, options.vid, LoneLink()).climb() else 1
        channel = WorkerChannel(options.channel_fd, "rescue" if options.rescue else "session")
        link = ChannelLink(channel)
    except CtaError as error:
        sys.stderr.write(f"cta-taped-session: {error}\n")
        return error.spec.exit_status
    if options.rescue:
        Rescue(config, options.vid, link).climb()
        link.finished("success")
    else:
        serve(config, link)
    return EX_OK


if __name__ == "__main__":
    status = main()
    close_log()
    sys.stdout.flush()
    # Disk threads that hang in a dead file server must not keep the process: the cartridge is home.
    os._exit(status)
