"""Which shapes of CVAT are which annotations of ours.

A shape is known by its id in CVAT, else by its coco_id. An id wins: it stays when somebody clears or overtypes the
attribute, while a copy has the coco_id of its model. Ids are lost when everything is replaced or drawn anew; then equal
drawings of the same coco_id are the same, and after them those that take a place that is free.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exports.cvat.shapes import COCO_ID, Shape
from exports.pulling.drawing import same_drawing
from exports.pulling.states import Piece, Sent, Vocabulary

OUTLINES = frozenset({"polygon", "mask", "rectangle"})


@dataclass
class Match:
    """What has become of an annotation: (as sent, as it is) pairs, parts that came to it, parts that are gone."""

    sent: Sent
    pairs: list[tuple[Piece, Piece]] = field(default_factory=list)
    extra: list[Piece] = field(default_factory=list)
    lost: list[Piece] = field(default_factory=list)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What CVAT has of it now, in the order in which it went out."""
        return (*(now for _, now in self.pairs), *self.extra)


@dataclass(frozen=True)
class Newcomer:
    """Shapes that are one annotation which we do not know; `copied` is the coco_id of what it was copied from."""

    pieces: tuple[Piece, ...]
    copied: str = ""


@dataclass(frozen=True)
class Matched:
    """What became of everything that was sent, what is new, and how many shapes are there twice."""

    matches: list[Match]
    newcomers: list[Newcomer]
    doubles: int = 0


def match(sent: Sequence[Sent], pieces: Iterable[Piece], vocabulary: Vocabulary) -> Matched:
    """Find everything that was sent among the pieces, and what is new."""
    matches = {one.key: Match(one) for one in sent}
    left = _by_uid(matches, pieces)
    left = _by_coco_id(matches, left, vocabulary)
    left, doubles = _without_doubles(matches, left, vocabulary)
    left = _by_group(matches, left, vocabulary)
    left = _by_drawing(matches, left)
    for found in matches.values():
        order = {id(piece): index for index, piece in enumerate(found.sent.pieces)}
        found.pairs.sort(key=lambda pair: order[id(pair[0])])
        taken = {id(before) for before, _ in found.pairs}
        found.lost = [piece for piece in found.sent.pieces if id(piece) not in taken]
    return Matched(list(matches.values()), _newcomers(left, vocabulary), doubles)


def _by_uid(matches: Mapping[str, Match], pieces: Iterable[Piece]) -> list[Piece]:
    known = {piece.uid: (found, piece) for found in matches.values() for piece in found.sent.pieces if piece.uid}
    left = []
    for piece in pieces:
        found, before = known.get(piece.uid, (None, None))
        # A shape that has gone to another image is another annotation.
        if found is None or before is None or before.shape.frame != piece.shape.frame:
            left.append(piece)
        else:
            found.pairs.append((before, piece))
    return left


def _by_coco_id(matches: Mapping[str, Match], pieces: Sequence[Piece], vocabulary: Vocabulary) -> list[Piece]:
    """Take the places that are free: first equal drawings, then by type. Shapes of one coco_id that find none are
    left."""
    waiting: dict[str, list[Piece]] = defaultdict(list)
    left = []
    for piece in sorted(pieces, key=_age):
        found = matches.get(vocabulary.own(piece.shape, COCO_ID) or "")
        if found is not None and found.sent.frame == piece.shape.frame:
            waiting[found.sent.key].append(piece)
        else:
            left.append(piece)
    for key, candidates in waiting.items():
        left.extend(_fill(matches[key], candidates, vocabulary))
    return left


def _fill(found: Match, candidates: list[Piece], vocabulary: Vocabulary) -> list[Piece]:
    taken = {id(before) for before, _ in found.pairs}
    free = [piece for piece in found.sent.pieces if id(piece) not in taken]
    tests = (
        lambda a, b: a.label_id == b.label_id and vocabulary.values(a) == vocabulary.values(b) and same_drawing(a, b),
        same_drawing,
        lambda a, b: a.type == b.type,
        lambda a, b: (a.type == "skeleton") == (b.type == "skeleton"),
    )
    for is_same in tests:
        for before in list(free):
            now = next((piece for piece in candidates if is_same(before.shape, piece.shape)), None)
            if now is not None:
                found.pairs.append((before, now))
                free.remove(before)
                candidates.remove(now)
    # Keypoints for an outline that had none, or an outline for keypoints: a copy would have what its model has.
    for piece in list(candidates):
        others = {one.shape.type == "skeleton" for one in (*found.sent.pieces, *found.extra)}
        lacking = found.pairs and (piece.shape.type == "skeleton") not in others
        if lacking and _fits(found, piece.shape, vocabulary):
            found.extra.append(piece)
            candidates.remove(piece)
    return candidates


def _by_group(matches: Mapping[str, Match], pieces: Sequence[Piece], vocabulary: Vocabulary) -> list[Piece]:
    """Shapes that somebody grouped with an annotation's are parts of it, if they can be."""
    owners: dict[tuple[int, int], list[Match]] = defaultdict(list)
    for found in matches.values():
        for place in {(now.shape.frame, now.shape.group) for _, now in found.pairs if now.shape.group}:
            owners[place].append(found)
    left = []
    for piece in pieces:
        own = owners.get((piece.shape.frame, piece.shape.group), []) if piece.shape.group else []
        # Two annotations in one group: people group what belongs together in other ways, too.
        if len(own) == 1 and _fits(own[0], piece.shape, vocabulary):
            own[0].extra.append(piece)
        else:
            left.append(piece)
    return left


def _by_drawing(matches: Mapping[str, Match], pieces: Sequence[Piece]) -> list[Piece]:
    """What has lost its id and has no coco_id is known by how it looks: what was drawn in CVAT, after a PUT."""
    gone: dict[tuple[int, int, str], list[tuple[Match, Piece]]] = defaultdict(list)
    for found in matches.values():
        if not found.pairs:
            for piece in found.sent.pieces:
                gone[_kind_of(piece)].append((found, piece))
    left = []
    for piece in pieces:
        waiting = gone.get(_kind_of(piece), [])
        same = next((one for one in waiting if same_drawing(one[1].shape, piece.shape)), None)
        if same is None:
            left.append(piece)
        else:
            waiting.remove(same)
            same[0].pairs.append((same[1], piece))
    return left


def _without_doubles(
    matches: Mapping[str, Match], pieces: Sequence[Piece], vocabulary: Vocabulary
) -> tuple[list[Piece], int]:
    """CVAT stores a repeated call twice: a shape that is the same as one of its coco_id in everything is no new one."""
    left = []
    for piece in pieces:
        found = matches.get(vocabulary.own(piece.shape, COCO_ID) or "")
        if found is None or not any(_is_double(piece.shape, now.shape) for _, now in found.pairs):
            left.append(piece)
    return left, len(pieces) - len(left)


def _is_double(one: Shape, other: Shape) -> bool:
    return (
        one.frame == other.frame
        and one.label_id == other.label_id
        and dict(one.attributes) == dict(other.attributes)
        and one.occluded == other.occluded
        and same_drawing(one, other)
    )


def _kind_of(piece: Piece) -> tuple[int, int, str]:
    return piece.shape.frame, piece.shape.label_id, piece.shape.type


def _fits(found: Match, shape: Shape, vocabulary: Vocabulary) -> bool:
    present = [piece.shape for piece in found.pieces]
    if _meaning(shape, vocabulary) != _meaning(present[0], vocabulary):
        return False
    return _together([*present, shape])


def _together(shapes: Sequence[Shape]) -> bool:
    """Whether COCO can say them in one annotation: polygons, or masks, or one box, and one skeleton."""
    outlines = [shape.type for shape in shapes if shape.type != "skeleton"]
    if len(shapes) - len(outlines) > 1 or not set(outlines) <= OUTLINES or len(set(outlines)) > 1:
        return False
    return len(outlines) <= 1 or outlines[0] != "rectangle"


def _meaning(shape: Shape, vocabulary: Vocabulary) -> object:
    return vocabulary.categories.get(shape.label_id, ("label", shape.label_id))


def _newcomers(pieces: Sequence[Piece], vocabulary: Vocabulary) -> list[Newcomer]:
    """What is grouped and can be one annotation is one; everything else stands by itself."""
    groups: dict[tuple[object, ...], list[Piece]] = defaultdict(list)
    for piece in sorted(pieces, key=_age):
        shape = piece.shape
        alone = () if shape.group else (piece.uid,)
        copied = (vocabulary.own(shape, COCO_ID) or "").strip()
        groups[(shape.frame, shape.group, *alone, copied, _meaning(shape, vocabulary))].append(piece)
    found = []
    for key, members in groups.items():
        copied = str(key[-2])
        if _together([piece.shape for piece in members]):
            found.append(Newcomer(tuple(members), copied))
        else:
            found.extend(Newcomer((piece,), copied) for piece in members)
    return found


def _age(piece: Piece) -> tuple[int, str]:
    return (piece.shape.id if piece.shape.id is not None else 2**63, piece.uid)
