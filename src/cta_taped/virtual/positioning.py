# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the virtual tape: REWIND, LOCATE and SPACE without their CDBs.

Where the head goes and what stops it; how long that takes is ``timing``'s business, the layout of the
commands ``ssc``'s.
"""

from __future__ import annotations

from collections.abc import Callable

from cta_taped.virtual.cartridge import Cartridge
from cta_taped.virtual.recording import RecordingUnit
from cta_taped.virtual.sense import (
    BEGINNING,
    END_NOT_FOUND,
    END_OF_DATA,
    FILEMARK,
    INVALID_CDB_FIELD,
    CheckCondition,
)


class PositioningUnit(RecordingUnit):
    """A drive's motor."""

    def rewind(self) -> None:
        """To the beginning. Raises CheckCondition: not ready."""
        cartridge = self._admit()
        if self._timing is not None:
            self._timing.rewind(cartridge.image.offset)
        if cartridge.image.object:
            cartridge.memory.beginning_passes += 1
        cartridge.image.locate(0)
        self._moved(cartridge)

    def _go(self, cartridge: Cartridge, move: Callable[[], object]) -> None:
        start = cartridge.image.offset
        move()
        if self._timing is not None:
            self._timing.locate(start, cartridge.image.offset)
        self._moved(cartridge)

    def locate(self, object_id: int) -> None:
        """Before an object; to the end of data and CheckCondition 8/00/05 when there is none such."""
        cartridge = self._admit()
        self._go(cartridge, lambda: cartridge.image.locate(object_id))
        if object_id > cartridge.image.objects:
            raise CheckCondition(END_OF_DATA)

    def locate_end(self) -> None:
        """To the end of data."""
        cartridge = self._admit()
        self._go(cartridge, lambda: cartridge.image.locate(cartridge.image.objects))

    def locate_file(self, marks: int) -> None:
        """Behind this many filemarks; to the end of data and CheckCondition 8/00/05 when there are fewer."""
        cartridge = self._admit()
        self._go(cartridge, lambda: cartridge.image.locate_file(marks))
        if marks > cartridge.image.marks:
            raise CheckCondition(END_OF_DATA)

    def space(self, code: int, count: int) -> None:
        """Over blocks (code 0), filemarks (1), or to the end of data (3); the sense of what stopped it
        carries the residual as a magnitude, as LTO drives report it (SSC-4 7.10).
        """
        if code not in (0, 1, 3):
            raise CheckCondition(INVALID_CDB_FIELD)
        cartridge = self._admit()
        image = cartridge.image
        left = 0
        start = image.offset
        crossed = False
        if code == 3:
            image.locate(image.objects)
        elif code == 1:
            left = image.space_marks(count)
        else:
            left = image.space_blocks(count)
            crossed = left != 0 and image.cross_mark(1 if left > 0 else -1)
        if self._timing is not None:
            self._timing.locate(start, image.offset)
        self._moved(cartridge)
        if crossed:
            raise CheckCondition(FILEMARK.with_information(abs(left)))
        if left > 0:
            raise CheckCondition((END_NOT_FOUND if image.damaged else END_OF_DATA).with_information(left))
        if left < 0:
            raise CheckCondition(BEGINNING.with_information(-left))
