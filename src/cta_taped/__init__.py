# SPDX-License-Identifier: GPL-3.0-or-later
"""cta-taped: the tape drive daemon of the CERN Tape Archive as a systemd-native service."""

__version__ = "0.1.0"
