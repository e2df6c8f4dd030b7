# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: everything an operator does by hand, done once with the real programs.

Builds a site without hardware (a virtual library, SQLite databases, two drives), starts both daemons,
archives a folder in two copies on two tapes, retrieves it, compares every byte, prints where everything lies,
and tells how to go on. It uses nothing but the commands that operators have: cta-vtl, cta-admin, cta-taped.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cta_taped.common.errors import EX_USAGE

BIN = Path(sys.executable).parent
DRIVES = ("VDRIVE0", "VDRIVE1")
TAPES = [f"V{number:05d}" for number in range(1, 11)]
SITE_FILE = """\
[site]
instance_name = "demo"
state_dir = "{root}/state"
runtime_dir = "{runtime}"

[catalogue]
url = "sqlite:///{root}/cta.db"

[scheduler]
url = "sqlite:///{root}/cta.db"

[labels]
site = "DEMO"

[mount]
idle_poll_s = 1

[maintenance]
routine_interval_s = 1
desired_poll_s = 1
"""
DRIVE_FILE = """\
[drive]
name = "{name}"
device = "vtl:{root}/library?drive={ordinal}"
changer = "vtl:{root}/library"
library_slot = "smc{ordinal}"
logical_library = "VIRTUAL"
"""
OBJECTS = """\
diskinstance add --name demo --comment demo
virtualorganization add --vo demo --readmaxdrives 2 --writemaxdrives 2 --maxfilesize 0 \
 --diskinstance demo --comment demo
mediatype add --name LTO9 --capacity 18000000000000 --cartridge LTO-9 --comment demo
logicallibrary add --name VIRTUAL --comment demo
tapepool add --name first --vo demo --partialtapesnumber 1 --comment demo
tapepool add --name second --vo demo --partialtapesnumber 1 --comment demo
storageclass add --name two_copies --numberofcopies 2 --vo demo --comment demo
archiveroute add --storageclass two_copies --copynb 1 --tapepool first --comment demo
archiveroute add --storageclass two_copies --copynb 2 --tapepool second --comment demo
mountpolicy add --name default --archivepriority 1 --minarchiverequestage 2 --retrievepriority 1 \
 --minretrieverequestage 2 --comment demo
requestermountrule add --instance demo --name default --mountpolicy default --comment demo
"""


class Demonstration:
    """One run in one directory."""

    def __init__(self, root: Path, console: Console) -> None:
        self.root = root
        self.runtime = Path(tempfile.mkdtemp(prefix="cta-taped-demo-"))
        self.console = console
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
            "CTA_TAPED_CONFIG": str(root / "cta-taped.toml"),
        }

    def run(self, *command: str | Path, quiet: bool = False, accept: tuple[int, ...] = (0,)) -> str:
        """Run one command of ours; its output. Ends the demonstration when it fails."""
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE if quiet else None,
            check=False,
        )
        if done.returncode not in accept:
            line = " ".join(str(word) for word in command)
            raise SystemExit(f"demo: {line}: exit status {done.returncode}")
        return done.stdout or ""

    def admin(self, *words: str | Path) -> str:
        """``cta-admin`` without showing its output."""
        return self.run("cta-admin", *words, quiet=True)

    def listing(self, *words: str) -> list[dict[str, Any]]:
        """A listing of ``cta-admin --json``."""
        return list(json.loads(self.admin("--json", *words)))

    def build(self) -> None:
        """A library, databases, configuration, and the objects of the catalogue; every tape labelled."""
        self.console.rule("A tape library with two drives and ten cartridges, in a directory")
        root = self.root
        shutil.rmtree(root, ignore_errors=True)
        (root / "drives").mkdir(parents=True)
        (root / "cta-taped.toml").write_text(SITE_FILE.format(root=root, runtime=self.runtime))
        for ordinal, name in enumerate(DRIVES):
            text = DRIVE_FILE.format(root=root, name=name, ordinal=ordinal)
            (root / "drives" / f"{name}.toml").write_text(text)
        cartridges = f"{TAPES[0]}..{TAPES[-1]}"
        self.run(
            "cta-vtl", "create", root / "library", "--drives", "2", "--slots", "12",
            "--cartridges", cartridges, "--media", "LTO-9", quiet=True,
        )  # fmt: skip
        self.admin("db", "create")
        for line in OBJECTS.splitlines():
            self.admin(*line.split())
        for number, vid in enumerate(TAPES):
            pool = ("first", "second")[number % 2]
            self.admin(
                "tape", "add", "--vid", vid, "--mediatype", "LTO9", "--vendor", "VIRTUAL", "--logicallibrary",
                "VIRTUAL", "--tapepool", pool, "--full", "false", "--comment", "demo",
            )  # fmt: skip
        labels = [word for vid in TAPES for word in ("--vid", vid)]
        self.admin("tape", "label", *labels, "--drive", DRIVES[0])
        self.run("cta-vtl", "show", root / "library")

    @contextlib.contextmanager
    def daemons(self) -> Iterator[None]:
        """Both daemons, up; stopped in order at the end."""
        self.console.rule("Two daemons")
        processes = []
        try:
            for name in DRIVES:
                log = (self.root / f"{name}.log").open("w")
                processes.append(
                    subprocess.Popen(
                        ["cta-taped", name, "--config", self.root / "cta-taped.toml"],
                        env=self.environment,
                        stderr=log,
                    )
                )
                log.close()
            self.wait_for_sockets()
            self.admin("drive", "up", "VDRIVE.*", "--wait")
            self.run("cta-admin", "drive", "ls")
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(timeout=120)

    def wait_for_sockets(self) -> None:
        """Until both control sockets are there."""
        until = time.monotonic() + 30
        while not all((self.runtime / f"{name}.socket").exists() for name in DRIVES):
            if time.monotonic() > until:
                raise SystemExit(f"demo: the daemons did not start; see {self.root}/*.log")
            time.sleep(0.1)

    def show(self, source: Path, back: Path) -> bool:
        """Compare every byte, and print the table. Whether all is well."""
        different = []
        count = size = 0
        for path in sorted(source.rglob("*")):
            if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
                continue
            restored = back / path.relative_to("/")
            count += 1
            size += path.stat().st_size
            if not (restored.is_file() and filecmp.cmp(path, restored, shallow=False)):
                different.append(path)
        mounts = self.sessions()
        table = Table(title="What happened")
        for title, justify in (
            ("mount", "left"), ("drive", "left"), ("tape", "left"), ("files", "right"), ("MB", "right"),
            ("MB/s while moving", "right"), ("seconds", "right"),
        ):  # fmt: skip
            table.add_column(title, justify=justify)  # type: ignore[arg-type]
        for mount in mounts:
            moving = float(mount["transferTime"]) or 1.0
            megabytes = int(mount["dataVolume"]) / 1e6
            table.add_row(
                mount["mountType"], mount["tapeDrive"], mount["tapeVid"], mount["filesCount"],
                f"{megabytes:.1f}", f"{megabytes / moving:.0f}", f"{float(mount['totalTime']):.2f}",
            )  # fmt: skip
        self.console.print(table)
        where = Table(title="Where each copy lies")
        for title in ("tape", "pool", "files", "MB"):
            where.add_column(title, justify="right" if title in ("files", "MB") else "left")
        for tape in self.listing("tape", "ls", "--all"):
            if int(tape["lastFseq"]):
                where.add_row(
                    tape["vid"], tape["tapepool"], str(tape["nbMasterFiles"]),
                    f"{int(tape['masterDataInBytes']) / 1e6:.1f}",
                )  # fmt: skip
        self.console.print(where)
        if different:
            self.console.print(f"[red]{len(different)} of {count} files differ:[/] {different[:5]}")
        else:
            total = f"{count} files, {size / 1e6:.1f} MB"
            self.console.print(f"[green]{total}: archived twice, retrieved once, every byte the same.[/]")
        return not different

    def sessions(self) -> list[dict[str, str]]:
        """The session lines of both daemons' logs, in order of time."""
        lines = []
        for name in DRIVES:
            for line in (self.root / f"{name}.log").read_text().splitlines():
                if '"tape_session_finished"' in line:
                    lines.append(json.loads(line))
        return sorted(lines, key=lambda line: float(line["epoch_time"]))

    def tell_how_to_go_on(self) -> None:
        """The next commands to try."""
        root = self.root
        self.console.rule("Go on by hand")
        self.console.print(
            f"export PATH={BIN}:$PATH CTA_TAPED_CONFIG={root}/cta-taped.toml\n"
            f"cta-taped VDRIVE0 --config {root}/cta-taped.toml &      # start a drive's daemon\n"
            "cta-admin drive up VDRIVE0 --wait                # set it up; it keeps its state over restarts\n"
            "cta-admin archive /etc/services --storage-class two_copies --wait\n"
            "cta-admin drive ls; cta-admin tape ls --all; cta-admin showqueues\n"
            f"cta-vtl show {root}/library                       # what is where in the library\n"
            "cta-vtl fault --help                             # break something, and watch the rescue\n"
            f"cta-admin tape scan --image {root}/library/cartridges/V00001.tap   # without a catalogue\n"
            'cta-admin drive down VDRIVE0 --reason "lunch"    # finish the file, bring the tape home',
            highlight=False,
            soft_wrap=True,
        )


def default_folder() -> Path:
    """Real files that every machine has."""
    return Path("/usr/share/doc")


def main() -> int:
    """Run the demonstration; 0 when every byte came back."""
    parser = argparse.ArgumentParser(prog="etc/demo/run", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder(), help="what to archive")
    parser.add_argument(
        "--dir", type=Path, default=Path("build/demo"), help="where to build the site (default: %(default)s)"
    )
    options = parser.parse_args()
    source = options.folder.absolute()
    if not source.is_dir():
        parser.error(f"{source}: not a folder")
    root = options.dir.absolute()
    demonstration = Demonstration(root, Console())
    back = root / "retrieved"
    try:
        demonstration.build()
        with demonstration.daemons():
            words = ("--storage-class", "two_copies", "--instance", "demo", "--wait")
            demonstration.console.rule(f"Archive {source} in two copies")
            # A real folder holds empty files: they are named, left out, and tell in the exit status.
            demonstration.run("cta-admin", "archive", source, *words, accept=(0, EX_USAGE))
            back.mkdir()
            demonstration.console.rule(f"Retrieve it to {back}")
            demonstration.run("cta-admin", "retrieve", source, "--instance", "demo", "--to", back, "--wait")
        good = demonstration.show(source, back)
        demonstration.tell_how_to_go_on()
    finally:
        shutil.rmtree(demonstration.runtime, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
