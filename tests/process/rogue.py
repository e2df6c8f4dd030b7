# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that misbehave, as real processes of a real supervisor.

Run as ``python -m rogue``; what to do is the next word of the file $ROGUE_SCRIPT (the last one is repeated).
Each start is noted in $ROGUE_SCRIPT.log as "role behaviour". A maintenance worker always behaves; its
catalogue is the file $ROGUE_SCRIPT.desired.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from pathlib import Path

from cta_taped.common.ipc import messages as m

SCRIPT = Path(os.environ["ROGUE_SCRIPT"])


def next_behaviour() -> str:
    lines = SCRIPT.read_text().split()
    if len(lines) > 1:
        SCRIPT.write_text("\n".join(lines[1:]))
    return lines[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel-fd", type=int)
    parser.add_argument("--role")
    options, _ = parser.parse_known_args()
    end = socket.socket(fileno=options.channel_fd)

    def say(fact: m.Fact) -> None:
        end.send(m.encode(fact))

    def listen() -> m.Command:
        packet = end.recv(m.PACKET_LIMIT_BYTES)
        if not packet:
            os._exit(0)
        return m.decode_command(packet)

    behaviour = "ok" if options.role == "maintenance" else next_behaviour()
    with Path(f"{SCRIPT}.log").open("a") as log:
        log.write(f"{options.role} {behaviour}\n")
    if behaviour == "mute":
        time.sleep(3600)
    version = 999 if behaviour == "version" else m.VERSION
    say(m.Hello(options.role, os.getpid(), version))
    if options.role == "maintenance":
        desired = Path(f"{SCRIPT}.desired")
        say(m.DesiredStateRead(desired.exists() and desired.read_text() == "up", False, None))
        while True:
            match listen():
                case m.Publish(report=report):
                    say(m.ReportPublished(report.sequence))
                case m.WriteDesired(revision=revision, up=up):
                    desired.write_text("up" if up else "down")
                    say(m.DesiredStateWritten(revision))
                case m.ReleaseMount(mount_id=mount_id):
                    say(m.MountReleased(mount_id))
                case m.DisableTape(vid=vid):
                    say(m.TapeDisabled(vid))
                case m.Stop():
                    return
                case _:
                    pass
    if options.role == "rescue":
        if behaviour == "rescue-fails":
            say(m.Quarantined("V00001", "stuck in the drive"))
            say(m.Failed("CTA-SYSTEM-009", "stuck", True))
        elif behaviour == "rescue-dies":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            say(m.DriveEmpty())
        say(m.Finished())
        return
    if behaviour == "garbage":
        end.send(b'{"kind": "Surprise"}')
        time.sleep(3600)
    say(m.StateChanged("PROBING"))
    if behaviour == "hang":
        time.sleep(3600)
    if behaviour == "frozen":
        os.kill(os.getpid(), signal.SIGSTOP)
    say(m.DriveEmpty())
    say(m.StateChanged("SCHEDULING"))
    if behaviour == "close":
        end.close()
        time.sleep(3600)
    if behaviour in ("exit0", "deaf"):
        say(m.MountReserved(77, "ARCHIVE_FOR_USER", "V00001", "pool", "vo"))  # type: ignore[arg-type]
        say(m.StateChanged("MOUNTING"))
    if behaviour == "exit0":
        say(m.Finished("success"))
        return
    if behaviour == "deaf":
        say(m.StateChanged("TRANSFERING"))
        for count in range(100000):
            say(m.Progressed(count, 0, 0))
            time.sleep(0.05)
    while not isinstance(listen(), m.Stop):
        pass
    say(m.StateChanged("ENDING"))
    say(m.Finished("nothing"))


if __name__ == "__main__":
    main()
    sys.exit(0)
