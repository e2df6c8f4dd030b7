# SPDX-License-Identifier: GPL-3.0-or-later
"""structlog, imported without rich.

What it is: the one place that imports structlog. What it is not: a change of structlog; everything is used
under its own name. Why: structlog loads rich, if it is installed, for coloured tracebacks that no line of
ours has. In each of a drive's three processes that costs 7 MiB and a tenth of a second before READY.
"""

from __future__ import annotations

import sys

__all__ = ["structlog"]

_hidden = "rich" not in sys.modules
if _hidden:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _hidden:
    del sys.modules["rich"]
