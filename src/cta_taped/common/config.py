# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: one TOML file for the site, one for each drive, and the source of every value.

The site file (``cta-taped.toml``) holds what all drives of a host share; ``drives/NAME.toml`` beside it
holds the ``[drive]`` section and may override any site value. Reading is strict: an unknown key, a wrong
type, a value out of range or a missing key is one line that names file, line, key and what is expected
(CONFIG_INVALID, exit status 78). Nothing here opens a device or a database. Field descriptions are the
documentation: the example file in ``etc/`` is checked against them by a test.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cta_taped.common.errors import CONFIG_INVALID, CONFIG_MISSING, CtaError
from cta_taped.common.model import DriveIdentity, Grade

DEFAULT_SITE_FILE: Final = Path("/etc/cta-taped/cta-taped.toml")
DRIVE_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"

Seconds = Annotated[float, Field(gt=0, strict=False)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One table of the file: strict, closed, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Site(Section):
    """Who we are and where our files are."""

    instance_name: str = Field("cta", description="Name of the CTA instance, shown by tools.")
    scheduler_backend_name: str = Field(
        "cta", description="Name of the scheduler; other tape servers ignore drives that publish another one."
    )
    state_dir: Path | None = Field(
        None,
        strict=False,
        description="Directory for state and ledger. Default: $STATE_DIRECTORY of systemd.",
    )
    runtime_dir: Path | None = Field(
        None, strict=False, description="Directory for the control sockets. Default: $RUNTIME_DIRECTORY."
    )
    operators_group: str | None = Field(
        None,
        description="Unix group whose members may use every control command, beside root and our own user.",
    )


class Database(Section):
    """A database connection."""

    url: str = Field(
        description="SQLAlchemy URL: sqlite:////path/file.db, or postgresql://host/name?options=... ."
    )


class Drive(Section):
    """The drive that one service instance serves (drive file only)."""

    name: str = Field(
        pattern=DRIVE_NAME_PATTERN, description="Name in the catalogue, as in cta-taped@NAME.service."
    )
    device: str = Field(
        description="Tape device: /dev/tape/by-id/...-nst, or vtl:/DIR?drive=0 of a virtual library."
    )
    changer: str = Field(
        "", description="Media changer: /dev/sg3 or vtl:/DIR; empty where a person moves cartridges."
    )
    library_slot: str = Field(
        pattern=r"^(smc\d{1,5}|dummy.*)$",
        description="How the library knows the drive: smcN is its N-th drive element, dummy no robot.",
    )
    logical_library: str = Field(
        min_length=1, description="The logical library of the catalogue that it belongs to."
    )


class Labels(Section):
    """What the labels on tape say about the writer. Empty: found out."""

    site: str | None = Field(
        None, description="Site, 8 characters. Default: search domain of /etc/resolv.conf."
    )
    host: str | None = Field(None, description="Host, 10 characters. Default: the short host name.")
    system_version: str = Field("5.11.20.0", description="Version in HDR1's system code behind 'CTA '.")


class Archive(Section):
    """Writing files to tape."""

    fetch_files: Count = Field(4000, description="Most files taken from the queue at once.")
    fetch_bytes: Bytes = Field(80_000_000_000, description="Most bytes taken from the queue at once.")
    flush_files: Count = Field(
        200, description="Files after which the drive's buffer is synchronised to the medium."
    )
    flush_bytes: Bytes = Field(32_000_000_000, description="Bytes after which it is synchronised.")
    catalogue_hold_s: Seconds = Field(
        600.0, description="Seconds to hold the position at a flush while the catalogue is away."
    )


class Retrieve(Section):
    """Reading files from tape."""

    fetch_files: Count = Field(4000, description="Most files taken from the queue at once.")
    fetch_bytes: Bytes = Field(80_000_000_000, description="Most bytes taken from the queue at once.")
    deliver_files: Count = Field(2000, description="Files after which results are reported.")
    deliver_interval_s: Seconds = Field(180.0, description="Seconds after which results are reported.")


class MountCriteria(Section):
    """When a mount is worth its time."""

    criteria_files: Count = Field(10_000, description="Queued files that justify a mount.")
    criteria_bytes: Bytes = Field(50_000_000_000, description="Queued bytes that justify a mount.")
    idle_poll_s: Seconds = Field(
        10.0, description="Seconds between two looks at the queues by an idle drive."
    )


class Transfer(Section):
    """The transfer path."""

    disk_threads: Annotated[int, Field(ge=1, le=128)] = Field(
        10, description="Threads that open, read (or write) and checksum disk files."
    )
    slots: Annotated[int, Field(ge=4, le=65536)] = Field(
        64, description="Blocks of 256 KiB between disk and tape; more only to ride out disk stalls."
    )
    block_protection: bool = Field(
        True, description="Use logical block protection (CRC32C) on tapes that are labelled with it."
    )
    load_timeout_s: Seconds = Field(300.0, description="Seconds for a mounted cartridge to become ready.")


class Library(Section):
    """The robot."""

    move_timeout_s: Seconds = Field(600.0, description="Seconds for one robot move.")
    lock_dir: Path | None = Field(
        None,
        strict=False,
        description="Directory of the per-library locks of this host. Default: the state directory's parent.",
    )


class Deadlines(Section):
    """Longest times a session may spend, enforced by the supervisor; live on reload."""

    starting_s: Seconds = Field(60.0, description="From the start of a worker to its Hello.")
    probing_s: Seconds = Field(120.0, description="Looking whether the drive is empty.")
    scheduling_heartbeat_s: Seconds = Field(
        300.0, description="Without a sign of life while looking for work."
    )
    mounting_s: Seconds = Field(
        900.0, description="Robot move, load and label check, beside announced commands."
    )
    transferring_heartbeat_s: Seconds = Field(
        60.0, description="Without a sign of life from the tape thread."
    )
    transferring_movement_s: Seconds = Field(900.0, description="Without a byte moved to or from tape.")
    unloading_s: Seconds = Field(900.0, description="Rewind and unload.")
    unmounting_s: Seconds = Field(900.0, description="Robot move back and verification.")
    draining_heartbeat_s: Seconds = Field(
        300.0, description="Without a byte written while the rest goes to disk."
    )
    draining_s: Seconds = Field(1800.0, description="Writing the rest to disk after the tape was released.")
    ending_s: Seconds = Field(60.0, description="From the last word of a worker to its exit.")
    rescuing_s: Seconds = Field(3600.0, description="The whole rescue ladder.")
    abort_grace_s: Seconds = Field(5.0, description="Between SIGABRT (stack dump) and SIGKILL.")


class Ending(Section):
    """How sessions are brought to an end."""

    down_grade: Grade = Field(
        Grade.QUICK, strict=False, description="'drain', 'quick' or 'now': drive down without flags."
    )
    drain_s: Seconds = Field(28_800.0, description="Longest drain before it becomes quick.")
    quick_s: Seconds = Field(900.0, description="Longest quick ending before it becomes now.")
    now_s: Seconds = Field(
        300.0, description="Longest immediate ending before the session is killed and rescued."
    )


class Maintenance(Section):
    """The maintenance worker."""

    publish_interval_s: Seconds = Field(15.0, description="Heartbeat of the drive's row in the catalogue.")
    desired_poll_s: Seconds = Field(
        5.0, description="Between two looks at the desired state in the catalogue."
    )
    routine_interval_s: Seconds = Field(10.0, description="Between two rounds of the routines.")
    dead_mount_s: Seconds = Field(
        900.0, description="Age of a mount's last sign of life before its jobs are given back."
    )
    report_batch: Count = Field(500, description="Finished jobs reported in one transaction.")
    failed_keep_s: Seconds = Field(1_209_600.0, description="How long failed requests are kept.")


class Restart(Section):
    """After a stop, crash or reboot."""

    desired_state: Literal["resume", "down"] = Field(
        "resume", description="'resume' the operator's wish, or come up 'down' as upstream does."
    )


class Log(Section):
    """Logging."""

    level: Literal["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level written."
    )
    format: Literal["auto", "journal", "json", "console"] = Field(
        "auto", description="'auto' is the journal under systemd, else console on a terminal, else JSON."
    )


class SiteConfig(Section):
    """What the site file says for all drives: as much as a tool without a drive needs."""

    site: Site = Site()
    catalogue: Database
    scheduler: Database
    labels: Labels = Labels()
    archive: Archive = Archive()
    retrieve: Retrieve = Retrieve()
    mount: MountCriteria = MountCriteria()
    transfer: Transfer = Transfer()
    library: Library = Library()
    deadlines: Deadlines = Deadlines()
    ending: Ending = Ending()
    maintenance: Maintenance = Maintenance()
    restart: Restart = Restart()
    log: Log = Log()

    @property
    def host(self) -> str:
        """The short name of this host."""
        return socket.gethostname().partition(".")[0]


class Config(SiteConfig):
    """Everything one drive's daemon is told. ``sources`` of the values are kept beside it (``Loaded``)."""

    drive: Drive

    @property
    def identity(self) -> DriveIdentity:
        """The drive as the catalogue knows it."""
        drive = self.drive
        return DriveIdentity(drive.name, self.host, drive.logical_library, drive.device, drive.library_slot)

    @property
    def state_dir(self) -> Path:
        """Where this drive's persisted state and ledger live (a directory of its own)."""
        return _directory(self.site.state_dir, "STATE_DIRECTORY", "/var/lib/cta-taped") / self.drive.name

    @property
    def control_socket(self) -> Path:
        """The Varlink control socket of this drive's supervisor."""
        runtime_dir = _directory(self.site.runtime_dir, "RUNTIME_DIRECTORY", "/run/cta-taped")
        return runtime_dir / f"{self.drive.name}.socket"

    @property
    def changer_lock(self) -> Path:
        """The lock file that serialises robot moves of this drive's library on this host."""
        lock_dir = self.library.lock_dir or self.state_dir.parent
        digest = hashlib.sha256(self.drive.changer.encode()).hexdigest()[:16]
        return lock_dir / f"library-{digest}.lock"


def _directory(configured: Path | None, variable: str, default: str) -> Path:
    if configured is not None:
        return configured
    return Path(os.environ.get(variable, default).partition(":")[0])


@dataclass(frozen=True, slots=True)
class Value:
    """One configuration value as ``--print-config`` and DRIVE_CONFIG show it."""

    key: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each of its values came from (``file:line`` or ``default``)."""

    config: Config
    sources: Mapping[str, str]
    site_file: Path

    def values(self) -> Iterator[Value]:
        """All values in the file's order."""
        for section_name in Config.model_fields:
            section = getattr(self.config, section_name)
            for key in type(section).model_fields:
                dotted = f"{section_name}.{key}"
                value = getattr(section, key)
                yield Value(dotted, "" if value is None else str(value), self.sources.get(dotted, "default"))


def drive_file(site_file: Path, drive: str) -> Path:
    """The drive's own file beside the site file."""
    return site_file.parent / "drives" / f"{drive}.toml"


def configured_drives(site_file: Path) -> list[str]:
    """Names of all drives that have a file on this host, in order."""
    return sorted(path.stem for path in (site_file.parent / "drives").glob("*.toml"))


def load(site_file: Path, drive: str) -> Loaded:
    """Read the configuration of one drive.

    Raises CtaError CONFIG_MISSING for a file that cannot be read, CONFIG_INVALID for everything wrong in one.
    """
    if not re.match(DRIVE_NAME_PATTERN, drive):
        raise CtaError(
            CONFIG_INVALID, f"drive name {drive!r}: expected letters, digits, '_', '.', '-' (at most 100)"
        )
    path = drive_file(site_file, drive)
    merged, sources = _merged(site_file, path)
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        raise CtaError(CONFIG_INVALID, _first_complaint(error, sources, path)) from None
    if config.drive.name != drive:
        raise CtaError(
            CONFIG_INVALID,
            f"{sources['drive.name']}: drive.name: expected {drive!r} as the file is named, "
            f"found {config.drive.name!r}",
        )
    return Loaded(config, sources, site_file)


def load_site(site_file: Path) -> SiteConfig:
    """Read the site file alone. Raises as ``load``."""
    merged, sources = _merged(site_file)
    try:
        return SiteConfig.model_validate(merged)
    except ValidationError as error:
        raise CtaError(CONFIG_INVALID, _first_complaint(error, sources, site_file)) from None


def _merged(site_file: Path, *drive_files: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The tables of all files, later values over earlier ones, and where each value stands."""
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    texts = [(file, _read(file)) for file in (site_file, *drive_files)]
    for file, text in texts:
        tables = _parse(file, text)
        if file is site_file and "drive" in tables:
            line = _line_of(text, ("drive",))
            raise CtaError(
                CONFIG_INVALID, f"{file}:{line}: [drive] belongs into {drive_file(site_file, 'NAME')}"
            )
        for section, values in tables.items():
            if not isinstance(values, dict):
                line = _line_of(text, (section,))
                raise CtaError(
                    CONFIG_INVALID, f"{file}:{line}: {section}: expected a [section], found a value"
                )
            for key, value in values.items():
                merged.setdefault(section, {})[key] = value
                sources[f"{section}.{key}"] = f"{file}:{_line_of(text, (section, key))}"
            merged.setdefault(section, {})
            sources.setdefault(section, f"{file}:{_line_of(text, (section,))}")
    return merged, sources


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CtaError(
            CONFIG_INVALID, f"{path}: expected UTF-8 text, found byte {error.start} that is not"
        ) from None
    except OSError as error:
        raise CtaError(CONFIG_MISSING, f"{path}: {error.strerror}") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = found[1] if found else str(text.count("\n") + 1)
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise CtaError(CONFIG_INVALID, f"{path}:{line}: not TOML: {reason}") from None


def _line_of(text: str, where: tuple[str, ...]) -> int:
    """The line of ``[section]`` or of a key in it (tomllib keeps no positions)."""
    section, in_section = "", False
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
        if header:
            section = header[1].strip("\"'")
            in_section = section == where[0]
            if in_section and len(where) == 1:
                return number
            continue
        key = re.match(r"\s*[\"']?([\w.-]+?)[\"']?\s*=", line)
        if key and (
            (len(where) == 2 and in_section and key[1] == where[1])
            or (not section and key[1] in (where[0], ".".join(where)))
        ):
            return number
    return 1


_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "path_type": "a path in quotes",
}


def _first_complaint(error: ValidationError, sources: Mapping[str, str], drive_path: Path) -> str:
    """One line for the first thing wrong: file, line, key, and what is expected."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    section = str(first["loc"][0])
    where = sources.get(key) or sources.get(section) or str(drive_path)
    kind = first["type"]
    if kind == "extra_forbidden":
        model = Config.model_fields.get(section)
        known: Mapping[str, Any] = Config.model_fields
        if model is not None and len(first["loc"]) > 1 and isinstance(model.annotation, type):
            known = model.annotation.model_fields
        return f"{where}: {key}: unknown key, expected one of {', '.join(known)}"
    if kind == "missing":
        return f"{where}: {key}: missing, expected {_description(first['loc'])}"
    expected = _EXPECTED.get(kind, first["msg"].removeprefix("Input should be ").removeprefix("Value "))
    return f"{where}: {key}: expected {expected}, found {first['input']!r}"


def _description(location: tuple[str | int, ...]) -> str:
    field = Config.model_fields[str(location[0])]
    if len(location) == 1:
        return f"a section [{location[0]}]"
    assert isinstance(field.annotation, type)
    return str(field.annotation.model_fields[str(location[1])].description)
