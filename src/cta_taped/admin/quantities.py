# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people give them on a command line: ``18TB``, ``500 GB``, ``1GiB``, ``4096``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import click

_POWERS: Final = "kMGTPE"
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(?:([kKMGTPE])(i)?)?B?")


class Size(click.ParamType[int]):
    """A size in bytes; k, M, G ... are decimal as tapes are sold, Ki, Mi, Gi ... binary."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The text as a number of bytes."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no size; expected a number of bytes, or as 18TB or 4GiB", param, ctx)
        number, prefix, binary = found.groups()
        power = _POWERS.index(prefix.replace("K", "k")) + 1 if prefix else 0
        size = Decimal(number) * (1024 if binary else 1000) ** power
        if size != size.to_integral_value():
            self.fail(f"{value!r} is no whole number of bytes", param, ctx)
        return int(size)
