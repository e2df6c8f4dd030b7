# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole daemon: real files to a virtual tape library and back."""

from __future__ import annotations

from bench import Site, daemons, wait_for


def test_files_go_to_two_tapes_and_come_back(site: Site) -> None:
    paths = site.make_files(20, 300_000)
    with daemons(site, "D0", "D1") as (first, second):
        requests = site.archive(paths, "double")
        site.wait_done(requests)
        back = site.root / "back"
        retrieves = site.retrieve(requests, back)
        site.wait_done(retrieves)
        wait_for(lambda: not site.occupied_drives())
        assert first.stop() == 0 and second.stop() == 0
    for path in paths:
        assert (back / path.name).read_bytes() == path.read_bytes()
    assert site.occupied_drives() == []
