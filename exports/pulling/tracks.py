"""What tracks show on each frame: COCO has no tracks, each frame's shape is an annotation of its image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from exports.cvat.records import Job
from exports.cvat.shapes import Annotations, Shape, Track
from exports.pulling.states import Piece


def pieces_of(found: Annotations, jobs: Sequence[Job]) -> tuple[list[Piece], list[str]]:
    """All shapes of a task, those of its tracks among them, and notes on what could not be worked out.

    `jobs` tell how far a track goes: to the end of its job, or until it is outside.
    """
    pieces = [Piece.of(shape) for shape in found.shapes]
    notes: list[str] = []
    for track in found.tracks:
        stop = next((job.stop_frame for job in jobs if job.start_frame <= track.frame <= job.stop_frame), track.frame)
        shown = list(frames_of(track, stop))
        if len(shown) < _expected(track, stop):
            notes.append(
                f"Track {track.id} has outlines that cannot be worked out between its key frames; only its key frames "
                "were read."
            )
        pieces.extend(Piece(f"track {track.id} @ {shape.frame}", shape) for shape in shown)
    return pieces, notes


def frames_of(track: Track, stop: int) -> Iterator[Shape]:
    """The shape of each frame on which the track is visible, up to the frame `stop`: between key frames in between."""
    keys = sorted(track.shapes, key=lambda shape: shape.frame)
    parts = [sorted(element.shapes, key=lambda shape: shape.frame) for element in track.elements]
    for index, key in enumerate(keys):
        end = keys[index + 1].frame if index + 1 < len(keys) else stop + 1
        following = keys[index + 1] if index + 1 < len(keys) else None
        if key.outside:
            continue
        for frame in range(key.frame, end):
            shape = _at(key, following, frame)
            if shape is None:
                continue
            elements = tuple(_element(track.elements[number], own, frame) for number, own in enumerate(parts) if own)
            yield replace(
                shape,
                frame=frame,
                label_id=track.label_id,
                attributes=_values(track, shape),
                group=track.group,
                source=track.source,
                elements=elements,
                outside=False,
                id=None,
            )


def _expected(track: Track, stop: int) -> int:
    keys = sorted(track.shapes, key=lambda shape: shape.frame)
    ends = [key.frame for key in keys[1:]] + [stop + 1]
    return sum(max(0, end - key.frame) for key, end in zip(keys, ends, strict=True) if not key.outside)


def _at(key: Shape, following: Shape | None, frame: int) -> Shape | None:
    """The shape on a frame from `key` on; None where only CVAT knows what is between."""
    if frame == key.frame or following is None or following.outside or key.points == following.points:
        return key
    if key.type == "mask" or key.type == "skeleton":
        return key  # a mask stays until the next one; a skeleton's points go their own ways
    if len(key.points) != len(following.points) or key.type in ("polygon", "polyline"):
        return None
    share = (frame - key.frame) / (following.frame - key.frame)
    points = tuple(a + (b - a) * share for a, b in zip(key.points, following.points, strict=True))
    turn = (following.rotation - key.rotation + 180) % 360 - 180
    return replace(key, points=points, rotation=(key.rotation + turn * share) % 360)


def _element(track: Track, keys: Sequence[Shape], frame: int) -> Shape:
    before = [shape for shape in keys if shape.frame <= frame]
    key = before[-1] if before else keys[0]
    following = next((shape for shape in keys if shape.frame > frame), None)
    shape = key if key.outside else (_at(key, following, frame) or key)
    return replace(shape, frame=frame, label_id=track.label_id, attributes=_values(track, shape), id=None)


def _values(track: Track, shape: Shape) -> tuple[tuple[int, str], ...]:
    """Values of the track, and those of its shape, which are the mutable ones."""
    own = {spec for spec, _ in shape.attributes}
    return (*shape.attributes, *(pair for pair in track.attributes if pair[0] not in own))
