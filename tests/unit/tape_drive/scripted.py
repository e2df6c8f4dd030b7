# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that answers as it is told, for what no drive does at will: errors at chosen moments, exact bytes.

Not a drive: it keeps no tape. What a drive does is tested against the virtual library (tests/contract).
"""

from __future__ import annotations

import errno
import os
from collections import defaultdict

from cta_taped.common.scsi.port import MtStatus, Result

Answer = Result | OSError


def reply(data: str | bytes) -> Result:
    return Result(0, data=data if isinstance(data, bytes) else bytes.fromhex(data))


def check(key: int, asc: int, ascq: int, *, deferred: bool = False) -> Result:
    sense = bytes((0x71 if deferred else 0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0))
    return Result(2, sense=sense)


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


NO_SENSE = reply("70 00 00 00 00 00 00 0a" + "00" * 10)


def position(object_id: int, flags: int = 0) -> Result:
    return reply(bytes((flags, 0, 0, 0)) + object_id.to_bytes(4, "big") * 2 + bytes(8))


def inquiry(*, protection: bool = True, product: bytes = b"ULT3580-TD9") -> Result:
    head = bytes((1, 0x80, 6, 2, 91, int(protection), 0, 2))
    return reply(head + b"IBM     " + product.ljust(16) + b"R3G3" + bytes(60))


SERIAL = reply(bytes.fromhex("01 80 00 0a") + b"0123456789")


class ScriptedPort:
    """``answers[opcode]`` is used up in order, its last one for ever; likewise ``operations[mt_op]``.

    A command or operation without script succeeds with nothing. ``reads`` are blocks, b"" a filemark.
    """

    def __init__(self) -> None:
        self.answers: dict[int, list[Answer]] = defaultdict(lambda: [Result(0)])
        self.operations: dict[int, list[OSError | None]] = defaultdict(lambda: [None])
        self.reads: list[bytes | OSError] = []
        self.writes: list[OSError] = []
        self.status = MtStatus(gstat=0x41000000, dsreg=0x60000000, fileno=0, blkno=0)
        self.log: list[tuple[str, object]] = []
        self.written: list[bytes] = []
        self.answers[0x03] = [NO_SENSE]

    def _next(self, answers: list[Answer]) -> Answer:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def execute(
        self, cdb: bytes, data_out: bytes = b"", data_in_length: int = 0, timeout_s: float = 60.0
    ) -> Result:
        self.log.append(("scsi", (cdb.hex(), data_out.hex())))
        answer = self._next(self.answers[cdb[0]])
        if isinstance(answer, OSError):
            raise answer
        return answer

    def read(self, buffer: memoryview) -> int:
        block = self.reads.pop(0)
        if isinstance(block, OSError):
            raise block
        if len(block) > len(buffer):
            raise failure(errno.ENOMEM)
        buffer[: len(block)] = block
        return len(block)

    def write(self, block: memoryview | bytes) -> int:
        if self.writes:
            raise self.writes.pop(0)
        self.written.append(bytes(block))
        return len(block)

    def mt_op(self, op: int, count: int) -> None:
        self.log.append(("mt", (op, count)))
        answers = self.operations[op]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is not None:
            raise answer

    def mt_status(self) -> MtStatus:
        return self.status

    def reopen(self) -> None:
        self.log.append(("reopen", None))

    def close(self) -> None:
        self.log.append(("close", None))

    def mt_calls(self) -> list[tuple[int, int]]:
        return [what for kind, what in self.log if kind == "mt"]  # type: ignore[misc]

    def commands(self, opcode: int) -> list[tuple[str, str]]:
        prefix = f"{opcode:02x}"
        return [what for kind, what in self.log if kind == "scsi" and what[0].startswith(prefix)]  # type: ignore[misc, index]
