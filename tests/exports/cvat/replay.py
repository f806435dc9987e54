"""Recorded exchanges of a real CVAT, sent again to the double, with ids and dates carried over."""

import base64
import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

import urllib3
from PIL import Image

from tests.cvat_double import Double
from tests.cvat_double.state import ADMIN_KEY, ADMIN_TOKEN, PASSWORD, START

RECORDED = Path(__file__).parent / "recorded"
JUNK = {"f147a90a8464": b"no image at all" * 24, "e3b0c44298fc": b""}  # by the beginning of their sha256
# Zips of so many plain images, of which the recording has only the length.
PLAIN = {"171122": 4, "117837": 3, "42243": 1, "279666": 6}
UPLOAD = re.compile(r"\d+_[0-9a-f]{8}-[0-9a-f-]{27}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
UNKNOWN = 900_000  # from here on ids are meant to be unknown
KINDS = {
    "projects": "project",
    "tasks": "task",
    "jobs": "job",
    "labels": "label",
    "webhooks": "webhook",
    "deliveries": "delivery",
    "issues": "issue",
    "comments": "comment",
    "organizations": "organization",
    "access_tokens": "token",
}
FIELDS = {
    "project_id": "project",
    "task_id": "task",
    "job_id": "job",
    "job": "job",
    "label_id": "label",
    "spec_id": "spec",
    "organization": "organization",
    "organization_id": "organization",
    "org_id": "organization",
    "issue": "issue",
    "webhook_id": "webhook",
}
LISTS = {
    "attributes": "spec",
    "sublabels": "label",
    "shapes": "shape",
    "elements": "shape",
    "tags": "tag",
    "tracks": "track",
}

Step = dict[str, Any]


def steps(file: str) -> list[Step]:
    """The exchanges of one recording, in order."""
    path = next(RECORDED.glob(f"{file}_*.jsonl"))
    return [json.loads(line) for line in path.read_text().splitlines()]


@cache
def _sizes() -> dict[str, list[int]]:
    return json.loads((RECORDED / "image_sizes.json").read_text())


@cache
def picture(sha: str, name: str) -> bytes:
    """An image of the size that the recorded one had; or the junk that it was."""
    if sha in JUNK:
        return JUNK[sha]
    suffix = Path(name).suffix.lower()
    if suffix not in (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"):
        return b"text"
    file = io.BytesIO()
    kind = {".png": "PNG", ".bmp": "BMP", ".gif": "GIF", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
    width, height = _sizes().get(sha, (64, 48))
    Image.new("RGB", (width, height)).save(file, kind.get(suffix, "JPEG"))
    return file.getvalue()


def archive(members: list[list[Any]]) -> bytes:
    """A zip with these members."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as made:
        warnings.simplefilter("ignore")  # one name twice is meant
        for name, sha, _ in members:
            made.writestr(name, picture(sha, name))
    return file.getvalue()


class Replay:
    """Sends steps to a double and keeps what became of recorded ids, dates, tokens and uploads."""

    def __init__(self, double: Double) -> None:
        self.double = double
        self.ids: dict[tuple[str, int], int] = {("user", 1): 1}
        self.texts: dict[str, str] = {}  # dates, upload ids, tokens
        self.zips: dict[int, bytes] = {}  # recorded length -> what is sent in its place
        self.lengths: dict[str, int] = {}  # our upload id -> recorded length
        self.http = urllib3.PoolManager()

    def send(self, step: Step) -> tuple[int, dict[str, str], Any]:
        """Status, headers and parsed body of the double's answer to a recorded request."""
        request = step["request"]
        if "members" in step:
            self.zips[int(request["headers"]["Upload-Length"])] = archive(step["members"])
        elif request["headers"].get("Upload-Length") in PLAIN:
            length = request["headers"]["Upload-Length"]
            self.zips.setdefault(int(length), archive([[f"{n}.jpg", "", 0] for n in range(1, PLAIN[length] + 1)]))
        path = self._path(request["path"])
        url = f"{self.double.url}{path}"
        if request.get("query"):
            url += "?" + urlencode({key: self._query(key, value) for key, value in request["query"].items()})
        headers = {"Accept": "application/vnd.cvat+json, application/json"} | self._headers(request["headers"], path)
        body = self._body(request, headers, path)
        answer = self.http.request(
            request["method"], url, body=body, headers=headers, timeout=15, retries=False, redirect=False
        )
        try:
            data = json.loads(answer.data)
        except ValueError:
            data = answer.data
        self._learn(step, answer.headers, data)
        return answer.status, dict(answer.headers), data

    # --- Out ---

    def _path(self, path: str) -> str:
        if "/requests/" in path:
            head, _, rest = path.partition("/requests/")
            rq_id, slash, tail = rest.partition("/")
            return f"{head}/requests/{quote(self._rq(unquote(rq_id)), safe='')}{slash}{tail}"
        parts = path.split("/")
        for index, part in enumerate(parts[:-1]):
            if part in KINDS and parts[index + 1].isdigit():
                parts[index + 1] = str(self._id(KINDS[part], int(parts[index + 1])))
        found = UPLOAD.fullmatch(parts[-1])
        if found:
            user, _, rest = parts[-1].partition("_")
            known = self.texts.get(f"1_{rest}", parts[-1])
            parts[-1] = f"{user}_{known.partition('_')[2]}"
        return "/".join(parts)

    def _rq(self, rq_id: str) -> str:
        target = re.search(r"target=(\w+)", rq_id)
        if target is None:
            return rq_id
        return re.sub(r"target_id=(\d+)", lambda found: f"target_id={self._id(target[1], int(found[1]))}", rq_id)

    def _query(self, key: str, value: str) -> str:
        if key in FIELDS and value.isdigit():
            return str(self._id(FIELDS[key], int(value)))
        if key == "rq_id":
            return self._rq(value)
        if key != "filter":
            return value
        value = re.sub(
            r'(\{"var": "(\w+)"\}, )(\d+|\[[\d, ]+\])',
            lambda found: found[1] + re.sub(r"\d+", lambda one: self._term(found[2], int(one[0])), found[3]),
            value,
        )
        value = DATE.sub(lambda found: self._date(found[0]), value)
        return re.sub(r'"\d{4}-\d\d-\d\d"', f'"{START:%Y-%m-%d}"', value)

    def _date(self, recorded: str) -> str:
        """Our date for a recorded one, cut to seconds if that one is, with an offset if that one has one."""
        if recorded in self.texts:
            return self.texts[recorded]
        known = [ours for date, ours in self.texts.items() if date.startswith(recorded.rstrip("Z"))]
        return f"{known[-1][:19]}Z" if known else recorded

    def _term(self, name: str, number: int) -> str:
        kind = FIELDS.get(name)
        if kind is None:  # "id" of the list at hand: tasks or projects
            return str(self.ids.get(("task", number), self.ids.get(("project", number), number)))
        return str(self._id(kind, number))

    def _headers(self, recorded: dict[str, str], path: str) -> dict[str, str]:
        headers = dict(recorded)
        given = headers.get("Authorization", "")
        scheme, _, value = given.partition(" ")
        stand_ins = {"<token>": ADMIN_TOKEN, "<login-key>": ADMIN_KEY, "<basic>": "YWRtaW46eA=="}
        if given:
            headers["Authorization"] = f"{scheme} {stand_ins.get(value, self.texts.get(value, value))}".strip()
            if not value:
                headers["Authorization"] = given
        if "Origin" in headers:
            headers["Origin"] = self.double.url
        length = headers.get("Upload-Length", "")
        if length.isdigit() and int(length) in self.zips:
            headers["Upload-Length"] = str(len(self.zips[int(length)]))
        if "Upload-Offset" in headers:
            headers["Upload-Offset"] = str(self._scaled(path, int(headers["Upload-Offset"])))
        return headers

    def _scaled(self, path: str, offset: int) -> int:
        recorded = self.lengths.get(path.rpartition("/")[2])
        if recorded is None or recorded not in self.zips or offset <= 100:
            return offset
        ours = len(self.zips[recorded])
        return offset * ours // recorded if offset <= recorded else ours + offset - recorded

    def _body(self, request: Step, headers: dict[str, str], path: str) -> bytes | None:
        if "json" in request:
            return json.dumps(self._mapped(request["json"])).encode()
        if "text" in request:
            text = re.sub(r'("label_id": ?)(\d+)', lambda m: m[1] + str(self._id("label", int(m[2]))), request["text"])
            text = re.sub(r'("spec_id": ?)(\d+)', lambda m: m[1] + str(self._id("spec", int(m[2]))), text)
            return text.encode("latin-1" if "\ufffd" not in text else "utf-8").replace("\ufffd".encode(), b"\xe9")
        if "form" in request and "fields" not in request["form"]:
            return urlencode(request["form"]).encode()
        if "form" in request:
            fields: dict[str, Any] = dict(request["form"]["fields"])
            for file in request["form"]["files"]:
                fields[file["field"]] = (file["filename"], picture(file["sha256"][:12], file["filename"]))
            body, headers["Content-Type"] = urllib3.encode_multipart_formdata(fields)
            return body
        if "body_bytes" in request and request["method"] == "PATCH":
            start = int(request["headers"].get("Upload-Offset", 0))
            first, last = self._scaled(path, start), self._scaled(path, start + request["body_bytes"])
            recorded = self.lengths.get(path.rpartition("/")[2], 0)
            whole = self.zips.get(recorded, b"")
            return whole[first:last].ljust(last - first, b"x")
        return None

    def _mapped(self, value: Any, kind: str = "") -> Any:
        if isinstance(value, list):
            return [self._mapped(item, kind) for item in value]
        if not isinstance(value, dict):
            return value
        mapped = {}
        for key, item in value.items():
            if key in FIELDS and isinstance(item, int):
                mapped[key] = self._id(FIELDS[key], item)
            elif key == "id" and isinstance(item, int):
                mapped[key] = self._id(kind, item)
            elif key == "password":
                mapped[key] = PASSWORD if item == "<password>" else item
            elif key == "target_url" and isinstance(item, str):
                mapped[key] = item.replace("<listener>", "127.0.0.1:9")
            else:
                mapped[key] = self._mapped(item, "label" if key == "labels" else LISTS.get(key, kind))
        return mapped

    def _id(self, kind: str, number: int) -> int:
        if kind == "label" and (kind, number) not in self.ids and number < UNKNOWN:
            return max(self.double.state.labels, default=number)  # one that the recording never listed
        return self.ids.get((kind, number), number)

    # --- Back ---

    def _learn(self, step: Step, headers: Any, data: Any) -> None:
        answer = step["response"]
        recorded = answer.get("headers", {}).get("Location", "")
        found, own = UPLOAD.search(recorded), UPLOAD.search(headers.get("Location") or "")
        if found and own:
            self.texts[found[0]] = own[0]
            self.lengths[own[0]] = int(step["request"]["headers"]["Upload-Length"])
        if "json" in answer and not isinstance(data, bytes):
            parts = [part for part in step["request"]["path"].split("/") if part in KINDS or part == "annotations"]
            self._pair(answer["json"], data, KINDS.get(parts[-1], "") if parts else "")

    def _pair(self, recorded: Any, ours: Any, kind: str) -> None:
        if isinstance(recorded, list) and isinstance(ours, list):
            for one, other in zip(recorded, ours, strict=False):
                self._pair(one, other, kind)
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        for key, value in recorded.items():
            other = ours.get(key)
            if key == "id" and isinstance(value, int) and isinstance(other, int):
                self.ids.setdefault((kind, value), other)
            elif key == "value" and isinstance(value, str) and value.startswith("<token"):
                self.texts[value] = str(other)
            elif isinstance(value, str) and DATE.fullmatch(value) and isinstance(other, str):
                self.texts[value] = other
            elif isinstance(value, dict | list) and key not in ("owner", "assignee", "sender", "user", "request"):
                self._pair(value, other, kind if key == "results" else LISTS.get(key, ""))


def form(value: Any) -> Any:
    """Keys and types of a body; lists are the set of the forms of their items."""
    match value:
        case dict():
            return {key: form(item) for key, item in value.items()}
        case list():
            forms: list[Any] = []
            for item in value:
                one = form(item)
                if one not in forms:
                    forms.append(one)
            return forms
        case bool() | None:
            return type(value).__name__
        case int() | float():
            return "number"
    return "text"


def differences(recorded: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Where two bodies differ in keys or types."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in sorted(set(recorded) | set(ours)):
            if key not in ours:
                yield f"{path}.{key} is missing"
            elif key not in recorded:
                yield f"{path}.{key} is not in the recording"
            else:
                yield from differences(recorded[key], ours[key], f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if bool(recorded) != bool(ours):
            yield f"{path}: {len(recorded)} items recorded, {len(ours)} found"
            return
        known = [form(item) for item in recorded]
        for item in ours:
            if form(item) not in known:
                yield from differences(recorded[0], item, f"{path}[]")
                return
    elif form(recorded) != form(ours):
        yield f"{path}: {form(recorded)} recorded, {form(ours)} found"


def words_of_page(data: Any) -> str:
    """Bytes as text, and what kind of body it is."""
    return data.decode("utf-8", "replace") if isinstance(data, bytes) else ""


def token_of(name: str) -> str:
    """A file name as TUS sends it."""
    return base64.b64encode(name.encode()).decode()
