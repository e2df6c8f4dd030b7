# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion of names in the shell: drives, tapes and other objects, where asking is cheap.

What it is: callbacks of click; each asks one question. What it is not: allowed to fail: while the shell
waits, any failure means that nothing is proposed. Completion runs without the commands' own set-up, so the
site is opened here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from cta_taped.admin.site import Site
from cta_taped.common.config import DEFAULT_SITE_FILE
from cta_taped.common.errors import CtaError
from cta_taped.db.catalogue import ObjectKind

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _names(
    context: click.Context, incomplete: str, question: Callable[[Site], Iterable[str]]
) -> list[CompletionItem]:
    root = context.find_root()
    file = root.params.get("file") or os.environ.get("CTA_TAPED_CONFIG") or DEFAULT_SITE_FILE
    site = Site(Path(file), as_json=False)
    try:
        return [CompletionItem(name) for name in question(site) if name.startswith(incomplete)]
    except (CtaError, OSError):
        return []
    finally:
        site.close()


def drive_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Drives of this host, and of the catalogue when it answers."""

    def question(site: Site) -> Iterable[str]:
        local = site.local_drives
        try:
            return sorted({*local, *(row.name for row in site.catalogue.drives.all())})
        except CtaError:
            return local

    return _names(context, incomplete, question)


def local_drive_names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Drives of this host."""
    return _names(context, incomplete, lambda site: site.local_drives)


def object_names(kind: ObjectKind, field: str) -> Completer:
    """Values of ``field`` of all objects of a kind."""

    def complete(
        context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        def question(site: Site) -> Iterable[str]:
            return sorted({str(row[field]) for row in site.catalogue.objects.find(kind)})

        return _names(context, incomplete, question)

    return complete
