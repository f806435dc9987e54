"""Tracks of CVAT, frame by frame."""

from dataclasses import replace

import pytest

from exports.cvat.records import Job
from exports.cvat.shapes import Annotations, Shape, Track
from exports.pulling.states import Kind, Piece
from exports.pulling.tracks import frames_of, pieces_of
from tests.exports.pulling.worlds import World


def job(start: int, stop: int) -> Job:
    return Job(start + 1, 1, 1, "annotation", "new", "annotation", start, stop, "", None)


def box(frame: int, *points: float, **more) -> Shape:
    return Shape("rectangle", frame, 0, points, **more)


def shown(track: Track, stop: int) -> list[tuple[int, tuple[float, ...]]]:
    return [(shape.frame, shape.points) for shape in frames_of(track, stop)]


def test_box_goes_straight_from_key_frame_to_key_frame_and_stays():
    track = Track(2, 7, (box(2, 0, 0, 10, 10), box(6, 8, 4, 18, 14)), id=5)
    assert shown(track, 8) == [
        (2, (0, 0, 10, 10)),
        (3, (2, 1, 12, 11)),
        (4, (4, 2, 14, 12)),
        (5, (6, 3, 16, 13)),
        (6, (8, 4, 18, 14)),
        (7, (8, 4, 18, 14)),
        (8, (8, 4, 18, 14)),
    ]


def test_nothing_is_shown_while_it_is_outside():
    track = Track(0, 7, (box(0, 0, 0, 4, 4), box(2, 4, 4, 8, 8, outside=True), box(4, 1, 1, 2, 2)))
    assert [frame for frame, _ in shown(track, 5)] == [0, 1, 4, 5]
    # Before it goes it stands still: where it went, nobody saw.
    assert dict(shown(track, 5))[1] == (0, 0, 4, 4)


def test_turn_takes_the_short_way():
    track = Track(0, 7, (box(0, 0, 0, 4, 4, rotation=350), box(2, 0, 0, 4, 4.5, rotation=10)))
    assert [shape.rotation for shape in frames_of(track, 2)] == [350, 0, 10]


@pytest.mark.parametrize("kind", ["polygon", "polyline"])
def test_outlines_between_key_frames_are_not_guessed(kind):
    keys = (Shape(kind, 0, 0, (0, 0, 4, 0, 4, 4)), Shape(kind, 3, 0, (1, 1, 5, 1, 5, 5)))
    pieces, notes = pieces_of(Annotations(tracks=(Track(0, 7, keys, id=3),)), [job(0, 4)])
    assert [piece.shape.frame for piece in pieces] == [0, 3, 4]
    assert "Track 3 has outlines" in notes[0]


def test_outline_that_does_not_move_is_known_between():
    keys = (Shape("polygon", 0, 0, (0, 0, 4, 0, 4, 4)), Shape("polygon", 3, 0, (0, 0, 4, 0, 4, 4)))
    pieces, notes = pieces_of(Annotations(tracks=(Track(0, 7, keys, id=3),)), [job(0, 3)])
    assert ([piece.shape.frame for piece in pieces], notes) == ([0, 1, 2, 3], [])


def test_track_ends_with_its_job():
    found = Annotations(tracks=(Track(1, 7, (box(1, 0, 0, 4, 4),), id=3),))
    pieces, _ = pieces_of(found, [job(0, 2), job(3, 9)])
    assert [(piece.uid, piece.shape.label_id) for piece in pieces] == [("track 3 @ 1", 7), ("track 3 @ 2", 7)]


def test_points_of_a_skeleton_go_their_own_ways():
    def points(frame, x):
        return Shape("points", frame, 0, (x, 1.0))

    elements = (
        Track(0, 400, (points(0, 0.0), points(2, 4.0))),
        Track(0, 401, (points(0, 9.0), replace(points(1, 9.0), outside=True))),
    )
    track = Track(0, 4, (Shape("skeleton", 0, 0), Shape("skeleton", 2, 0)), elements=elements, id=3)
    found = list(frames_of(track, 2))
    assert [[(one.label_id, one.points[0], one.outside) for one in shape.elements] for shape in found] == [
        [(400, 0, False), (401, 9, False)],
        [(400, 2, False), (401, 9, True)],
        [(400, 4, False), (401, 9, True)],
    ]


def test_values_of_a_track_are_those_of_its_shapes_first():
    track = Track(0, 1, (box(0, 0, 0, 4, 4, attributes=((14, "30"),)),), ((13, "much"), (14, "0")))
    (shape,) = frames_of(track, 0)
    assert shape.attributes == ((14, "30"), (13, "much"))


def test_track_becomes_an_annotation_on_each_image_and_is_known_again():
    world = World()
    track = Track(0, 1, (box(0, 0, 0, 4, 4), box(1, 2, 0, 6, 4)), ((13, "much"), (14, "1"), (15, "false")), id=3)
    pieces, _ = pieces_of(Annotations(tuple(world.shapes), tracks=(track,)), [job(0, 1)])
    found = world.compare(pieces=pieces)
    assert [(one.kind, one.frame, one.after["bbox"]) for one in found.differences] == [
        (Kind.ADDED, 0, [0, 0, 4, 4]),
        (Kind.ADDED, 1, [2, 0, 4, 4]),
    ]
    assert found.differences[0].after["attributes"]["track_id"] == 3
    world.sent += [
        replace(world.sent[0], key=one.key, frame=one.frame, pieces=one.pieces, fields=one.after)
        for one in found.differences
    ]
    assert world.compare(pieces=pieces).differences == []
    again = [Piece.read(piece.write()) for piece in pieces]
    assert [piece.uid for piece in again] == [piece.uid for piece in pieces]
