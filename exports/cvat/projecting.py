"""Projects and tasks made once: looked up before they are made, and again when nobody knows whether they were."""

from collections.abc import Sequence

from exports.cvat.client import Client
from exports.cvat.errors import Broken500, NotFound, Refused, Unwell
from exports.cvat.records import Json, Label, Project, Task

ROUNDS = 3
SETTLE = 2.0  # seconds before looking: the first try may still run


def ensure_project(
    client: Client, name: str, labels: Sequence[Json], *, known_id: int | None = None, bug_tracker: str = ""
) -> Project:
    """The project with at least these labels: by its id, else by its name, else a new one.

    Names are not unique in CVAT, so the oldest of a name is taken.
    """
    project = _known(client, known_id) or _oldest(client, name)
    if project is None:
        project = _create_project(client, name, labels, bug_tracker)
    ensure_labels(client, project.id, labels)
    return project


def ensure_labels(client: Client, project_id: int, wanted: Sequence[Json]) -> list[Label]:
    """All labels of the project, after those that were missing were added, and missing attributes with them."""
    for round_number in range(ROUNDS):
        found = client.labels(project_id)
        missing = missing_labels(found, wanted)
        if not missing:
            return found
        try:
            client.add_labels(project_id, missing)
        except (Unwell, Broken500, Refused) as error:
            # "must be unique": a try of ours, or somebody else, was faster. Reading again tells.
            if isinstance(error, Refused) and "unique" not in error.words:
                raise
            if round_number == ROUNDS - 1:
                raise
            client.transport.pause(SETTLE)
    found = client.labels(project_id)
    if left := missing_labels(found, wanted):
        raise Refused(0, f"labels or attributes are still missing: {', '.join(str(item['name']) for item in left)}")
    return found


def missing_labels(found: Sequence[Label], wanted: Sequence[Json]) -> list[Json]:
    """What has to be sent so that nothing wanted is missing: new labels, and known ones by id with new attributes."""
    by_name = {label.name: label for label in found}
    missing: list[Json] = []
    for label in wanted:
        known = by_name.get(str(label["name"]))
        if known is None:
            missing.append(label)
            continue
        lacking = [item for item in label.get("attributes", []) if known.attribute(str(item["name"])) is None]
        if lacking:
            missing.append({"id": known.id, "name": known.name, "attributes": lacking})
    return missing


def ensure_task(
    client: Client, name: str, project_id: int, bug_tracker: str, *, segment_size: int = 0, subset: str = ""
) -> Task:
    """The task with this back-link, which must be its own alone; made if there is none."""
    for round_number in range(ROUNDS):
        found = client.tasks_linked(bug_tracker)
        if found:
            return found[0]
        try:
            return client.create_task(name, project_id, bug_tracker, segment_size=segment_size, subset=subset)
        except (Unwell, Broken500) as error:
            if round_number == ROUNDS - 1 or isinstance(error, Broken500):
                again = client.tasks_linked(bug_tracker)
                if again:
                    return again[0]
                raise
            client.transport.pause(SETTLE)
    raise AssertionError("unreachable")


def _known(client: Client, project_id: int | None) -> Project | None:
    if project_id is None:
        return None
    try:
        return client.project(project_id)
    except NotFound:
        return None


def _oldest(client: Client, name: str) -> Project | None:
    found = client.projects_named(name)
    return found[0] if found else None


def _create_project(client: Client, name: str, labels: Sequence[Json], bug_tracker: str) -> Project:
    for round_number in range(ROUNDS):
        try:
            return client.create_project(name, labels, bug_tracker)
        except (Unwell, Broken500) as error:
            client.transport.pause(SETTLE)
            found = _oldest(client, name)
            if found is not None:
                return found
            if round_number == ROUNDS - 1 or isinstance(error, Broken500):
                raise
    raise AssertionError("unreachable")
