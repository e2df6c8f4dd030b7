# SPDX-License-Identifier: GPL-3.0-or-later
"""The two checksums of the daemon: Adler-32 of a file's bytes and CRC32C of a block.

What it is: the choice of library, made once. What it is not: the place where either is compared.
Why: the choice decides the speed of the whole transfer path. zlib-ng's Adler-32 runs at 25 to 97 GB/s and
releases the interpreter lock (for more than 5 KiB); zlib's runs at 4 GB/s and is only the fallback.

Both functions continue from an earlier value: ``adler32(b, adler32(a)) == adler32(a + b)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from crc32c import crc32c as _crc32c

if TYPE_CHECKING:
    from zlib import adler32
else:
    try:
        from zlib_ng.zlib_ng import adler32
    except ImportError:
        from zlib import adler32

__all__ = ["ADLER32_OF_NOTHING", "adler32", "crc32c"]

ADLER32_OF_NOTHING: Final = 1
"""Start value of Adler-32 (RFC 1950, 8.2): the checksum of no bytes at all."""


def crc32c(data: bytes | memoryview, value: int = 0) -> int:
    """CRC-32C (Castagnoli, RFC 3720 B.4) of ``data`` after a part of checksum ``value``; 0 to 2**32 - 1."""
    return int(_crc32c(data, value))
