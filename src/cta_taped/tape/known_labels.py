# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels that need no parsing, because they repeat a verified one in everything but their numbers.

What it is: a comparison. What it is not: a second rule of what a label must be; a label that does not match
is judged by the tables of ``labels``, field by field, and only what passed there is learnt.
Why: the labels of one mount's files differ in file id, fSeq and block count alone, and parsing six of them
takes longer than reading a small file.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Number(NamedTuple):
    """A field that differs from file to file, and how it is written."""

    offset: int
    length: int
    form: bytes


FILE_ID: Final = Number(4, 17, b"%-17X")
FSEQ_MODULO: Final = Number(31, 4, b"%04d")
BLOCK_COUNT: Final = Number(54, 6, b"%06d")
FSEQ: Final = Number(4, 10, b"%010d")


class KnownLabel:
    """The last verified label of one kind; ``numbers`` are its fields that vary, in the order of offsets."""

    __slots__ = ("_form", "_numbers")

    def __init__(self, *numbers: Number) -> None:
        self._numbers = numbers
        self._form = b"".join(number.form for number in numbers)

    def learn(self, label: bytes) -> None:
        """Take over a label that was verified."""
        parts, end = [], 0
        for number in self._numbers:
            parts += [label[end : number.offset].replace(b"%", b"%%"), number.form]
            end = number.offset + number.length
        self._form = b"".join([*parts, label[end:].replace(b"%", b"%%")])

    def matches(self, label: bytes, *numbers: int) -> bool:
        """Whether ``label`` is the one learnt with these numbers; False before the first was learnt."""
        return label == self._form % numbers
