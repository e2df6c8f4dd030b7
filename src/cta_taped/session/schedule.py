# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking for work: ask the scheduler for a mount until there is one, or the session is asked to end.

A database that is away is waited for without end: an idle drive loses nothing.
"""

from __future__ import annotations

import random

from cta_taped.common.config_schema import Config
from cta_taped.common.errors import CATALOGUE_LOST, CATALOGUE_NOT_FOUND, CtaError
from cta_taped.common.model import Mount
from cta_taped.db.ledger import Ledger
from cta_taped.db.scheduler import MountCriteria, Scheduler
from cta_taped.session.link import Link
from cta_taped.session.patience import Patience


def next_mount(config: Config, scheduler: Scheduler, ledger: Ledger, link: Link) -> Mount | None:
    """The next mount, claimed for this drive; None when the session is asked to end first."""
    criteria = MountCriteria(config.mount.criteria_files, config.mount.criteria_bytes)
    patience = Patience(link)

    def ask() -> Mount | None:
        try:
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
