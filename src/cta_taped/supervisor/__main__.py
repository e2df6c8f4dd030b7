# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-taped DRIVE``: serve one tape drive, or check or print its configuration."""

from __future__ import annotations

import argparse
import faulthandler
import sys
from pathlib import Path

from cta_taped import __version__
from cta_taped.common.config import DEFAULT_SITE_FILE, Loaded, load
from cta_taped.common.errors import EX_USAGE, CtaError
from cta_taped.common.journal import BackgroundJournal
from cta_taped.common.log import bind, configure
from cta_taped.supervisor.loop import Supervisor


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EX_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: list[str] | None = None) -> int:
    """The console command ``cta-taped``; its exit status."""
    parser = _Parser(prog="cta-taped", description=__doc__)
    parser.add_argument("drive", metavar="DRIVE", help="name of the drive, as in drives/DRIVE.toml")
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_SITE_FILE,
        metavar="FILE",
        help="site file (default: %(default)s)",
    )
    parser.add_argument("--check-config", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--print-config", action="store_true", help="print each value with its source and exit"
    )
    parser.add_argument("--version", action="version", version=f"cta-taped {__version__}")
    options = parser.parse_args(arguments)
    try:
        loaded = load(options.config.absolute(), options.drive)
        if options.print_config:
            _print_config(loaded)
            return 0
        if options.check_config:
            sys.stdout.write(f"{options.config}: configuration of drive {options.drive} is good\n")
            return 0
        faulthandler.enable()
        configure("cta-taped", loaded.config.log.level, loaded.config.log.format, journal=BackgroundJournal)
        bind(drive=options.drive)
        return Supervisor(loaded).run()
    except CtaError as error:
        sys.stderr.write(f"cta-taped: {error}\n")
        return error.spec.exit_status


def _print_config(loaded: Loaded) -> None:
    values = list(loaded.values())
    width = max(len(value.key) for value in values)
    for value in values:
        sys.stdout.write(f"{value.key:{width}} = {value.value or '-'}  ({value.source})\n")


if __name__ == "__main__":
    sys.exit(main())
