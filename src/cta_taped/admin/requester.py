# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for files: the options of ``archive`` and ``retrieve``, and their defaults.

What it is: names for the mount rules, by default those of the calling user. What it is not: an
authorisation; who may open the databases may ask in any name.
"""

from __future__ import annotations

import grp
import os
import pwd

import click

from cta_taped.db.scheduler import Requester

requester_option = click.option("--requester", help="User in whose name it is asked. [default: the caller]")
group_option = click.option("--group", help="Group in whose name it is asked. [default: the caller's]")


def requester_of(name: str | None, group: str | None, uid: int, gid: int) -> Requester:
    """The requester, with owner ``uid`` and ``gid`` for the catalogue."""
    return Requester(name or _user_name(os.getuid()), group or _group_name(os.getgid()), uid, gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
