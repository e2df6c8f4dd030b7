# SPDX-License-Identifier: GPL-3.0-or-later
"""Tape data encryption of the virtual drive: SECURITY PROTOCOL IN and OUT, protocol 20h (SSC-4 8.5).

The key itself is never kept, only its fingerprint: the simulator does not encipher, it marks which
objects were written with which key and refuses to read them without it. No key management, no nonces.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from pydantic import BaseModel, ConfigDict

from cta_taped.virtual.sense import (
    CANNOT_DECRYPT,
    INCORRECT_KEY,
    INVALID_CDB_FIELD,
    INVALID_LIST_FIELD,
    LIST_LENGTH,
    NOT_ENCRYPTED,
    CheckCondition,
    Sense,
)

PROTOCOL: Final = 0x20
_KEY_BYTES: Final = 32
_LIST: Final = struct.Struct(">HHBBBBBBB7xH")
_SET_PAGE: Final = 0x0010
_CAPABILITIES_PAGE: Final = 0x0010
_STATUS_PAGE: Final = 0x0020
_NEXT_BLOCK_PAGE: Final = 0x0021
DISABLED: Final = 0
ENCRYPT: Final = 2
DECRYPT: Final = 2
MIXED: Final = 3


class Encryption(BaseModel):
    """The drive's parameters; ``instance`` counts the changes of the key."""

    model_config = ConfigDict(extra="forbid")
    scope: int = 0
    encrypting: int = DISABLED
    decrypting: int = DISABLED
    fingerprint: str = ""
    instance: int = 0

    @property
    def write_fingerprint(self) -> str:
        """What a block written now is marked with; "" for in the clear."""
        return self.fingerprint if self.encrypting == ENCRYPT else ""

    def refusal(self, block_fingerprint: str) -> Sense | None:
        """Why a block marked like this cannot be read now; None when it can."""
        if block_fingerprint:
            if self.decrypting == DISABLED:
                return CANNOT_DECRYPT
            return None if block_fingerprint == self.fingerprint else INCORRECT_KEY
        return NOT_ENCRYPTED if self.decrypting == DECRYPT else None

    def receive(self, cdb: bytes, next_fingerprint: str | None) -> bytes:
        """Answer SECURITY PROTOCOL IN; ``next_fingerprint`` is the mark of the block ahead, None at none.

        Raises CheckCondition 5/24/00 for what the drive does not know.
        """
        protocol, specific = cdb[1], int.from_bytes(cdb[2:4], "big")
        if (protocol, specific) == (0x00, 0x0000):
            return bytes(6) + struct.pack(">H", 2) + bytes((0x00, PROTOCOL))
        if protocol != PROTOCOL:
            raise CheckCondition(INVALID_CDB_FIELD)
        if specific == 0x0000:
            return _sized(
                0x0000, struct.pack(">4H", 0x0000, _CAPABILITIES_PAGE, _STATUS_PAGE, _NEXT_BLOCK_PAGE)
            )
        if specific == 0x0001:
            return _sized(0x0001, struct.pack(">2H", 0x0000, _SET_PAGE))
        if specific == _CAPABILITIES_PAGE:
            algorithm = struct.pack(">BxHBBHHH8xI", 1, 0x14, 0x8A, 0xAC, 0x20, 0x0C, _KEY_BYTES, 0x00010014)
            return _sized(_CAPABILITIES_PAGE, bytes(16) + algorithm)
        if specific == _STATUS_PAGE:
            scopes = self.scope << 5 | self.scope
            on = self.encrypting or self.decrypting
            body = struct.pack(
                ">BBBBIBBH", scopes, self.encrypting, self.decrypting, 1 if on else 0, self.instance, 0, 0, 0
            )
            return _sized(_STATUS_PAGE, body + bytes(8))
        if specific == _NEXT_BLOCK_PAGE:
            kind = 0x1 if next_fingerprint is None else 0x5 if next_fingerprint else 0x3
            return _sized(_NEXT_BLOCK_PAGE, bytes(8) + bytes((kind, 1 if next_fingerprint else 0, 0, 0)))
        raise CheckCondition(INVALID_CDB_FIELD)

    def take(self, cdb: bytes, parameters: bytes) -> None:
        """Carry out SECURITY PROTOCOL OUT. Raises CheckCondition 5/24/00, 5/1A/00, 5/26/00."""
        if cdb[1] != PROTOCOL or int.from_bytes(cdb[2:4], "big") != _SET_PAGE:
            raise CheckCondition(INVALID_CDB_FIELD)
        if len(parameters) < _LIST.size:
            raise CheckCondition(LIST_LENGTH)
        page, length, scope, _, encrypting, decrypting, algorithm, key_format, _, key_length = (
            _LIST.unpack_from(parameters)
        )
        key = parameters[_LIST.size : _LIST.size + key_length]
        if length != len(parameters) - 4 or len(key) != key_length:
            raise CheckCondition(LIST_LENGTH)
        wants_key = encrypting == ENCRYPT or decrypting in (DECRYPT, MIXED)
        if (
            page != _SET_PAGE
            or scope >> 5 not in (0, 1, 2)
            or encrypting not in (DISABLED, ENCRYPT)
            or decrypting not in (DISABLED, DECRYPT, MIXED)
            or key_format
            or (wants_key and (algorithm != 1 or key_length != _KEY_BYTES))
        ):
            raise CheckCondition(INVALID_LIST_FIELD)
        self.scope = scope >> 5
        self.encrypting, self.decrypting = encrypting, decrypting
        self.fingerprint = hashlib.sha256(b"cta-vtl key" + key).hexdigest() if wants_key else ""
        self.instance += 1


def _sized(page: int, body: bytes) -> bytes:
    return struct.pack(">HH", page, len(body)) + body
