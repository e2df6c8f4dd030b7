# SPDX-License-Identifier: GPL-3.0-or-later
"""The maintenance worker: long-lived, one a drive, started by the supervisor. Not for use by hand."""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

from cta_taped.common import config_snapshot
from cta_taped.common.errors import EX_OK, CtaError
from cta_taped.common.ipc import messages as m
from cta_taped.common.ipc.channel import WorkerChannel
from cta_taped.common.log import bind, configure
from cta_taped.maintenance.runner import Runner


def main() -> int:
    """The program ``python -m cta_taped.maintenance``; its exit status."""
    parser = argparse.ArgumentParser(prog="cta-taped-maintenance", description=__doc__)
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--snapshot", type=Path, required=True)
    options = parser.parse_args()
    faulthandler.enable()
    # The terminal's ^C and systemd's SIGTERM are for the supervisor, which ends us over the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        channel = WorkerChannel(options.channel_fd, "maintenance")
        commands: SimpleQueue[m.Command] = SimpleQueue()
        channel.listen(commands.put)
        again = True
        while again:
            loaded = config_snapshot.read(options.snapshot)
            configure("cta-taped", loaded.config.log.level, loaded.config.log.format)
            bind(drive=loaded.config.drive.name)
            again = Runner(loaded, commands, channel.say).run()
    except CtaError as error:
        sys.stderr.write(f"cta-taped-maintenance: {error}\n")
        return error.spec.exit_status
    return EX_OK


if __name__ == "__main__":
    sys.exit(main())
