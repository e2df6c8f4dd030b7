# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin request``: requests by their number, as ``archive`` and ``retrieve`` printed it.

What it is: look, wait, withdraw. What it is not: a list of all requests (``showqueues`` counts them).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import click

from cta_taped.admin import waiting
from cta_taped.admin.output import Problems
from cta_taped.admin.site import Site, json_option, pass_site, settled
from cta_taped.admin.waiting import Queued
from cta_taped.common.errors import CONFIG_USAGE, CtaError
from cta_taped.db.scheduler import Direction, RequestId

_NUMBER: Final = re.compile(r"(archive|retrieve)-([0-9]{1,18})")


class RequestParameter(click.ParamType[RequestId]):
    """A request's number, ``archive-N`` or ``retrieve-N``."""

    name = "request"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RequestId:
        """The text of a number as a ``RequestId``."""
        found = _NUMBER.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no request; expected archive-N or retrieve-N", param, ctx)
        return RequestId(Direction(found[1]), int(found[2]))


def _requests_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("requests", metavar="REQUEST...", type=RequestParameter(), nargs=-1, required=True)(
        function
    )


@click.group()
def request() -> None:
    """Look at, wait for and cancel requests; REQUEST is archive-N or retrieve-N."""


@request.command()
@_requests_argument
@json_option
@pass_site
def show(site: Site, requests: tuple[RequestId, ...]) -> None:
    """Show where requests stand."""
    problems = Problems()
    waiting.show(_asked(site, requests, problems), site.as_json)
    problems.end()


@request.command()
@_requests_argument
@json_option
@pass_site
def wait(site: Site, requests: tuple[RequestId, ...]) -> None:
    """Wait until requests are done, failed or cancelled."""
    problems = Problems()
    waiting.finish(site, _asked(site, requests, problems), True, problems)


@request.command()
@_requests_argument
@pass_site
def cancel(site: Site, requests: tuple[RequestId, ...]) -> None:
    """Withdraw requests that no drive has taken yet."""
    problems = Problems()
    for number in requests:
        try:
            if not settled(site.scheduler.requests.cancel, number):
                raise CtaError(CONFIG_USAGE, f"{number}: nothing was left to withdraw")
        except CtaError as error:
            problems.add(error)
            continue
        click.echo(f"Request {number}: cancelled.")
    problems.end()


def _asked(site: Site, requests: tuple[RequestId, ...], problems: Problems) -> list[Queued]:
    asked = []
    for number in requests:
        queued = Queued(number, "", None)
        try:
            waiting.ask(site.scheduler.requests, queued)
        except CtaError as error:
            problems.add(error)
            continue
        asked.append(queued)
    return asked
