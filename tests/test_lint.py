# SPDX-License-Identifier: GPL-3.0-or-later
"""Lints are tests: what every file of the tree must keep to, checked with the tests and not beside them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from cta_taped.admin.error_table import render_catalog, render_markdown
from cta_taped.common import events
from cta_taped.common.events import Event

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/cta_taped"
SPDX = "# SPDX-License-Identifier: GPL-3.0-or-later"
LONGEST = 400
TABLES = re.compile(r"(errors|events|codes|elements|alerts|schema\w*|test_\w+)\.py")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "handler", "factory", "misc", "common_utils"}
COMMAND_LINES = ("admin/", "virtual/")
LOGGER = re.compile(r"_?log(ger)?$", re.IGNORECASE)
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
# Fields that a program binds once to all its lines (common.log.bind).
BOUND = {"drive", "vid", "mount_id"}
# Somebody's home or build directory, or an index other than the public one.
MACHINE = re.compile(
    r"(?<![\w.])/(home|Users|root|work)/[\w.]|index-url\s*[= ]|https?_proxy\s*=", re.IGNORECASE
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(#[^)]*)?\)")


@lru_cache
def tree() -> tuple[Path, ...]:
    """The files of the project: what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    paths = (ROOT / name for name in listed.decode().split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def python_files() -> list[Path]:
    return [path for path in tree() if path.suffix == ".py"]


@lru_cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def log_calls() -> Iterator[tuple[Path, ast.Call]]:
    """Calls of a method of a logger, by the name of what they are called on."""
    for path in python_files():
        if not path.is_relative_to(SOURCE):
            continue
        for node in ast.walk(parsed(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LOG_METHODS
                and LOGGER.search(ast.unparse(node.func.value).rstrip("()"))
            ):
                yield path, node


def keywords(call: ast.Call) -> set[str | None]:
    """Names of the keyword arguments; None stands for ``**fields``."""
    return {keyword.arg for keyword in call.keywords}


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "src", "tests"],
        ["ruff", "format", "--check", "src", "tests"],
        ["mypy"],
        ["lint-imports", "--no-logo"],
    ],
    ids=["ruff-check", "ruff-format", "mypy", "imports"],
)
def test_linter(command: list[str]) -> None:
    """The program lies beside the interpreter that runs the tests."""
    program = Path(sys.executable).with_name(command[0])
    ended = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_file_names_its_licence() -> None:
    assert not [
        place(path, 1)
        for path in python_files()
        if not path.read_text().startswith(SPDX) and path.stat().st_size
    ]


def test_every_module_says_what_it_is() -> None:
    assert not [
        place(path, 2) for path in python_files() if parsed(path).body and not ast.get_docstring(parsed(path))
    ]


def test_only_tables_are_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in python_files()}
    assert not [
        place(path, length)
        for path, length in lengths.items()
        if length > LONGEST and not TABLES.fullmatch(path.name)
    ]


def test_module_names_say_something() -> None:
    assert not [place(path, 1) for path in python_files() if VAGUE_NAMES & {path.stem, path.parent.name}]


def test_errors_are_logged_with_a_code() -> None:
    assert not [
        place(path, call.lineno)
        for path, call in log_calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("error", "critical", "exception")
        and not keywords(call) & {"code", None}
    ]


def test_logged_events_are_constants() -> None:
    assert not [
        place(path, call.lineno)
        for path, call in log_calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr != "debug"
        and not (call.args and isinstance(call.args[0], ast.Attribute | ast.Name))
    ]


def test_events_are_logged_with_their_fields() -> None:
    wrong = []
    for path in python_files():
        if not path.is_relative_to(SOURCE):
            continue
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "log_event"):
                continue
            if len(node.args) != 2 or None in keywords(node):
                continue
            event = getattr(events, ast.unparse(node.args[1]).split(".")[-1], None)
            if isinstance(event, Event) and set(event.fields) - BOUND - keywords(node):
                wrong.append(f"{place(path, node.lineno)} lacks {set(event.fields) - BOUND - keywords(node)}")
    assert not wrong


def test_only_command_lines_print() -> None:
    assert not [
        place(path, node.lineno)
        for path in python_files()
        if path.is_relative_to(SOURCE) and not str(path.relative_to(SOURCE)).startswith(COMMAND_LINES)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def test_nothing_names_a_particular_machine() -> None:
    wrong = []
    for path in tree():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__).resolve() and (found := MACHINE.search(text)):
            wrong.append(f"{place(path, text[: found.start()].count(chr(10)) + 1)} {found[0]}")
    assert not wrong


@pytest.mark.parametrize(
    ("file", "rendered"),
    [("docs/errors.md", render_markdown), ("systemd/cta-taped.catalog", render_catalog)],
    ids=["markdown", "catalog"],
)
def test_made_files_agree_with_the_tables(
    file: str, rendered: object, request: pytest.FixtureRequest
) -> None:
    assert callable(rendered)
    form = request.node.callspec.id
    assert (ROOT / file).read_text() == rendered(), f"make it anew: cta-admin error render {form} > {file}"


def test_links_of_the_documentation_lead_somewhere() -> None:
    wrong = []
    for path in tree():
        if path.suffix != ".md":
            continue
        for found in LINK.finditer(path.read_text()):
            target = found[1]
            elsewhere = "://" in target or target.startswith("mailto:")
            if not elsewhere and not (path.parent / target).exists():
                wrong.append(f"{path.relative_to(ROOT)}: {target}")
    assert not wrong
