# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits: the C programs, compiled by the benchmark, and the tools of every Unix beside them."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("reference.c")
_LIBRARIES = ("-ldeflate", "-lisal", "-lpthread")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run: wall clock and CPU in seconds (all threads), payload in bytes."""

    seconds: float
    size_bytes: int
    files: int
    cpu_s: float

    @property
    def rate(self) -> float:
        """Payload in bytes/s."""
        return self.size_bytes / self.seconds


class Reference:
    """The compiled C program; ``directory`` takes the binary and the lists."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = directory / "reference"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit("the benchmark needs a C compiler (gcc), libdeflate-dev and libisal-dev")
        command = [compiler, "-O3", "-march=native", "-o", str(self._program), str(_SOURCE), *_LIBRARIES]
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode != 0:
            raise SystemExit(
                f"the C reference cannot be built (libdeflate-dev, libisal-dev?):\n{built.stderr}"
            )

    def run(self, what: str, *arguments: object, **environment: object) -> Measurement:
        """Run one subcommand; its best pass."""
        variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
        done = subprocess.run(
            [str(self._program), what, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
            env=variables,
        )
        seconds, size_bytes, files, cpu_s = done.stdout.split()
        return Measurement(float(seconds), int(size_bytes), int(files), float(cpu_s))


def tool(command: list[str], size_bytes: int, files: int) -> Measurement | None:
    """Time one program of the system; None if it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measurement(seconds, size_bytes, files, cpu_s)
