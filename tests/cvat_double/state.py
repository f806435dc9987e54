"""What the double remembers, all in memory."""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cvat_double.answers import missing

START = datetime(2026, 1, 1, 9, 0, 0, tzinfo=UTC)
TICK = timedelta(microseconds=137)  # between two moments, so that every change has a date of its own
ADMIN_TOKEN = "double-pat-of-admin"
ADMIN_KEY = "double-login-key-of-admin"
PASSWORD = "double-password"

Record = dict[str, Any]


@dataclass
class Options:
    """How the double behaves where servers differ."""

    version: str = "2.54.1"
    creation_seconds: float = 0.0  # how long the making of a task takes, on the double's clock
    export_seconds: float = 0.0
    polls_until_done: int = 1  # how often a request says "started" before it says how it ended
    races: bool = False  # finished without dates, failed with a traceback: once each
    serial: bool = False  # one background request at a time: others are queued
    anonymous_limit: int = 100  # calls a minute without credentials
    read_only_token: bool = False
    null_groups: bool = True  # group null by default, as before 2.80
    fail_creations: int = 0  # so many next creations fail, whatever the images


@dataclass
class Task:
    """A task: its record as answered, and what is behind it."""

    record: Record
    labels: list[Record] = field(default_factory=list)  # its own, without a project
    frames: list[Record] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    deleted_frames: list[int] = field(default_factory=list)
    uploads: dict[str, "Upload"] = field(default_factory=dict)  # by upload id
    files: dict[str, bytes] = field(default_factory=dict)  # complete ones, by name
    announced: list[str] = field(default_factory=list)  # names of abandoned or complete uploads
    spoilt: bool = False
    has_data: bool = False
    bucket: int | None = None  # the cloud storage that its images are read from
    chunks_date: str = ""


@dataclass
class Upload:
    """One TUS upload."""

    name: str
    length: int
    data: bytearray = field(default_factory=bytearray)


@dataclass
class Job:
    """A job: its record, and its annotations in the order they were stored."""

    record: Record
    shapes: dict[int, Record] = field(default_factory=dict)
    tags: dict[int, Record] = field(default_factory=dict)
    tracks: dict[int, Record] = field(default_factory=dict)


@dataclass
class Bucket:
    """A cloud storage: its name, and what reads a file of it (None: it is not there)."""

    name: str
    read: Callable[[str], bytes | None]


@dataclass
class Work:
    """A background request."""

    record: Record
    action: str
    subresource: str
    ready_at: float
    starts_at: float
    run: Any = None
    done: bool = False
    polls: int = 0
    raced: bool = False
    expires: datetime | None = None
    result: bytes = b""
    lifetime: float = 500.0


class State:
    """Everything. Hold `lock` while reading or changing it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.options = Options()
        self.base = ""
        self.clear()

    def clear(self) -> None:
        """Forget all but the options and the address."""
        self._counters: dict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._moment = START
        self.skipped = timedelta()
        self.users: dict[int, Record] = {}
        self.tokens: dict[str, Record] = {}  # value -> record
        self.keys: dict[str, int] = {}  # login key -> user
        self.organizations: dict[int, Record] = {}
        self.projects: dict[int, Record] = {}
        self.labels: dict[int, Record] = {}  # also sublabels, with _project or _task
        self.tasks: dict[int, Task] = {}
        self.jobs: dict[int, Job] = {}
        self.works: dict[str, Work] = {}
        self.issues: dict[int, Record] = {}
        self.comments: dict[int, Record] = {}
        self.webhooks: dict[int, Record] = {}
        self.deliveries: dict[int, list[Record]] = defaultdict(list)
        self.shape_owner: dict[int, int] = {}  # id of a shape or element -> job
        self.poisoned: dict[int, set[int]] = defaultdict(set)  # task -> shapes that break reading
        self.anonymous: list[float] = []
        self.buckets: dict[int, Bucket] = {}
        self.calls: list[tuple[str, str, int]] = []  # method, path, status: for tests
        self.fault_rules: list[Any] = []
        self.add_user("admin", ADMIN_TOKEN, ADMIN_KEY)

    # --- Ids and time ---

    def next_id(self, kind: str) -> int:
        """Ids of each kind count up, whatever is deleted."""
        return next(self._counters[kind])

    def now(self) -> datetime:
        """The double's time: later with every look."""
        self._moment += TICK
        return self._moment + self.skipped

    def date(self) -> str:
        """Now as CVAT writes it."""
        return written(self.now())

    def advance(self, seconds: float) -> None:
        """Let time pass: requests expire, slow work comes to its end."""
        self.skipped += timedelta(seconds=seconds)

    # --- People ---

    def add_user(self, username: str, token: str, key: str = "") -> Record:
        """A user with a personal access token."""
        user = {"id": self.next_id("user"), "username": username, "key": key or f"key-of-{username}"}
        self.users[user["id"]] = user
        self.add_token(user["id"], token, "first")
        self.keys[user["key"]] = user["id"]
        return user

    def add_token(
        self, user_id: int, value: str, name: str, expiry: str | None = None, read_only: bool = False
    ) -> Record:
        """Another token of a user."""
        date = self.date()
        token = {
            "id": self.next_id("token"),
            "name": name,
            "created_date": date,
            "updated_date": date,
            "expiry_date": expiry,
            "last_used_date": None,
            "read_only": read_only,
            "owner": self.person(user_id),
            "_user": user_id,
        }
        self.tokens[value] = token
        return token

    def person(self, user_id: int) -> Record:
        """A user as others see them."""
        username = self.users[user_id]["username"]
        url = f"{self.base}/api/users/{user_id}"
        return {"url": url, "id": user_id, "username": username, "first_name": "", "last_name": ""}

    # --- Look-ups that refuse ---

    def project(self, project_id: int) -> Record:
        """The project, or a 404."""
        if project_id not in self.projects:
            raise missing("Project")
        return self.projects[project_id]

    def task(self, task_id: int) -> Task:
        """The task, or a 404."""
        if task_id not in self.tasks:
            raise missing("Task")
        return self.tasks[task_id]

    def job(self, job_id: int) -> Job:
        """The job, or a 404."""
        if job_id not in self.jobs:
            raise missing("Job")
        return self.jobs[job_id]

    def jobs_of(self, task_id: int) -> list[Job]:
        """The jobs of a task, by id."""
        return [job for job in self.jobs.values() if job.record["task_id"] == task_id]

    def tasks_of(self, project_id: int) -> list[Task]:
        """The tasks of a project."""
        return [task for task in self.tasks.values() if task.record["project_id"] == project_id]

    # --- What moves dates ---

    def touch(self, *records: Record | None) -> None:
        """Set `updated_date`."""
        for record in records:
            if record is not None:
                record["updated_date"] = self.date()

    def touch_jobs(self, project_id: int) -> None:
        """A changed label moves every job of the project."""
        for job in self.jobs.values():
            if job.record["project_id"] == project_id:
                self.touch(job.record)


def written(moment: datetime) -> str:
    """A date as CVAT writes it: microseconds and Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
