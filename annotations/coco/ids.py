"""Annotation ids: which a file has, where they stand, and new ones for records that need one."""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from annotations.coco import values
from annotations.coco.images import TEXT_IDS, record_id


class Ids:
    """Annotation ids seen so far in a file, by family; gives new ones above all of the file's.

    Ids that only grow, as most files have them, need no set: the last one is compared.
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self._records = records
        self._grown: dict[int, array[int]] = defaultdict(lambda: array("q"))
        self._sets: dict[int, set[int]] = {}
        self._next: int | None = None
        self._out_of_reach: set[int] = set()  # ids so great that new ones are not counted on from them

    def is_new(self, family: int, coco_id: int) -> bool:
        """Whether the id was not seen before; it is seen now."""
        seen = self._sets.get(family)
        if seen is None:
            grown = self._grown[family]
            if not grown or coco_id > grown[-1]:
                grown.append(coco_id)
                return True
            seen = self._sets[family] = set(grown)
            self._grown[family] = array("q")
        if coco_id in seen:
            return False
        seen.add(coco_id)
        return True

    def of(self, family: int) -> Iterable[int]:
        """The ids seen of one family."""
        return self._sets.get(family) or self._grown[family]

    def give(self, family: int) -> int:
        """An id that no record of the file has: they go on after the greatest below TEXT_IDS."""
        if self._next is None:
            taken = [coco_id for coco_id in map(peek_id, self._records) if coco_id is not None]
            self._next = 1 + max((coco_id for coco_id in taken if coco_id < TEXT_IDS), default=0)
            self._out_of_reach = {coco_id for coco_id in taken if coco_id >= TEXT_IDS}
        while self._next in self._out_of_reach:
            self._next += 1
        coco_id, self._next = self._next, self._next + 1
        self.is_new(family, coco_id)
        return coco_id


class _Id(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


_peek = msgspec.json.Decoder(_Id).decode


def peek_id(raw: Any) -> int | None:
    """The number of a record's id; None if it has none that can be used."""
    try:
        found = record_id(bytes(_peek(raw).id))
    except (*values.UNREADABLE, RecursionError, values.Unfit):
        return None
    return found and found[0]


class Places:
    """Where in a file the records of an id stand. In two arrays, for there may be a million of them."""

    def __init__(self, records: Sequence[Any]) -> None:
        found = (peek_id(record) for record in records)
        ids = array("q", (-values.INT64 if coco_id is None else coco_id for coco_id in found))
        self._order = array("q", sorted(range(len(ids)), key=ids.__getitem__))
        self._ids = array("q", (ids[place] for place in self._order))

    def of(self, coco_id: int) -> Iterable[int]:
        """The indexes of the records with this id, in the order of the file."""
        return self._order[bisect_left(self._ids, coco_id) : bisect_right(self._ids, coco_id)]
