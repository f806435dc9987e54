"""All that is different in a task: the comparison, whole."""

from collections.abc import Mapping, Sequence

from exports.cvat.records import Frame
from exports.pulling import adding, comparing
from exports.pulling.matching import match
from exports.pulling.states import (
    Comparison,
    Difference,
    Kind,
    Ours,
    Sent,
    SentTag,
    Subject,
    Theirs,
    Vocabulary,
)


def compare(
    sent: Sequence[Sent],
    theirs: Theirs,
    ours: Mapping[str, Ours],
    vocabulary: Vocabulary,
    *,
    tags: Sequence[SentTag] = (),
) -> Comparison:
    """Compare what was sent with what the task has now and with what is here now (by key; what is gone is not there).

    Frames that were deleted in CVAT are told of, and nothing on them counts as changed.
    """
    found = Comparison(notes=list(theirs.notes))
    hidden = theirs.deleted_frames
    matched = match(sent, theirs.pieces, vocabulary)
    for one in matched.matches:
        if one.sent.frame in hidden:
            continue
        own = ours.get(one.sent.key)
        frame = _frame(theirs.frames, one.sent.frame)
        if one.sent.annotation is None:
            difference = adding.compare_refused(one, vocabulary, frame)
        else:
            difference = comparing.compare(one, own, vocabulary, frame)
        if difference is not None:
            found.differences.append(difference)
            continue
        found.unchanged += 1
        if one.pieces != one.sent.pieces or (own is not None and own.version != one.sent.version):
            found.settled.append((one.sent, one.pieces))
    known = {one.key for one in sent}
    for new in matched.newcomers:
        number = new.pieces[0].shape.frame
        if number not in hidden:
            found.differences.append(adding.added(new, vocabulary, _frame(theirs.frames, number), known))
    found.differences += _tags(theirs, tags, vocabulary)
    if matched.doubles:
        found.notes.append(f"{matched.doubles:,} shapes are there twice, the same in everything; one of each counts.")
    if hidden:
        listed = ", ".join(str(frame) for frame in sorted(hidden)[:20])
        found.notes.append(f"Frames were deleted in CVAT; nothing on them was taken over: {listed}.")
    found.differences.sort(key=lambda one: (one.frame, one.subject, one.kind, one.key))
    return found


def _frame(frames: Sequence[Frame], number: int) -> Frame:
    return frames[number] if 0 <= number < len(frames) else Frame("", 0, 0)


def _tags(theirs: Theirs, sent: Sequence[SentTag], vocabulary: Vocabulary) -> list[Difference]:
    """Tags that came and went. Two of one name on a frame are one."""
    now = {f"tag {tag.id}": (tag.frame, vocabulary.label_name(tag.label_id)) for tag in theirs.tags}
    before = {tag.uid: (tag.frame, tag.name) for tag in sent}
    found = []
    for kind, side, other in ((Kind.ADDED, now, before), (Kind.DELETED, before, now)):
        places = set(other.values())
        for uid, place in side.items():
            if place in places or place[0] in theirs.deleted_frames:
                continue
            places.add(place)
            frame, name = place
            fields = {"tag": name}
            found.append(
                Difference(
                    kind,
                    frame,
                    uid,
                    Subject.TAG,
                    before={} if kind is Kind.ADDED else fields,
                    after=fields if kind is Kind.ADDED else {},
                )
            )
    return found
