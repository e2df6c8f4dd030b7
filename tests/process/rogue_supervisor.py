# SPDX-License-Identifier: GPL-3.0-or-later
"""The real supervisor with the rogue workers in place of its own."""

from __future__ import annotations

import sys

from cta_taped.supervisor import child
from cta_taped.supervisor.__main__ import main

for role in ("session", "rescue", "maintenance"):
    child.PROGRAMS[role] = ("rogue", "--role", role)  # type: ignore[index]

if __name__ == "__main__":
    sys.exit(main())
