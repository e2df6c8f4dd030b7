# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted port and the drive over it."""

from __future__ import annotations

import pytest
from scripted import SERIAL, ScriptedPort, inquiry

from cta_taped.tape.drive import TapeDrive


@pytest.fixture
def port() -> ScriptedPort:
    port = ScriptedPort()
    port.answers[0x12] = [inquiry(), SERIAL]
    return port


@pytest.fixture
def drive(port: ScriptedPort) -> TapeDrive:
    return TapeDrive(port)
