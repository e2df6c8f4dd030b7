# SPDX-License-Identifier: GPL-3.0-or-later
"""An endpoint that is away is asked a few times, then left alone for a while; the others are not touched."""

from __future__ import annotations

import pytest

from cta_taped.common.errors import (
    DISK_NAME,
    DISK_SOURCE_GONE,
    DISK_TIMEOUT,
    DISK_UNREACHABLE,
    CtaError,
    ErrorSpec,
)
from cta_taped.disk.breaker import FAILURES, PAUSE_S, Breaker, endpoint_of

AWAY = "root://away.example//file"
HERE = "root://here.example//file"


class Servers:
    """Stands for servers of which some do not answer: nothing real fails in time for a test."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.answers: dict[str, ErrorSpec | None] = {AWAY: DISK_TIMEOUT, HERE: None}
        self.opened: list[str] = []
        self.open = Breaker(lambda: self.now).guard(self._open)

    def _open(self, url: str, mode: str) -> str:
        self.opened.append(url)
        failure = self.answers[url]
        if failure is not None:
            raise CtaError(failure, url)
        return mode

    def ask(self, url: str = AWAY) -> ErrorSpec | None:
        try:
            assert self.open(url, mode="r") == "r"
        except CtaError as error:
            return error.spec
        return None


@pytest.mark.parametrize("failure", [DISK_TIMEOUT, DISK_UNREACHABLE])
def test_after_some_failures_nothing_is_opened(failure: ErrorSpec) -> None:
    servers = Servers()
    servers.answers[AWAY] = failure
    answers = [servers.ask() for _ in range(20)]
    assert answers == [failure] * FAILURES + [DISK_UNREACHABLE] * (20 - FAILURES)
    assert servers.opened == [AWAY] * FAILURES
    assert servers.ask(HERE) is None


def test_after_a_pause_one_file_decides() -> None:
    servers = Servers()
    for _ in range(FAILURES):
        servers.ask()
    servers.now += PAUSE_S
    servers.opened.clear()
    assert [servers.ask() for _ in range(3)] == [DISK_TIMEOUT, DISK_UNREACHABLE, DISK_UNREACHABLE]
    servers.now += PAUSE_S
    servers.answers[AWAY] = None
    assert [servers.ask() for _ in range(3)] == [None] * 3
    servers.answers[AWAY] = DISK_TIMEOUT
    assert [servers.ask() for _ in range(FAILURES)] == [DISK_TIMEOUT] * FAILURES


def test_any_answer_ends_the_row() -> None:
    servers = Servers()
    for _ in range(10):
        servers.answers[AWAY] = DISK_TIMEOUT
        assert [servers.ask() for _ in range(FAILURES - 1)] == [DISK_TIMEOUT] * (FAILURES - 1)
        servers.answers[AWAY] = DISK_SOURCE_GONE
        assert servers.ask() is DISK_SOURCE_GONE


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("root://user@eos.example:1094//eos/a b?x=root://y", "root://eos.example"),
        ("roots://EOS.example//eos/a", "roots://eos.example"),
        ("/proc/self/status", "file:b'/proc'"),
        ("file:///proc/self/status", "file:b'/proc'"),
        ("/procession", "file:b'/'"),
    ],
)
def test_endpoints(url: str, endpoint: str) -> None:
    assert endpoint_of(url) == endpoint


def test_a_name_without_endpoint_is_no_endpoint() -> None:
    with pytest.raises(CtaError) as caught:
        endpoint_of("gopher://x/y")
    assert caught.value.spec is DISK_NAME
