# SPDX-License-Identifier: GPL-3.0-or-later
"""The error table is consistent in itself."""

from __future__ import annotations

import re
from itertools import groupby

import pytest

from cta_taped.common import errors
from cta_taped.common.errors import BY_CODE, BY_SYMBOL, CtaError, ErrorSpec


def test_every_constant_is_in_the_table_under_its_name() -> None:
    constants = {name: value for name, value in vars(errors).items() if isinstance(value, ErrorSpec)}
    assert constants == BY_SYMBOL
    assert len(BY_CODE) == len(BY_SYMBOL)


@pytest.mark.parametrize("spec", BY_CODE.values())
def test_a_row(spec: ErrorSpec) -> None:
    assert re.fullmatch(r"CTA-[A-Z]+-\d{3}", spec.code)
    assert spec.symbol.startswith(spec.subject)
    assert spec.meaning.endswith(".")
    assert spec.action.endswith(".")
    assert "\n" not in spec.meaning + spec.action
    assert re.fullmatch(r"((Error|Info)_\w+)?", spec.alias)
    assert 0 <= spec.exit_status < 126


def test_numbers_have_no_gaps() -> None:
    """A gap is a code that was removed or renumbered; both break somebody's runbook."""
    rows = sorted(BY_CODE.values(), key=lambda spec: (spec.subject, spec.number))
    for _, group in groupby(rows, key=lambda spec: spec.subject):
        numbers = [spec.number for spec in group]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_failure_reads_as_code_and_detail() -> None:
    error = CtaError(errors.TAPE_READ, "V00001 block 7: medium error", block_id=7)
    assert str(error) == "CTA-TAPE-008 V00001 block 7: medium error"
    assert error.evidence == {"block_id": 7}
