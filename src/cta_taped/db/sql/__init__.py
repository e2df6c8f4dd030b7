# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogue and scheduler on relational databases, one module a concern."""
