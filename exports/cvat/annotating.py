"""Shapes into a task, each once, whatever happens on the way: sent in chunks, counted, read back, doubles taken out.

CVAT answers in an order of its own, drops shapes of frames it does not have without a word, and stores a repeated call
twice. So shapes are known by their coco_id, never by position, and in the end the task itself is asked.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exports.cvat.client import Client
from exports.cvat.errors import Broken500, CvatError, Unwell
from exports.cvat.shapes import Annotations, Shape, coco_id_of

CHUNK = 2000  # shapes in one call
TRIES = 4
SETTLE = 3.0  # seconds before reading back: the first try may still run

Specs = Mapping[int, int]  # label id -> spec_id of its coco_id


class Mismatch(CvatError):
    """CVAT said yes and stored something else. Nothing more is sent; the task has to be looked at, or made anew."""

    saying = "CVAT stored something else than what was sent"


@dataclass(frozen=True)
class ReadBack:
    """The task after the sending: shapes by coco_id as CVAT keeps them, what is missing, what nobody here sent."""

    shapes: Mapping[str, tuple[Shape, ...]]
    missing: tuple[str, ...] = ()
    foreign: tuple[Shape, ...] = ()
    removed: tuple[int, ...] = ()  # ids of doubles that were deleted
    all: Annotations = field(default_factory=Annotations)

    @property
    def is_exact(self) -> bool:
        """Whether the task has each shape once and nothing else."""
        return not self.missing and not self.foreign


def create(
    client: Client,
    task_id: int,
    shapes: Sequence[Shape],
    specs: Specs,
    *,
    chunk: int = CHUNK,
    progress: Callable[[int], None] = lambda done: None,
) -> ReadBack:
    """Create what is not there yet, then read the task back. Run it again after a crash: it goes on.

    Every shape needs a coco_id; shapes of one coco_id are sent together. Raises Mismatch if CVAT stores less than it
    was sent, Unwell if it cannot be found out.
    """
    nameless = sum(1 for shape in shapes if not coco_id_of(shape, specs))
    if nameless:
        raise ValueError(f"{nameless} shapes have no coco_id: they could not be found again.")
    present = _ids(client.annotations("tasks", task_id).shapes, specs)
    waiting = [shape for shape in shapes if coco_id_of(shape, specs) not in present]
    done = len(shapes) - len(waiting)
    for part in chunks(waiting, specs, chunk):
        progress(done)
        _create_part(client, task_id, part, specs)
        done += len(part)
    progress(done)
    return settle(client, task_id, shapes, specs)


def chunks(shapes: Iterable[Shape], specs: Specs, size: int) -> Iterator[list[Shape]]:
    """Parts of about this size that never tear the shapes of one coco_id apart: so it is there whole, or not."""
    groups: dict[str, list[Shape]] = defaultdict(list)
    for shape in shapes:
        groups[coco_id_of(shape, specs)].append(shape)
    part: list[Shape] = []
    for group in groups.values():
        if part and len(part) + len(group) > size:
            yield part
            part = []
        part.extend(group)
    if part:
        yield part


def settle(client: Client, task_id: int, sent: Sequence[Shape], specs: Specs) -> ReadBack:
    """Compare the task with what was sent; doubles that a repeated call left are deleted by id, the first one stays.

    A double is a shape that is equal to one that was sent in everything, above the number sent. A copy that somebody
    has moved since is not one: it shows as foreign.
    """
    found = client.annotations("tasks", task_id)
    allowed = Counter((coco_id_of(shape, specs), shape.form) for shape in sent)
    expected = Counter(coco_id_of(shape, specs) for shape in sent)
    doubles: list[Shape] = []
    kept: dict[str, list[Shape]] = defaultdict(list)
    foreign: list[Shape] = []
    for shape in sorted(found.shapes, key=lambda shape: shape.id or 0):
        name = coco_id_of(shape, specs)
        key = (name, shape.form)
        if key in allowed and not allowed[key]:
            doubles.append(shape)
        elif key in allowed or name in expected:
            allowed[key] -= 1 if key in allowed else 0
            kept[name].append(shape)
        else:
            foreign.append(shape)
    if doubles:
        client.save(task_id, "delete", doubles)
        left = {shape.id for shape in client.annotations("tasks", task_id).shapes}
        if still := [shape.id for shape in doubles if shape.id in left]:
            raise Mismatch(200, f"{len(still)} doubles could not be deleted", doing=f"clean task {task_id}")
    for name, own in kept.items():
        foreign.extend(own[expected[name] :])
        del own[expected[name] :]
    missing = [name for name, count in expected.items() if len(kept.get(name, ())) < count]
    return ReadBack(
        {name: tuple(own) for name, own in kept.items()},
        tuple(missing),
        tuple(foreign),
        tuple(shape.id for shape in doubles if shape.id is not None),
        found,
    )


def _create_part(client: Client, task_id: int, part: Sequence[Shape], specs: Specs) -> None:
    waiting = list(part)
    for number in range(1, TRIES + 1):
        try:
            stored = client.create_shapes(task_id, waiting, specs)
        except (Unwell, Broken500) as error:
            waiting = _still_missing(client, task_id, waiting, specs, error)
            if not waiting:
                return
            # A 500 is mostly over the input, and that is the same the next time.
            if isinstance(error, Broken500) or number == TRIES:
                raise
            continue
        _compare(stored, waiting, specs, task_id)
        return


def _still_missing(
    client: Client, task_id: int, shapes: Sequence[Shape], specs: Specs, error: Unwell | Broken500
) -> list[Shape]:
    if isinstance(error, Unwell) and not error.maybe_done:
        return list(shapes)
    client.transport.pause(SETTLE)
    try:
        present = _ids(client.annotations("tasks", task_id).shapes, specs)
    except CvatError as unreadable:
        raise error from unreadable
    return [shape for shape in shapes if coco_id_of(shape, specs) not in present]


def _compare(stored: Counter[str], sent: Sequence[Shape], specs: Specs, task_id: int) -> None:
    wanted = Counter(coco_id_of(shape, specs) for shape in sent)
    if stored == wanted:
        return
    lost, more = wanted - stored, stored - wanted
    parts = []
    if lost:
        parts.append(f"{lost.total()} of {wanted.total()} shapes were dropped (coco_id {_some(lost)})")
    if more:
        parts.append(f"{more.total()} came back that were not sent (coco_id {_some(more)})")
    words = "; ".join(parts)
    raise Mismatch(200, words, {"lost": dict(lost), "more": dict(more)}, doing=f"create annotations of task {task_id}")


def _ids(shapes: Iterable[Shape], specs: Specs) -> set[str]:
    return {name for shape in shapes if (name := coco_id_of(shape, specs))}


def _some(names: Counter[str]) -> str:
    shown = ", ".join(list(names)[:5])
    return shown + (", ..." if len(names) > 5 else "")
