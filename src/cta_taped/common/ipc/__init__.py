# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon's processes say to each other, and the socket they say it on."""
