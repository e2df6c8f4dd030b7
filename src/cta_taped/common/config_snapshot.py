# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration in force, as the supervisor hands it to its workers: a JSON file beside its socket.

Why not the TOML files again: an operator may be editing them, and a rescue must not fail because a file is
broken at that moment. The supervisor writes the snapshot when it starts and at each successful reload.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from cta_taped.common.config import Loaded
from cta_taped.common.errors import CONFIG_INVALID, CONFIG_MISSING, SYSTEM_STATE_LOST, CtaError

_ADAPTER: Final = TypeAdapter(Loaded)


def write(loaded: Loaded, path: Path) -> None:
    """Replace the snapshot; readable for our own user alone, since database URLs may hold passwords.

    Raises CtaError SYSTEM_STATE_LOST when the disk does not take it.
    """
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(_ADAPTER.dump_json(loaded))
        new.replace(path)
    except OSError as error:
        raise CtaError(SYSTEM_STATE_LOST, f"{path}: {error.strerror}") from None


def read(path: Path) -> Loaded:
    """The snapshot. Raises CtaError CONFIG_MISSING, or CONFIG_INVALID for one of another version."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise CtaError(CONFIG_MISSING, f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise CtaError(CONFIG_INVALID, f"{path}: not a snapshot of this version: {error}") from None
