# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for work: ask the scheduler for a mount until there is one, or the session is asked to end.

A database that is away is waited for without end: an idle drive loses nothing.
"""

from __future__ import annotations

import random

from cta_taped.common import events
from cta_taped.common.config_schema import Config
from cta_taped.common.errors import CATALOGUE_LOST, CATALOGUE_NOT_FOUND, CtaError
from cta_taped.common.log import get_logger, log_error
from cta_taped.common.model import Mount
from cta_taped.db.catalogue import Author, Catalogue
from cta_taped.db.ledger import Ledger, secure
from cta_taped.db.scheduler import MountCriteria, Scheduler
from cta_taped.session.link import Link
from cta_taped.session.patience import Patience


def next_mount(
    config: Config, catalogue: Catalogue, scheduler: Scheduler, ledger: Ledger, link: Link
) -> Mount | None:
    """The next mount, claimed for this drive; None when the session is asked to end first.

    A claim overwrites the drive's row, and with it the last hold on the tape before. So what the ledger still
    holds of that tape is recorded first, or the tape is disabled.
    """
    criteria = MountCriteria(config.mount.criteria_files, config.mount.criteria_bytes)
    patience = Patience(link)

    def ask() -> Mount | None:
        author = Author("cta-taped", config.host)
        try:
            for vid, error in secure(ledger, catalogue, config.drive.name, author):
                log_error(get_logger(), error, event=events.LEDGER_WAITING, vid=vid, files=ledger.count())
            return scheduler.mounts.next(config.identity, criteria, ledger.vids(), link.reserve)
        except CtaError as error:
            if error.spec is CATALOGUE_NOT_FOUND:
                # The maintenance worker has not registered the drive yet.
                raise CtaError(CATALOGUE_LOST, f"the drive is not registered yet: {error.detail}") from error
            raise

    while not link.stop.drain:
        try:
            mount = patience.patiently(ask, give_up=lambda: link.stop.drain)
        except CtaError:
            if link.stop.drain:
                return None
            raise
        if mount is not None:
            return mount
        # Jitter, so that the drives of a site do not ask in step.
        link.wait(config.mount.idle_poll_s * random.uniform(0.8, 1.2))  # noqa: S311
    return None
