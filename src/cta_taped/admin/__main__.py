# SPDX-License-Identifier: GPL-3.0-or-later
"""``cta-admin``: the operator's command line.

What it is: the top of the command tree, and the one place where a failure becomes a line and an exit
status. What it is not: a command; each noun has a module, named here as text and imported when it is asked
for, so that help and completion cost no database library. Exit status: 0 only when everything asked for was
done, 64 for wrong usage, else that of the failure's row in the error table.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

import cta_taped
from cta_taped.admin.nouns import NOUNS
from cta_taped.admin.output import PROGRAM, complain
from cta_taped.admin.site import Site
from cta_taped.common.config import DEFAULT_SITE_FILE
from cta_taped.common.errors import CONFIG_USAGE, EX_USAGE, SYSTEM_INTERNAL, CtaError

_INTERRUPTED: Final = 130
_READER_GONE: Final = 1
_DEBUG: Final = "CTA_TAPED_DEBUG"

EPILOG: Final = """
Completion of commands, drive names, VIDs and other names in the shell:

\b
bash:  eval "$(_CTA_ADMIN_COMPLETE=bash_source cta-admin)"   in ~/.bashrc
zsh:   eval "$(_CTA_ADMIN_COMPLETE=zsh_source cta-admin)"    in ~/.zshrc
fish:  _CTA_ADMIN_COMPLETE=fish_source cta-admin | source    in ~/.config/fish/config.fish
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where it is, upstream's short name of it, and its line in the help."""

    target: str
    alias: str
    help: str


COMMANDS: Final[dict[str, Entry]] = {
    "drive": Entry(
        "cta_taped.admin.drive:drive", "dr", "Set drives up or down, list, describe and forget them."
    ),
    "tape": Entry("cta_taped.admin.tape:tape", "ta", "Tapes: administration, labels, contents."),
    "archive": Entry("cta_taped.admin.archive:archive", "", "Queue files of this host to be archived."),
    "retrieve": Entry("cta_taped.admin.retrieve:retrieve", "", "Queue archived files to be brought back."),
    "request": Entry("cta_taped.admin.request:request", "rq", "Look at, wait for and cancel requests."),
    "showqueues": Entry("cta_taped.admin.queues:showqueues", "sq", "Show the queues."),
    "failedrequest": Entry("cta_taped.admin.queues:failedrequest", "fr", "List and remove failed requests."),
    "archivefile": Entry("cta_taped.admin.files:archivefile", "af", "List archived files."),
    "tapefile": Entry("cta_taped.admin.files:tapefile", "tf", "List the files of a tape."),
    "recycletf": Entry("cta_taped.admin.files:recycletf", "rtf", "List deleted and superseded copies."),
    "error": Entry("cta_taped.admin.error_table:error", "", "Explain the codes of failures."),
    "ledger": Entry("cta_taped.admin.ledger:ledger", "", "Look at files on tape that are not yet recorded."),
    "db": Entry("cta_taped.admin.database:database", "", "Create and check the databases."),
    "config": Entry("cta_taped.admin.configuration:configuration", "", "Check and show the configuration."),
    **{
        noun.name: Entry("cta_taped.admin.objects:noun_group", noun.alias, noun.help)
        for noun in NOUNS.values()
        if noun.name != "tape"
    },
}
_ALIASES: Final = {entry.alias: name for name, entry in COMMANDS.items() if entry.alias}


class Tree(click.Group):
    """The commands by name or upstream's short name, imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command."""
        name = _ALIASES.get(cmd_name, cmd_name)
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        found = pkgutil.resolve_name(entry.target)
        command: click.Command = found if isinstance(found, click.Command) else found(name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in the help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (f"{name} ({entry.alias})" if entry.alias else name, entry.help)
                    for name, entry in sorted(COMMANDS.items())
                ]
            )


@click.group(cls=Tree, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    envvar="CTA_TAPED_CONFIG",
    default=DEFAULT_SITE_FILE,
    show_default=True,
    show_envvar=True,
    help="The site's configuration file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print listings as JSON.")
@click.version_option(cta_taped.__version__, prog_name=PROGRAM)
@click.pass_context
def cta_admin(context: click.Context, file: Path, as_json: bool) -> None:
    """Administration of the CERN Tape Archive's tape servers."""
    site = Site(file, as_json)
    context.obj = site
    context.call_on_close(site.close)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit status."""
    try:
        ended = cta_admin.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EX_USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else PROGRAM
        return complain(CtaError(CONFIG_USAGE, f"{error.format_message()} See '{where} --help'."))
    except click.ClickException as error:
        return complain(CtaError(CONFIG_USAGE, error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{PROGRAM}: interrupted", err=True)
        return _INTERRUPTED
    except CtaError as error:
        return complain(error)
    except UnicodeEncodeError as error:
        # Only paths may be bytes that are no text; a database takes none of them.
        return complain(CtaError(CONFIG_USAGE, f"{error.object!r} is not UTF-8 text"))
    except BrokenPipeError:
        # Nobody reads any more; what the interpreter flushes at its end must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        what = f"{type(error).__name__}: {error} (set {_DEBUG}=1 for the traceback)"
        return complain(CtaError(SYSTEM_INTERNAL, what))
    # click hands the status of its Exit back as the result; commands themselves return nothing.
    return ended if isinstance(ended, int) else 0


def main() -> None:
    """The program."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
