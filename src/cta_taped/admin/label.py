# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin tape label``: mount cartridges in a drive that is down, label them, and bring them home.

What it is: an operator's use of library and drive without the daemon, which must have the drive down and
empty. What it is not: a way around the protection of data: a cartridge with files in the catalogue is
refused before it is mounted, one that carries another label after. Whatever happens, the cartridge is
unloaded and dismounted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import click

from cta_taped.admin.completion import local_drive_names, object_names
from cta_taped.admin.daemon import Daemon
from cta_taped.admin.output import Problems, complain, note
from cta_taped.admin.site import Site, pass_site, settled
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import (
    CONFIG_USAGE,
    DRIVE_BUSY,
    DRIVE_NOT_EMPTY,
    SYSTEM_NO_DAEMON,
    CtaError,
    Subject,
)
from cta_taped.common.model import WriterIdentity
from cta_taped.common.scsi.port import open_tape_port
from cta_taped.db.catalogue import ObjectKind
from cta_taped.tape import labels
from cta_taped.tape.changer import ManualChanger, Robot, open_changer
from cta_taped.tape.drive import TapeDrive
from cta_taped.tape.slots import drive_ordinal
from cta_taped.tape.volume import label_volume

_STOPPING: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


@click.command()
@click.option(
    "-v",
    "--vid",
    "vids",
    multiple=True,
    required=True,
    shell_complete=object_names(ObjectKind.TAPE, "vid"),
    help="Volume identifier; may be repeated.",
)
@click.option(
    "-d", "--drive", "drive_name", required=True, shell_complete=local_drive_names, help="Drive of this host."
)
@click.option("--old-label", "--oldlabel", "-o", "old_label", help="The label that the cartridge has now.")
@click.option("-f", "--force", is_flag=True, help="Label whatever is on the cartridge. Its content is lost.")
@click.option(
    "--lbp/--no-lbp",
    "protection",
    default=None,
    help="Logical block protection. [default: as the drive's configuration says]",
)
@click.option(
    "--load-timeout",
    "--loadtimeout",
    "load_timeout_s",
    type=click.IntRange(min=1),
    default=7200,
    show_default=True,
    help="Seconds for a cartridge to become ready; a new LTO-9 may need two hours.",
)
@pass_site
def label(
    site: Site,
    vids: tuple[str, ...],
    drive_name: str,
    old_label: str | None,
    force: bool,
    protection: bool | None,
    load_timeout_s: int,
) -> None:
    """Label cartridges in CTA's format. The drive must be down."""
    if old_label is not None and len(vids) > 1:
        raise CtaError(CONFIG_USAGE, "--old-label goes with one --vid")
    daemon = Daemon(site, drive_name)
    config = daemon.config
    _demand_free(daemon)
    problems = Problems()
    with ExitStack() as stack:
        _end_in_order(stack)
        bench = Bench(config, stack)
        wanted = config.transfer.block_protection if protection is None else protection
        for vid in vids:
            try:
                labels.checked_vid(vid)
                site.catalogue.tapes.check_label_allowed(vid)
                with bench.mounted(vid, load_timeout_s) as drive:
                    label_volume(
                        drive,
                        vid,
                        protection=wanted,
                        identity=bench.identity(),
                        old_label=old_label,
                        force=force,
                    )
                    settled(site.catalogue.tapes.labelled, vid, drive_name)
            except CtaError as error:
                problems.add(error)
                if error.spec.subject in (Subject.DRIVE, Subject.LIBRARY, Subject.SYSTEM):
                    break
                continue
            click.echo(f"tape {vid}: labelled{' with block protection' if wanted else ''}.")
    problems.end()


class Bench:
    """A drive and its library, held by this command until ``stack`` ends."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        self._config = config
        self._ordinal = drive_ordinal(config.drive.library_slot) or 0
        self._changer: Robot = open_changer(
            config.drive.changer, config.drive.library_slot, config.changer_lock
        )
        stack.callback(self._changer.close)
        self._drive = TapeDrive(open_tape_port(config.drive.device))
        stack.callback(self._drive.close)
        if self._drive.has_cartridge() or self._changer.loaded(self._ordinal) is not None:
            raise CtaError(DRIVE_NOT_EMPTY, f"{config.drive.name} holds a cartridge; nothing was done")

    def identity(self) -> WriterIdentity:
        """The writer as labels name it."""
        inquiry, section = self._drive.identity(), self._config.labels
        return WriterIdentity(
            site=section.site or labels.site_name(),
            host=section.host or labels.short_host(self._config.host),
            drive_vendor=inquiry.vendor,
            drive_model=inquiry.product,
            drive_serial=inquiry.serial,
            system_version=section.system_version,
        )

    @contextmanager
    def mounted(self, vid: str, load_timeout_s: float) -> Iterator[TapeDrive]:
        """The drive with this cartridge loaded, which goes home at the end, whatever ends the block."""
        try:
            if isinstance(self._changer, ManualChanger):
                note(f"put {vid} into {self._config.drive.name}")
            self._changer.mount(vid, self._ordinal)
            self._drive.wait_ready(load_timeout_s)
            if self._drive.encryption_supported():
                # A key that a session left behind would make a label that nobody else can read.
                self._drive.clear_encryption()
            yield self._drive
        except BaseException:
            # The first failure is the one to act on; that of the way home must be known as well.
            try:
                self._bring_home(vid)
            except CtaError as error:
                complain(error)
            raise
        self._bring_home(vid)

    def _bring_home(self, vid: str) -> None:
        """Unload and dismount; an interrupt waits until that is done."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            if self._drive.has_cartridge():
                self._drive.unload()
            self._changer.dismount(self._ordinal, vid)
            if isinstance(self._changer, ManualChanger):
                note(f"take {vid} out of {self._config.drive.name}")
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _demand_free(daemon: Daemon) -> None:
    """Raises DRIVE_BUSY unless the drive is down and empty, or no daemon runs that could use it."""
    try:
        state = daemon.state()
    except CtaError as error:
        # One that is silent may well have a session in the drive.
        if error.spec is SYSTEM_NO_DAEMON:
            return
        raise
    if not state.settled_down:
        raise CtaError(
            DRIVE_BUSY,
            f"{daemon.name} is {state.phase}{', a cartridge may be in it' if state.occupied else ''}; "
            f"first: cta-admin drive down {daemon.name} --reason label --wait",
        )


def _end_in_order(stack: ExitStack) -> None:
    """Let a termination signal end the command as an interrupt does: with the cartridge at home."""
    for number in _STOPPING - {signal.SIGINT}:
        stack.callback(signal.signal, number, signal.signal(number, signal.default_int_handler))
