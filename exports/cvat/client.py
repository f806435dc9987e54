"""CVAT's calls, one method each, typed. What may be repeated after an unknown outcome is; the rest says `maybe_done`.

Procedures of several calls are beside it: `projecting`, `uploading`, `waiting`, `annotating`, `checking`.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from exports.cvat.account import Account
from exports.cvat.errors import Busy, NotFound
from exports.cvat.links import Links
from exports.cvat.records import (
    About,
    Comment,
    DataMeta,
    Issue,
    Job,
    Json,
    Label,
    Project,
    Request,
    Task,
    User,
    Webhook,
    items,
)
from exports.cvat.shapes import Annotations, Shape, body_of, coco_id_in
from exports.cvat.transport import Answer, Query, Repeat, Transport

PAGE = 500
MAX_PAGES = 2000
Action = Literal["create", "update", "delete"]
Place = Literal["tasks", "jobs"]


class Client:
    """Everything asked of one CVAT; close it, or use it in a `with`. Every method may raise CvatError."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.links = Links(transport.account.web_url)

    @classmethod
    def open(cls, account: Account, **options: Any) -> Self:
        """A client with a transport of its own; the options are the Transport's."""
        return cls(Transport(account, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    # --- The server and who we are ----------------------------------------------------------------------------------

    def about(self) -> About:
        """Name and version of the server; with a bad token this is a 401 too."""
        return About.read(self._get("/server/about", doing="read the version"))

    def me(self) -> User:
        """The user whose token it is."""
        return User.read(self._get("/users/self", doing="see whose token it is"))

    def token_is_read_only(self) -> bool | None:
        """Whether the access token may only read; None where CVAT does not tell (login keys, older servers)."""
        try:
            data = self._get("/auth/access_tokens/self", doing="read the token's rights")
        except NotFound:
            return None
        return bool(data.get("read_only")) if "read_only" in data else None

    # --- Projects and labels ----------------------------------------------------------------------------------------

    def project(self, project_id: int) -> Project:
        """One project."""
        return Project.read(self._get(f"/projects/{project_id}", doing=f"read project {project_id}"))

    def projects_named(self, name: str) -> list[Project]:
        """The projects of exactly this name, oldest first; names are not unique."""
        found = self._list("/projects", {"name": name, "sort": "id"}, doing="look for the project")
        return [Project.read(item) for item in found if item.get("name") == name]

    def create_project(self, name: str, labels: Sequence[Json], bug_tracker: str = "") -> Project:
        """Make a project. After an unknown outcome look for its name: a repeat would make a second one."""
        body = {"name": name, "labels": list(labels), "bug_tracker": bug_tracker}
        return Project.read(self._send("POST", "/projects", body, doing="create the project"))

    def add_labels(self, project_id: int, labels: Sequence[Json]) -> None:
        """Add labels, or attributes to labels that are named by id; what is not named stays.

        After an unknown outcome read the labels and send what is missing.
        """
        self._send("PATCH", f"/projects/{project_id}", {"labels": list(labels)}, doing="add labels")

    def labels(self, project_id: int) -> list[Label]:
        """All labels of a project, with ids of attributes and sublabels."""
        query: Query = {"project_id": project_id, "sort": "id"}
        found = self._list("/labels", query, doing=f"read the labels of project {project_id}")
        # Some versions list the points of skeletons beside their skeletons.
        return [Label.read(item) for item in found if not item.get("has_parent")]

    def delete_project(self, project_id: int) -> None:
        """Delete a project with its tasks; one that is gone already is as good."""
        self._delete(f"/projects/{project_id}", doing=f"delete project {project_id}")

    # --- Tasks and their data ---------------------------------------------------------------------------------------

    def task(self, task_id: int) -> Task:
        """One task."""
        return Task.read(self._get(f"/tasks/{task_id}", doing=f"read task {task_id}"))

    def tasks_linked(self, bug_tracker: str) -> list[Task]:
        """The tasks with exactly this back-link, oldest first (the filter goes by another name than the field)."""
        query = {"tracker_link": bug_tracker, "sort": "id"}
        found = [Task.read(item) for item in self._list("/tasks", query, doing="look for the task")]
        return [task for task in found if task.bug_tracker == bug_tracker]

    def create_task(
        self, name: str, project_id: int, bug_tracker: str, *, segment_size: int = 0, subset: str = ""
    ) -> Task:
        """Make a task in a project. After an unknown outcome look for its back-link.

        The overlap is always 0: otherwise a shape is stored in two jobs and comes back as two once one is edited.
        """
        body = {
            "name": name,
            "project_id": project_id,
            "bug_tracker": bug_tracker,
            "overlap": 0,
            "segment_size": segment_size,
            "subset": subset,
        }
        return Task.read(self._send("POST", "/tasks", body, doing="create the task"))

    def delete_task(self, task_id: int) -> None:
        """Delete a task with its jobs; one that is gone already is as good."""
        self._delete(f"/tasks/{task_id}", doing=f"delete task {task_id}")

    def data_meta(self, task_id: int) -> DataMeta:
        """The frames of a task; a task without data is a Broken500 in some versions."""
        return DataMeta.read(self._get(f"/tasks/{task_id}/data/meta", doing=f"read the frames of task {task_id}"))

    def finish_upload(self, task_id: int, options: Json) -> str:
        """Start the making of the task from what was uploaded; the id of the request. Safe to repeat.

        Refused with "Adding more data is not supported" once the task has frames.
        """
        try:
            answer = self.transport.call(
                "POST",
                f"/tasks/{task_id}/data",
                body=dict(options),
                headers={"Upload-Finish": ""},
                repeat=Repeat.SAFE,
                doing=f"start the making of task {task_id}",
            )
        except Busy as busy:
            if busy.rq_id is None:
                raise
            return busy.rq_id
        return str(_object(answer).get("rq_id") or f"action=create&target=task&target_id={task_id}")

    def make_from_storage(self, task_id: int, storage_id: int, keys: Sequence[str], options: Json) -> str:
        """Start the making of the task from files of a cloud storage, in this order; the id of the request.

        Refused with "Adding more data is not supported" once the task has frames.
        """
        body = {**options, "sorting_method": "predefined", "cloud_storage_id": storage_id, "server_files": list(keys)}
        try:
            answer = self.transport.call(
                "POST",
                f"/tasks/{task_id}/data",
                body=body,
                repeat=Repeat.SAFE,
                doing=f"start the making of task {task_id} from the bucket",
            )
        except Busy as busy:
            if busy.rq_id is None:
                raise
            return busy.rq_id
        return str(_object(answer).get("rq_id") or f"action=create&target=task&target_id={task_id}")

    def bucket_of_storage(self, storage_id: int) -> str:
        """The bucket behind a cloud storage; "" if it is no S3."""
        data = self._get(f"/cloudstorages/{storage_id}", doing=f"read cloud storage {storage_id}")
        return str(data.get("resource") or "") if data.get("provider_type") == "AWS_S3_BUCKET" else ""

    def request(self, rq_id: str) -> Request:
        """A background request; NotFound once it is cancelled or its time is over."""
        return Request.read(self._get(f"/requests/{quote(rq_id, safe='')}", doing="follow the request"))

    # --- Jobs and remarks -------------------------------------------------------------------------------------------

    def jobs(self, task_id: int) -> list[Job]:
        """The jobs of a task, by id."""
        query: Query = {"task_id": task_id, "sort": "id"}
        return [Job.read(item) for item in self._list("/jobs", query, doing=f"read the jobs of task {task_id}")]

    def jobs_changed(self, since: str, *, task_id: int | None = None, project_id: int | None = None) -> list[Job]:
        """Jobs whose `updated_date` is later than `since`, oldest change first.

        `since` must be one of CVAT's own dates to the microsecond; "" asks for all jobs.
        """
        terms: list[Any] = [{">": [{"var": "updated_date"}, since]}] if since else []
        terms += [{"==": [{"var": "task_id"}, task_id]}] if task_id is not None else []
        terms += [{"==": [{"var": "project_id"}, project_id]}] if project_id is not None else []
        query: dict[str, str | int] = {"sort": "updated_date,id"}
        if terms:
            query["filter"] = json.dumps({"and": terms})
        return [Job.read(item) for item in self._list("/jobs", query, doing="look for changed jobs")]

    def issues(self, task_id: int) -> list[Issue]:
        """Remarks left on the frames of a task."""
        found = self._list("/issues", {"task_id": task_id}, doing="read the remarks")
        return [Issue.read(item) for item in found]

    def comments(self, job_id: int) -> list[Comment]:
        """The texts of the remarks in a job."""
        found = self._list("/comments", {"job_id": job_id}, doing="read the texts of the remarks")
        return [Comment.read(item) for item in found]

    # --- Annotations ------------------------------------------------------------------------------------------------

    def annotations(self, place: Place, place_id: int) -> Annotations:
        """All annotations of a task or a job, in one piece."""
        return Annotations.read(
            self._get(f"/{place}/{place_id}/annotations", doing=f"read the annotations of {place[:-1]} {place_id}")
        )

    def save(self, task_id: int, action: Action, shapes: Iterable[Shape]) -> list[Shape]:
        """Create, update or delete shapes through the task, all or nothing; the answer is in CVAT's order, by job.

        Never through a job: it takes shapes of frames that are not its own. `create` is not repeated after an unknown
        outcome, everything would be there twice; `annotating.create` sees to that.
        """
        return list(Annotations.read(self._save(task_id, action, shapes)).shapes)

    def create_shapes(self, task_id: int, shapes: Iterable[Shape], specs: Mapping[int, int]) -> Counter[str]:
        """The same for new ones; told is only how many shapes CVAT has stored of each coco_id (`specs`: see there)."""
        answer = self._save(task_id, "create", shapes)
        return Counter(coco_id_in(shape, specs) for shape in items(answer.get("shapes")))

    def _save(self, task_id: int, action: Action, shapes: Iterable[Shape]) -> Json:
        return _object(
            self.transport.call(
                "PATCH",
                f"/tasks/{task_id}/annotations",
                query={"action": action},
                body=body_of(shapes),
                repeat=Repeat.UNSENT if action == "create" else Repeat.SAFE,
                doing=f"{action} annotations of task {task_id}",
            )
        )

    # --- Webhooks ---------------------------------------------------------------------------------------------------

    def webhooks(self, project_id: int) -> list[Webhook]:
        """The webhooks of a project."""
        found = self._list("/webhooks", {"project_id": project_id}, doing="read the webhooks")
        return [Webhook.read(item) for item in found]

    def create_webhook(self, project_id: int, target_url: str, secret: str, events: Sequence[str]) -> Webhook:
        """Have CVAT tell `target_url` of events in a project, signed with `secret` (up to 64 characters)."""
        body = {
            "target_url": target_url,
            "description": "CocoHub",
            "type": "project",
            "content_type": "application/json",
            "secret": secret,
            "is_active": True,
            "enable_ssl": True,
            "events": list(events),
            "project_id": project_id,
        }
        return Webhook.read(self._send("POST", "/webhooks", body, doing="create the webhook"))

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook; one that is gone already is as good."""
        self._delete(f"/webhooks/{webhook_id}", doing=f"delete webhook {webhook_id}")

    # --- How --------------------------------------------------------------------------------------------------------

    def _get(self, path: str, query: Query | None = None, *, doing: str) -> Json:
        return _object(self.transport.call("GET", path, query=query, doing=doing))

    def _send(self, method: str, path: str, body: Json, *, doing: str) -> Json:
        return _object(self.transport.call(method, path, body=body, doing=doing))

    def _delete(self, path: str, *, doing: str) -> None:
        try:
            self.transport.call("DELETE", path, doing=doing)
        except NotFound:
            return

    def _list(self, path: str, query: Query, *, doing: str) -> list[Json]:
        return list(pages(lambda page: self._get(path, {**query, "page": page, "page_size": PAGE}, doing=doing)))


def pages(read: Callable[[int], Json]) -> Iterator[Json]:
    """The items of all pages, each once: a page past the end ends it, and shifting pages repeat nothing."""
    seen: set[object] = set()
    for page in range(1, MAX_PAGES + 1):
        try:
            data = read(page)
        except NotFound as error:
            if page > 1 and "page" in error.words.lower():
                return
            raise
        for item in items(data.get("results")):
            key = item.get("id")
            if key is None or key not in seen:
                seen.add(key)
                yield item
        if not data.get("next"):
            return


def _object(answer: Answer) -> Json:
    data = answer.json() if answer.body else {}
    return data if isinstance(data, dict) else {}
