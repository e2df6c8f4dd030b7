# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented example configuration, drawn from the configuration's own schema.

``python -m cta_taped.admin.config_reference DIRECTORY`` writes ``cta-taped.toml`` and
``drives/EXAMPLE.toml``; a test compares those in etc/ with it, so that every key is documented with its unit
and default, and none is invented.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cta_taped.common.config_schema import Config

_SITE_HEAD: Final = """\
# Configuration of all tape drives of this host: /etc/cta-taped/cta-taped.toml
#
# Every key is shown with its default, commented out; a key without a default must be given. Anything here may
# be overridden for one drive in drives/NAME.toml. Sizes are in bytes, times in seconds, as the keys say.
# Check with: cta-taped DRIVE --check-config      See what is in force: cta-taped DRIVE --print-config
"""
_DRIVE_HEAD: Final = """\
# Configuration of one tape drive: /etc/cta-taped/drives/NAME.toml, served by cta-taped@NAME.service
# Any section of cta-taped.toml may follow here for this drive alone.
"""
_EXAMPLES: Final = {
    "catalogue.url": "sqlite:////var/lib/cta-taped/catalogue.db",
    "scheduler.url": "sqlite:////var/lib/cta-taped/scheduler.db",
    "drive.name": "EXAMPLE",
    "drive.device": "/dev/tape/by-id/scsi-EXAMPLE-nst",
    "drive.library_slot": "smc0",
    "drive.logical_library": "LIB1",
}
_DRIVE_SECTIONS: Final = ("drive",)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:_}" if isinstance(value, int) else f"{value:g}"
    return f'"{value}"'


def _key(section: str, key: str, field: FieldInfo) -> str:
    text = "\n".join(textwrap.wrap(str(field.description), 105, initial_indent="# ", subsequent_indent="# "))
    dotted = f"{section}.{key}"
    if field.default is PydanticUndefined:
        return f"{text} Required.\n{key} = {_value(_EXAMPLES[dotted])}\n"
    if field.default is None:
        return f"{text}\n# {key} = (not set)\n"
    return f"{text}\n# {key} = {_value(field.default)}\n"


def _section(name: str) -> str:
    model = Config.model_fields[name].annotation
    assert isinstance(model, type)
    title = textwrap.wrap(str(model.__doc__).strip(), 105, initial_indent="# ", subsequent_indent="# ")
    keys = "\n".join(_key(name, key, field) for key, field in model.model_fields.items())
    return "\n".join(title) + f"\n[{name}]\n{keys}"


def render_site() -> str:
    """The example of the site file."""
    names = [name for name in Config.model_fields if name not in _DRIVE_SECTIONS]
    return _SITE_HEAD + "\n" + "\n".join(_section(name) for name in names)


def render_drive() -> str:
    """The example of a drive's file."""
    return _DRIVE_HEAD + "\n" + "\n".join(_section(name) for name in _DRIVE_SECTIONS)


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    (directory / "drives").mkdir(parents=True, exist_ok=True)
    (directory / "cta-taped.toml").write_text(render_site())
    (directory / "drives" / "EXAMPLE.toml").write_text(render_drive())
