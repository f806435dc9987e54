"""Annotations: stored by job, as they come, with everything that CVAT does not look at."""

import math
from collections.abc import Iterator
from typing import Any

from tests.cvat_double import hooks, validation
from tests.cvat_double.answers import Answer, as_json, broken, empty, refuse, text
from tests.cvat_double.calls import Call, route
from tests.cvat_double.projects import labels_of, owner_of, shown_project
from tests.cvat_double.state import Job, Record, State, Task
from tests.cvat_double.tasks import shown_job, shown_task

NO_DATA = "Exporting annotations from a task without data is not allowed"
GONE = "This endpoint is no longer supported.\nTo initiate the export process, use POST dataset/export"
ACTIONS = ("create", "update", "delete")
KINDS = ("tags", "shapes", "tracks")


class Place:
    """A task, or one of its jobs, with what is needed to store there."""

    def __init__(self, state: State, task: Task, job: Job | None) -> None:
        self.state = state
        self.task = task
        self.jobs = [job] if job else state.jobs_of(task.record["id"])
        self.by_job_address = job is not None
        self.all_jobs = state.jobs_of(task.record["id"])
        own = labels_of(state, owner_of(state, task.record["id"]))
        self.specs: dict[int, dict[int, str]] = {}
        for label in own:
            for one in (label, *(state.labels[inner] for inner in label["_sublabels"])):
                self.specs[one["id"]] = {spec["id"]: spec["default_value"] for spec in one["attributes"]}
        self.changed: set[int] = set()

    def jobs_for(self, frame: int) -> list[Job]:
        """Where a shape of this frame goes: every job that has the frame, or the job asked, whatever it has."""
        if frame >= len(self.task.frames):
            return []
        if self.by_job_address:
            return self.jobs
        return [job for job in self.jobs if job.record["start_frame"] <= frame <= job.record["stop_frame"]]


# --- Reading ---


def read(place: Place) -> Record:
    """As GET shows it: floats, and defaults for what was left out."""
    _not_poisoned(place)
    shapes = [_out(place, shape) for shape in _merged(place)]
    if any(not math.isfinite(value) for shape in shapes for value in shape["points"]):
        raise broken()
    tags = [_tag_out(place, tag) for job in place.jobs for tag in job.tags.values()]
    tracks = [_track_out(place, track) for job in place.jobs for track in job.tracks.values()]
    return {"version": 0, "tags": tags, "shapes": shapes, "tracks": tracks}


def _not_poisoned(place: Place) -> None:
    if place.state.poisoned.get(place.task.record["id"]):
        raise broken()


def _merged(place: Place) -> Iterator[Record]:
    """The shapes of all jobs; equal ones on a frame that two jobs share are one."""
    if not place.task.record["overlap"]:
        for job in place.jobs:
            yield from job.shapes.values()
        return
    seen: set[str] = set()
    for job in place.jobs:
        forms = {
            shape["id"]: repr({key: value for key, value in shape.items() if key != "id"})
            for shape in job.shapes.values()
        }
        for shape in job.shapes.values():
            if forms[shape["id"]] not in seen:
                yield shape
        seen |= set(forms.values())


def _out(place: Place, shape: Record) -> Record:
    return {
        "id": shape["id"],
        "label_id": shape["label_id"],
        "type": shape["type"],
        "frame": shape["frame"],
        "group": shape["group"],
        "source": shape["source"],
        "occluded": shape["occluded"],
        "outside": shape["outside"],
        "z_order": shape["z_order"],
        "rotation": float(shape["rotation"]),
        "points": [float(value) for value in shape["points"]],
        "attributes": _with_defaults(place, shape),
        **({"elements": [_out(place, one) for one in shape["elements"]]} if "elements" in shape else {}),
    }


def _with_defaults(place: Place, item: Record) -> list[Record]:
    given = {one["spec_id"] for one in item["attributes"]}
    lacking = [(spec, value) for spec, value in place.specs.get(item["label_id"], {}).items() if spec not in given]
    return item["attributes"] + [{"spec_id": spec, "value": value} for spec, value in lacking]


def _tag_out(place: Place, tag: Record) -> Record:
    return {**tag, "attributes": _with_defaults(place, tag)}


def _track_out(place: Place, track: Record) -> Record:
    shapes = [{**shape, "points": [float(value) for value in shape["points"]]} for shape in track["shapes"]]
    return {**track, "shapes": shapes, "attributes": _with_defaults(place, track)}


# --- Storing ---


def store(place: Place, data: dict[str, Any], action: str) -> Record:
    """Create or update, all or nothing; the answer is ordered by job."""
    for item in (item for kind in KINDS for item in data.get(kind, [])):
        _known_label(place, item)
    used: set[int] = set()
    plan: list[tuple[Job, Record, int | None]] = []
    for sent in data.get("shapes", []):
        for index, job in enumerate(place.jobs_for(int(sent["frame"]))):
            wanted = sent.get("id") if action == "update" and index == 0 else None
            if wanted is not None:
                _free(place, job, wanted, used)
            plan.append((job, sent, wanted))
    order = {job.record["id"]: index for index, job in enumerate(place.jobs)}
    plan.sort(key=lambda entry: order[entry[0].record["id"]])
    stored = [_keep(place, job, sent, wanted) for job, sent, wanted in plan]
    if place.task.record["overlap"]:
        stored = _one_of_each(plan, stored)
    tags = [_keep_tag(place, tag) for tag in data.get("tags", []) if place.jobs_for(int(tag["frame"]))]
    tracks = [_keep_track(place, track) for track in data.get("tracks", []) if place.jobs_for(int(track["frame"]))]
    if any(not math.isfinite(value) for shape in stored for value in shape["points"]):
        raise broken()  # stored all the same
    return {"version": 0, "tags": tags, "shapes": [_answered(shape) for shape in stored], "tracks": tracks}


def _known_label(place: Place, item: Record) -> None:
    specs = place.specs.get(item["label_id"])
    if specs is None:
        raise refuse([f"label_id `{item['label_id']}` is invalid"])
    for one in item.get("attributes", []):
        if one["spec_id"] not in specs:
            raise refuse([f"spec_id `{one['spec_id']}` is invalid"])
    for element in item.get("elements") or []:
        _known_label(place, element)


def _free(place: Place, job: Job, shape_id: int, used: set[int]) -> None:
    """An id may be the job's own or nobody's, and only once."""
    owner = place.state.shape_owner.get(shape_id)
    if shape_id in used or (owner is not None and owner != job.record["id"] and owner in place.state.jobs):
        words = 'duplicate key value violates unique constraint "engine_labeledshape_pkey"\n'
        raise refuse(f"{words}DETAIL:  Key (id)=({shape_id}) already exists.\n")
    used.add(shape_id)


def _keep(place: Place, job: Job, sent: Record, wanted: int | None) -> Record:
    state = place.state
    shape = _normal(state, sent, wanted)
    if sent["type"] == "skeleton":
        shape["elements"] = [_normal(state, {"frame": sent["frame"], **one}, one.get("id")) for one in sent["elements"]]
        own = range(job.record["start_frame"], job.record["stop_frame"] + 1)
        if any(element["frame"] not in own for element in shape["elements"]) and shape["frame"] in own:
            state.poisoned[place.task.record["id"]].add(shape["id"])
    else:
        shape["elements"] = []
    job.shapes[shape["id"]] = shape
    state.shape_owner[shape["id"]] = job.record["id"]
    place.changed.add(job.record["id"])
    return shape


def _normal(state: State, sent: Record, wanted: int | None) -> Record:
    group = sent.get("group")
    return {
        "type": sent["type"],
        "occluded": bool(sent.get("occluded", False)),
        "outside": bool(sent.get("outside", False)),
        "z_order": int(sent.get("z_order", 0)),
        "rotation": sent.get("rotation", 0),
        "points": sent.get("points", []),
        "id": wanted if wanted is not None else state.next_id("shape"),
        "frame": int(sent["frame"]),
        "label_id": sent["label_id"],
        "group": group if group is not None or state.options.null_groups else 0,
        "source": sent.get("source", "manual"),
        "attributes": [
            {"spec_id": one["spec_id"], "value": str(one["value"]).strip()} for one in sent.get("attributes", [])
        ],
    }


def _one_of_each(plan: list[tuple[Job, Record, int | None]], stored: list[Record]) -> list[Record]:
    seen: set[int] = set()
    found = []
    for (_, sent, _), shape in zip(plan, stored, strict=True):
        if id(sent) not in seen:
            seen.add(id(sent))
            found.append(shape)
    return found


def _answered(shape: Record) -> Record:
    return {**shape, "elements": [dict(element) for element in shape["elements"]]}


def _keep_tag(place: Place, sent: Record) -> Record:
    job = place.jobs_for(int(sent["frame"]))[0]
    tag = {
        "id": sent.get("id") or place.state.next_id("tag"),
        "frame": int(sent["frame"]),
        "label_id": sent["label_id"],
        "group": sent.get("group"),
        "source": sent.get("source", "manual"),
        "attributes": sent.get("attributes", []),
    }
    job.tags[tag["id"]] = tag
    place.changed.add(job.record["id"])
    return tag


def _keep_track(place: Place, sent: Record) -> Record:
    job = place.jobs_for(int(sent["frame"]))[0]
    shapes = [
        {
            "type": one["type"],
            "occluded": one.get("occluded", False),
            "outside": one.get("outside", False),
            "z_order": one.get("z_order", 0),
            "rotation": one.get("rotation", 0),
            "points": one["points"],
            "id": place.state.next_id("tracked"),
            "frame": one["frame"],
            "attributes": one.get("attributes", []),
        }
        for one in sent.get("shapes", [])
    ]
    track = {
        "id": sent.get("id") or place.state.next_id("track"),
        "frame": int(sent["frame"]),
        "label_id": sent["label_id"],
        "group": sent.get("group"),
        "source": sent.get("source", "manual"),
        "attributes": sent.get("attributes", []),
        "shapes": shapes,
        "elements": [],
    }
    job.tracks[track["id"]] = track
    place.changed.add(job.record["id"])
    return track


def remove(place: Place, data: dict[str, Any]) -> Record:
    """By id, and only on the right frame; otherwise nothing, without a word."""
    for sent in data.get("shapes", []):
        for job in place.jobs_for(int(sent["frame"])):
            if job.shapes.pop(sent["id"], None) is not None:
                place.changed.add(job.record["id"])
                place.state.poisoned[place.task.record["id"]].discard(sent["id"])
                place.state.shape_owner.pop(sent["id"], None)
    for kind in ("tags", "tracks"):
        for sent in data.get(kind, []):
            for job in place.jobs_for(int(sent["frame"])):
                if getattr(job, kind).pop(sent["id"], None) is not None:
                    place.changed.add(job.record["id"])
    shapes = []
    for sent in data.get("shapes", []):
        shape = {**_normal(place.state, sent, sent["id"]), "points": sent.get("points", [])}
        if "elements" in sent:
            shape["elements"] = [_normal(place.state, {"frame": 0, **one}, one.get("id")) for one in sent["elements"]]
        shapes.append(shape)
    return {"version": 0, "tags": data.get("tags", []), "shapes": shapes, "tracks": data.get("tracks", [])}


def clear(place: Place) -> None:
    """Everything of these jobs."""
    for job in place.jobs:
        if job.shapes or job.tags or job.tracks:
            place.changed.add(job.record["id"])
        for shape_id in job.shapes:
            place.state.shape_owner.pop(shape_id, None)
        job.shapes, job.tags, job.tracks = {}, {}, {}


def tell(place: Place) -> None:
    """Dates move, and webhooks hear of it."""
    state, task = place.state, place.task
    project_id = task.record["project_id"]
    for job in place.jobs:
        if job.record["id"] not in place.changed:
            continue
        before = {"updated_date": job.record["updated_date"]}
        state.touch(job.record, task.record, state.projects.get(project_id))
        hooks.emit(state, "update:job", project_id, {"job": shown_job(state, job)}, before)
        hooks.emit(state, "update:task", project_id, {"task": shown_task(state, task)}, before)
        if project_id in state.projects:
            body = {"project": shown_project(state, state.projects[project_id])}
            hooks.emit(state, "update:project", project_id, body, before)


# --- Addresses ---


def place_of(call: Call, kind: str, number: int) -> Place:
    """The task or job of an address."""
    state = call.state
    if kind == "tasks":
        return Place(state, state.task(number), None)
    job = state.job(number)
    return Place(state, state.tasks[job.record["task_id"]], job)


@route("GET", r"/(tasks|jobs)/(\d+)/annotations")
def get_annotations(call: Call, kind: str, number: int) -> Answer:
    """All of them."""
    place = place_of(call, kind, number)
    if "format" in call.query:
        return text(GONE, 410)
    if not place.task.frames:
        return text(NO_DATA, 400)
    return as_json(read(place))


@route("PATCH", r"/(tasks|jobs)/(\d+)/annotations")
def patch_annotations(call: Call, kind: str, number: int) -> Answer:
    """Create, update, delete."""
    place = place_of(call, kind, number)
    action = call.query.get("action", "")
    if action not in ACTIONS:
        raise refuse(["Please specify a correct 'action' for the request"])
    data = call.json()
    validation.check(data, action)
    if not place.task.frames:
        raise refuse("'NoneType' object has no attribute 'validation_mode'")
    try:
        answer = remove(place, data) if action == "delete" else store(place, data, action)
    finally:
        tell(place)
    return as_json(answer)


@route("PUT", r"/(tasks|jobs)/(\d+)/annotations")
def put_annotations(call: Call, kind: str, number: int) -> Answer:
    """Replace everything; all ids are new."""
    place = place_of(call, kind, number)
    data = call.json()
    validation.check(data, "put")
    _not_poisoned(place)
    clear(place)
    try:
        answer = store(place, data, "create")
    finally:
        tell(place)
    return as_json(answer)


@route("DELETE", r"/(tasks|jobs)/(\d+)/annotations")
def delete_annotations(call: Call, kind: str, number: int) -> Answer:
    """Empty it."""
    place = place_of(call, kind, number)
    _not_poisoned(place)
    clear(place)
    tell(place)
    return empty()
