# SPDX-License-Identifier: GPL-3.0-or-later
"""The number of a named lock, as upstream computes it for PostgreSQL's advisory locks.

What it is: libstdc++'s ``std::hash`` of a byte string (MurmurHash64A, scheduler reference section 3), folded
to 32 bits. What it is not: a lock. Why exactly this: two programs exclude each other only when they agree on
the number.
"""

from __future__ import annotations

from typing import Final

_MULTIPLIER: Final = 0xC6A4A7935BD1E995
_SEED: Final = 0xC70F6907
_SHIFT: Final = 47
_MASK: Final = 0xFFFFFFFFFFFFFFFF


def lock_number(name: str) -> int:
    """The key of ``pg_advisory_xact_lock`` for ``name``: 0 to 2**32 - 1."""
    data = name.encode()
    h = _SEED ^ (len(data) * _MULTIPLIER & _MASK)
    whole = len(data) & ~7
    for at in range(0, whole, 8):
        k = int.from_bytes(data[at : at + 8], "little") * _MULTIPLIER & _MASK
        k = (k ^ (k >> _SHIFT)) * _MULTIPLIER & _MASK
        h = (h ^ k) * _MULTIPLIER & _MASK
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _MASK
    h = (h ^ (h >> _SHIFT)) * _MULTIPLIER & _MASK
    h ^= h >> _SHIFT
    return (h ^ (h >> 32)) & 0xFFFFFFFF
