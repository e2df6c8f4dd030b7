# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a database that is away: back-off with jitter, signs of life, and an end when one is set.

An outage is not a failure (promise 3 of the design): what meets it waits here, tells the supervisor
since when and for what, and goes on. Every database call of a session that may meet an outage runs
through ``patiently``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from cta_taped.common import events
from cta_taped.common.errors import (
    CATALOGUE_CONFLICT,
    OUTAGES,
    SCHEDULER_CONFLICT,
    CtaError,
    Subject,
)
from cta_taped.common.log import get_logger, log_error, log_event
from cta_taped.session.link import Link

_T = TypeVar("_T")

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
_RESOURCES: Final = {Subject.CATALOGUE: "the catalogue", Subject.SCHEDULER: "the scheduler database"}
_CONFLICTS: Final = (CATALOGUE_CONFLICT, SCHEDULER_CONFLICT)
_CONFLICT_WAIT_S: Final = 0.05
_MOST_CONFLICTS: Final = 20


class Patience:
    """Repeats what meets an outage, for one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._log = get_logger()

    def patiently(
        self,
        operation: Callable[[], _T],
        for_s: float = float("inf"),
        give_up: Callable[[], bool] = lambda: False,
    ) -> _T:
        """The result of ``operation``, repeated through an outage of at most ``for_s`` seconds.

        ``give_up`` is asked before each wait. Raises the outage's CtaError when the time is over or given up,
        and any other failure at once.
        """
        begun = monotonic()
        wait_s = FIRST_WAIT_S
        subject = None
        while True:
            try:
                result = operation()
            except CtaError as error:
                if error.spec not in OUTAGES or monotonic() - begun >= for_s or give_up():
                    raise
                if error.spec in _CONFLICTS:
                    self._link.wait(_CONFLICT_WAIT_S * random.uniform(0.5, 1.5))  # noqa: S311
                    continue
                if subject is None:
                    subject = _RESOURCES[error.spec.subject]
                    log_error(self._log, error, event=events.OUTAGE_BEGUN, resource=subject)
                self._link.outage(subject, f"{subject}: {error.detail}")
                left_s = for_s - (monotonic() - begun)
                self._link.wait(min(wait_s * random.uniform(0.5, 1.0), max(left_s, 0.1)))  # noqa: S311
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                continue
            if subject is not None:
                self._link.outage_over(subject)
                duration_s = round(monotonic() - begun, 1)
                log_event(self._log, events.OUTAGE_ENDED, resource=subject, duration_s=duration_s)
            return result


def through_conflicts(operation: Callable[[], _T]) -> _T:
    """The result of ``operation``, repeated when its transaction met another one.

    For the thread that claims ahead: it says no signs of life, so it may wait for moments, not for an outage.
    Raises any other CtaError at once, and the conflict when it never ends.
    """
    for _ in range(_MOST_CONFLICTS):
        try:
            return operation()
        except CtaError as error:
            if error.spec not in _CONFLICTS:
                raise
        time.sleep(_CONFLICT_WAIT_S * random.uniform(0.5, 1.5))  # noqa: S311
    return operation()
