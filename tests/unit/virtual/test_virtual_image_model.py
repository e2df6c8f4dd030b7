# SPDX-License-Identifier: GPL-3.0-or-later
"""The image against a list in memory: random writing, moving, reading and reopening agree at each step."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cta_taped.virtual.block_index import MARK
from cta_taped.virtual.tap_image import TapImage
from cta_taped.virtual.tap_walk import END

STEPS = 80


class Model:
    """A tape as a list: bytes for a record, None for a filemark."""

    def __init__(self) -> None:
        self.objects: list[bytes | None] = []
        self.place = 0

    def put(self, *objects: bytes | None) -> None:
        self.objects[self.place :] = objects
        self.place += len(objects)

    def space_marks(self, count: int) -> int:
        marks = [number for number, entry in enumerate(self.objects) if entry is None]
        before = sum(mark < self.place for mark in marks)
        target = before + count
        if count > 0:
            self.place = marks[target - 1] + 1 if target <= len(marks) else len(self.objects)
            return max(0, target - len(marks))
        if count < 0:
            self.place = marks[target] if target >= 0 else 0
        return min(0, target)

    def space_blocks(self, count: int) -> int:
        while count > 0 and self.place < len(self.objects) and self.objects[self.place] is not None:
            self.place, count = self.place + 1, count - 1
        while count < 0 and self.place > 0 and self.objects[self.place - 1] is not None:
            self.place, count = self.place - 1, count + 1
        return count


def step(dice: random.Random, image: TapImage, model: Model) -> None:
    choice = dice.choice(
        ["record", "record", "record", "marks", "locate", "files", "blocks", "read", "erase"]
    )
    if choice == "record":
        size = dice.choice([1, 2, 80, 80, 4096])
        for _ in range(dice.randint(1, 4)):
            data = bytes([dice.randrange(256)]) * size
            model.put(data)
            image.append(data)
    elif choice == "marks":
        count = dice.randint(1, 3)
        model.put(*[None] * count)
        image.append_marks(count)
    elif choice == "locate":
        model.place = dice.randint(0, len(model.objects))
        image.locate(model.place)
    elif choice == "files":
        count = dice.randint(-4, 4)
        assert image.space_marks(count) == model.space_marks(count)
    elif choice == "blocks":
        count = dice.randint(-6, 6)
        left = model.space_blocks(count)
        assert image.space_blocks(count) == left
        if left:
            at_mark = model.place < len(model.objects) if left > 0 else model.place > 0
            assert image.cross_mark(1 if left > 0 else -1) is at_mark
            model.place += at_mark * (1 if left > 0 else -1)
    elif choice == "read":
        read(image, model)
    elif dice.random() < 0.3:
        image.erase()
        model.put()


def read(image: TapImage, model: Model) -> None:
    if model.place == len(model.objects):
        assert image.peek() == END
        return
    expected = model.objects[model.place]
    if expected is None:
        assert image.peek() == MARK
        image.skip()
    else:
        found = bytearray(image.peek())
        image.take([found])
        assert found == expected
    model.place += 1


@pytest.mark.parametrize("seed", range(40))
def test_image_agrees_with_a_list(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "t.tap"
    path.touch()
    index = path.with_suffix(".index") if seed % 3 else None
    image, model = TapImage(path, index), Model()
    for _ in range(STEPS):
        step(dice, image, model)
        if dice.random() < 0.05:
            image.close()
            image = TapImage(path, index)
            image.locate(model.place)
        assert (image.object, image.objects) == (model.place, len(model.objects))
        assert image.marks == model.objects.count(None)
        assert image.marks_before() == model.objects[: model.place].count(None)
    image.close()
