# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: one TOML file for the site, one for each drive, and the source of every value.

The site file (``cta-taped.toml``) holds what all drives of a host share; ``drives/NAME.toml`` beside it
holds the ``[drive]`` section and may override any site value. Reading is strict: an unknown key, a wrong
type, a value out of range or a missing key is one line that names file, line, key and what is expected
(CONFIG_INVALID, exit status 78). What there is to configure is the table in ``config_schema``. Nothing here
opens a device or a database.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cta_taped.common.config_schema import DRIVE_NAME_PATTERN, Config, SiteConfig
from cta_taped.common.errors import CONFIG_INVALID, CONFIG_MISSING, CtaError

DEFAULT_SITE_FILE: Final = Path("/etc/cta-taped/cta-taped.toml")


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

    def changes_from(self, other: Loaded) -> list[str]:
        """``key: old -> new`` of every value that is not as in ``other``."""
        old = {value.key: value.value for value in other.values()}
        return [
            f"{value.key}: {old[value.key]} -> {value.value}"
            for value in self.values()
            if value.value != old[value.key]
        ]

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
    complaints = error.errors(include_url=False)
    # A misspelt key is unknown and missing at once; the line to correct is that of the unknown one.
    first = next((each for each in complaints if each["type"] == "extra_forbidden"), complaints[0])
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
