"""Python client of CocoHub's API, version 1.

    hub = CocoHub("https://cocohub.example.org", token="cocohub_pat_...")
    project = hub.project("Street scenes")
    for image in project.images("category:person width>1024"):
        print(image["file_name"])

What the API answers is given as it is (dicts), as `/api/v1/docs` describes it. Every refusal is an ApiError.
"""

import base64
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urljoin, urlsplit

import requests

__all__ = ["ApiError", "CocoHub", "Project", "StillRunning", "TaskFailed", "Unreachable"]

Record = dict[str, Any]

PART = 16 * 1024 * 1024  # bytes of one part of an upload
CHUNK = 1024 * 1024  # bytes
ATTEMPTS = 5  # of a call that may be repeated, and of a part of an upload
REPEATED = {429, 502, 503, 504}
FINISHED = {"succeeded", "failed", "cancelled"}


class ApiError(Exception):
    """The server refused: `status`, `message` for people, `fields` ({name: [messages]}), `detail`, `request_id`."""

    def __init__(self, status: int, body: Any, request_id: str = "") -> None:
        told = body if isinstance(body, Mapping) else {}
        self.status = status
        self.message = str(told.get("message") or f"The server answered {status}.")
        self.fields: dict[str, list[str]] = dict(told.get("fieldErrors") or {})
        self.detail: Any = told.get("detail")
        self.request_id = request_id
        faults = [f"{name}: {' '.join(texts)}" for name, texts in self.fields.items()]
        told_again = [fault for fault in faults if fault.partition(": ")[2] not in self.message]
        super().__init__(" ".join([f"{status}: {self.message}", *told_again]))


class Unreachable(Exception):
    """No answer came, though it was asked for several times."""


class TaskFailed(Exception):
    """Long work ended otherwise than well; `task` is what is known of it."""

    def __init__(self, task: Record) -> None:
        self.task = task
        super().__init__(f"{task['kind']} {task['status']}: {task['message']}")


class StillRunning(Exception):
    """Long work had not ended when it was no longer waited for; `task` is what is known of it. It goes on."""

    def __init__(self, task: Record) -> None:
        self.task = task
        share = "" if task["percent"] is None else f" ({task['percent']} %)"
        super().__init__(f"{task['kind']} is still {task['status']}{share}.")


class CocoHub:
    """A CocoHub server, and who asks: `token` is a personal token or an access token.

    `url` is the server's address, as browsers have it. `timeout` are the seconds that the server may be silent;
    `patience` the seconds that long work is waited for, each piece by itself (None: until it ends). Reads are repeated
    when the server is away or busy; so are POSTs, under one Idempotency-Key, so that nothing is done twice. Not for
    several threads at once.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 60.0,
        patience: float | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _address(url)
        self.timeout = timeout
        self.patience = patience
        self._pause = pause
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {token}", "User-Agent": "cocohub-client/1.0"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    # --- calls
    def get(self, path: str, **params: Any) -> Any:
        """GET `path` (below `/api/v1/`): the parsed answer."""
        return self.call("GET", path, params=params).json()

    def post(self, path: str, body: Record | None = None) -> Any:
        """POST: the parsed answer, None if it is empty."""
        answer = self.call("POST", path, json=body or {}, headers={"Idempotency-Key": str(uuid.uuid4())})
        return answer.json() if answer.content else None

    def pages(self, path: str, **params: Any) -> Iterator[Record]:
        """All rows of a list, page by page as they are needed."""
        address: str | None = path
        while address:
            page = self.get(address, **params)
            yield from page["results"]
            address, params = page.get("next"), {}

    def call(self, method: str, path: str, *, repeat: bool = True, **options: Any) -> requests.Response:
        """One call; raises ApiError or Unreachable. `path` may be a whole address of this server."""
        address = urljoin(f"{self.url}/api/v1/", path.lstrip("/") if not path.startswith("http") else path)
        if not address.startswith(f"{self.url}/"):
            raise ValueError(f"{address} is no address of {self.url}: the token stays here.")
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS or not repeat
            try:
                answer = self._session.request(method, address, timeout=self.timeout, allow_redirects=False, **options)
            except (requests.ConnectionError, requests.Timeout) as error:
                if last:
                    raise Unreachable(f"{self.url} does not answer ({type(error).__name__}).") from error
                self._pause(0.5 * 2**attempt)
                continue
            # A POST that is sent again while the first is being answered gets 409, and when to ask again.
            in_hand = answer.status_code == 409 and "Retry-After" in answer.headers
            if (answer.status_code in REPEATED or in_hand) and not last:
                self._pause(max(0.5 * 2**attempt, _seconds(answer.headers.get("Retry-After", ""))))
                continue
            return _checked(answer)
        raise AssertionError("unreachable")

    def wait(
        self, task: Record | str, *, told: Callable[[Record], None] = lambda task: None, every: float = 1.0
    ) -> Record:
        """Wait for a task to end, and give it; `told(task)` hears of it meanwhile. Raises TaskFailed, StillRunning."""
        key = task if isinstance(task, str) else task["id"]
        until = None if self.patience is None else time.monotonic() + self.patience
        while True:
            found: Record = self.get(f"tasks/{key}")
            told(found)
            if found["status"] == "succeeded":
                return found
            if found["status"] in FINISHED:
                raise TaskFailed(found)
            if until is not None and time.monotonic() > until:
                raise StillRunning(found)
            self._pause(every)

    def download(self, path: str, target: str | Path) -> Path:
        """GET a file into `target`, which appears whole or not at all; on where it was if the connection breaks."""
        place = Path(target)
        draft = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        try:
            with draft.open("wb") as file:
                failures, whole = 0, False
                while not whole:
                    before = file.tell()
                    try:
                        whole = self._some_of(path, file)
                    except requests.RequestException as error:
                        failures = 1 if file.tell() > before else failures + 1
                        if failures >= ATTEMPTS:
                            raise Unreachable(f"The download broke off ({type(error).__name__}).") from error
                        self._pause(0.5 * 2**failures)
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
        return place

    def _some_of(self, path: str, file: BinaryIO) -> bool:
        """Add to the file what is left of it; True. Raises RequestException where the connection breaks."""
        asked = {"Accept-Encoding": "identity", "Range": f"bytes={file.tell()}-"}  # plain: its length is the file's
        if not file.tell():
            del asked["Range"]
        with self.call("GET", path, stream=True, headers=asked) as answer:
            if answer.status_code != 206:
                file.seek(0)
                file.truncate()
            end = file.tell() + int(answer.headers.get("Content-Length", -1))
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
            if "Content-Length" in answer.headers and file.tell() != end:
                raise requests.ConnectionError(f"{end - file.tell()} bytes are missing")
        return True

    # --- projects
    def projects(self, search: str = "") -> Iterator["Project"]:
        """The projects that you see, or those with `search` in name or description."""
        for record in self.pages("projects", **({"search": search} if search else {})):
            yield Project(self, record)

    def project(self, key: int | str) -> "Project":
        """The project of this id or name. Raises LookupError if you see none of the name, or several."""
        if isinstance(key, int):
            return Project(self, self.get(f"projects/{key}"))
        found = [each for each in self.projects(key) if each.name == key]
        if len(found) != 1:
            raise LookupError(f"You see {len(found)} projects called {key!r}.")
        return found[0]

    def create_project(self, name: str, **fields: Any) -> "Project":
        """Make a project."""
        return Project(self, self.post("projects", {"name": name, **fields}))


class Project:
    """One project; `record` is what the API said of it."""

    def __init__(self, hub: CocoHub, record: Record) -> None:
        self.hub = hub
        self.record = record
        self.id = int(record["id"])
        self.name = str(record["name"])
        self.path = f"projects/{self.id}"

    def __repr__(self) -> str:
        return f"<Project {self.id} {self.name!r}>"

    # --- in
    def import_coco(
        self,
        file: str | Path,
        images: str | Path | None = None,
        *,
        told: Callable[[Record], None] = lambda task: None,
        **options: Any,
    ) -> Record:
        """Import a COCO file (JSON, or gzip of it) or a zip; `images` is a zip of pictures. Gives the import's task.

        Both go up in parts, and on where they were if the connection breaks. Options are those of the API: `split`,
        `splits`, `strict`. Raises TaskFailed if nothing was imported.
        """
        body = {"upload": self.upload(file), **options}
        if images is not None:
            body["images_upload"] = self.upload(images)
        return self.hub.wait(self.hub.post(f"{self.path}/coco", body)["task"], told=told)

    def import_predictions(self, file: str | Path, source: str, **options: Any) -> Record:
        """Import a COCO results file as what `source` has predicted."""
        body = {"upload": self.upload(file), "source": source, **options}
        return self.hub.wait(self.hub.post(f"{self.path}/coco/predictions", body)["task"])

    def add_images(self, images: str | Path, **options: Any) -> Record:
        """Give images that have none their pictures, from a zip."""
        body = {"upload": self.upload(images), **options}
        return self.hub.wait(self.hub.post(f"{self.path}/coco/images", body)["task"])

    def upload(self, file: str | Path) -> str:
        """Send a file up in parts (tus 1.0); the id of the upload."""
        path = Path(file)
        size, tus = path.stat().st_size, {"Tus-Resumable": "1.0.0"}
        name = base64.b64encode(path.name.encode()).decode()
        begun = {**tus, "Upload-Length": str(size), "Upload-Metadata": f"filename {name}"}
        made = self.hub.call("POST", f"{self.path}/uploads", headers=begun, repeat=False)
        place, offset, failures = made.headers["Location"], 0, 0
        with path.open("rb") as source:
            while offset < size:
                source.seek(offset)
                part = source.read(PART)
                headers = {**tus, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                try:
                    answer = self.hub.call("PATCH", place, data=part, headers=headers, repeat=False)
                    offset, failures = int(answer.headers["Upload-Offset"]), 0
                except (Unreachable, ApiError) as error:
                    failures += 1
                    if failures >= ATTEMPTS or (
                        isinstance(error, ApiError) and error.status not in {*REPEATED, 409, 423}
                    ):
                        raise
                    self.hub._pause(0.5 * 2**failures)
                    offset = int(self.hub.call("HEAD", place, headers=tus).headers["Upload-Offset"])
        return place.rstrip("/").rpartition("/")[2]

    # --- looking and changing
    def images(self, q: str = "", *, sort: str = "", fields: Sequence[str] = ()) -> Iterator[Record]:
        """The images that the query finds, page by page as they are needed."""
        asked = {"q": q, "sort": sort, "fields": ",".join(fields)}
        return self.hub.pages(f"{self.path}/assets", **{name: value for name, value in asked.items() if value})

    def count(self, q: str = "") -> int:
        """How many images the query finds, exactly."""
        return int(self.hub.get(f"{self.path}/assets", q=q, count="exact", page_size=1)["count"])

    def facets(self, q: str = "") -> Record:
        """Tags, categories, splits, statuses and issues of what the query finds, with their numbers."""
        return dict(self.hub.get(f"{self.path}/assets/facets", q=q))

    def edit_image(self, image_id: int, **change: Any) -> Record:
        """Change one image: `add_tags`, `remove_tags`, `status`, `metadata` ..."""
        return dict(self.hub.call("PATCH", f"{self.path}/assets/{image_id}", json=change).json())

    def edit(self, q: str, *, dry_run: bool = False, **change: Any) -> Record:
        """Change all images that the query finds, and wait until it is done; the edit, which can be undone."""
        edit = self.hub.post(f"{self.path}/assets/bulk", {"q": q, "dry_run": dry_run, **change})
        if dry_run or not edit.get("task"):
            return dict(edit)
        self.hub.wait(edit["task"])
        return dict(self.hub.get(f"{self.path}/bulk-edits/{edit['id']}"))

    def undo(self, edit: Record, *, skip_changed: bool = False) -> Record:
        """Take a bulk edit back."""
        undone = self.hub.post(f"{self.path}/bulk-edits/{edit['id']}/undo", {"skip_changed": skip_changed})
        if undone.get("task"):
            self.hub.wait(undone["task"])
        return dict(undone)

    def categories(self) -> Iterator[Record]:
        """The categories."""
        return self.hub.pages(f"{self.path}/categories")

    def metric(self, name: str, q: str = "", *, every: float = 1.0) -> Record:
        """The fresh figures of a metric, waited for."""
        while True:
            found: Record = self.hub.get(f"{self.path}/insights/metrics/{quote(name, safe='')}", q=q)
            if not found["pending"] and not found["stale"]:
                return dict(found["figures"])
            self.hub._pause(every)

    # --- out
    def export_coco(self, target: str | Path, q: str = "", **options: Any) -> Path:
        """Export what the query finds, and write it to `target`, which appears whole or not at all.

        Options are those of the API: `split`, `kind`, `package` (a zip with a file per split), `pictures`, `sources`.
        """
        job = self.hub.post(f"{self.path}/exports/coco", {"q": q, **options})
        self.hub.wait(job["task"])
        return self.hub.download(f"{self.path}/exports/{job['id']}/download", target)

    def export_cvat(self, q: str = "", *, wait: bool = True, **options: Any) -> Record:
        """Send what the query finds to CVAT. Options: `images_per_task`, `split`, `dry_run` ..."""
        job = self.hub.post(f"{self.path}/exports/cvat", {"q": q, **options})
        if wait and not options.get("dry_run"):
            self.hub.wait(job["task"])
            job = self.hub.get(f"{self.path}/exports/cvat/{job['id']}")
        return dict(job)


def _address(url: str) -> str:
    """The server's address as it is written in links: small letters, without a slash or the `/api/v1` at its end."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no address of a server: it begins with https:// or http://.")
    path = parts.path.rstrip("/").removesuffix("/api/v1").rstrip("/")
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{path}"


def _checked(answer: requests.Response) -> requests.Response:
    if answer.status_code < 300:
        return answer
    try:
        body = answer.json()
    except ValueError:
        body = None
    raise ApiError(answer.status_code, body, answer.headers.get("X-Request-ID", ""))


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0
