"""Every call of the API once, in the order in which a team might make them, over a small data set of streets."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from accounts import sealing, tokens
from annotations import bulk, services
from exports import connecting
from exports.cvat.webhooks import SIGNATURE_HEADER, sign
from exports.models import CvatProject, ExportJob
from exports.pulling import watching
from insights import tasks as insights_tasks
from projects import jobs
from projects.models import Project, Role, Task
from tests import factories
from tests.cvat_double import Double
from tests.examples.recorder import Recorder
from tests.exports.pulling.conftest import Desk
from webhooks import sending

PASSWORD = "correct horse battery 7"
OFFSET = "application/offset+octet-stream"
TUS = {"HTTP_TUS_RESUMABLE": "1.0.0"}
STREETS: dict[str, Any] = {
    "info": {"description": "Streets of Seoul", "year": 2026},
    "images": [
        {"id": number, "file_name": f"street_{number:04}.jpg", "width": 640, "height": 480, "license": 1}
        for number in range(1, 7)
    ],
    "annotations": [
        {"id": 10 * image + number, "image_id": image, "category_id": 1 + (image + number) % 3, "iscrowd": 0,
         "bbox": [40.5 * number, 60, 80, 120.25], "area": 9620.0, "attributes": {"occluded": number == 2}}
        for image in range(1, 7) for number in (1, 2)
    ] + [{"id": 99, "image_id": 42, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
    "categories": [
        {"id": 1, "name": "person", "supercategory": "human"},
        {"id": 2, "name": "car", "supercategory": "vehicle"},
        {"id": 3, "name": "lorry", "supercategory": "vehicle"},
    ],
}  # fmt: skip
PREDICTED = [
    {"image_id": 1, "category_id": 3, "bbox": [41, 60, 80, 120], "score": 0.91},
    {"image_id": 2, "category_id": 1, "bbox": [300, 200, 50, 60], "score": 0.42},
]


def picture(number: int) -> bytes:
    """A picture of its own, as JPEG."""
    content = io.BytesIO()
    Image.new("RGB", (640, 480), (number * 35 % 256, 90, 120)).save(content, "JPEG")
    return content.getvalue()


def pictures() -> bytes:
    """All of them as a zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for image in STREETS["images"]:
            archive.writestr(image["file_name"], picture(image["id"]))
    return content.getvalue()


def work(task_id: Any) -> Task:
    """What a worker does."""
    task = Task.objects.get(pk=task_id)
    current_app.tasks[jobs._kinds[task.kind].task_name](str(task.pk))
    task.refresh_from_db()
    return task


def work_all() -> None:
    """What workers do with whatever waits."""
    for task in Task.objects.filter(status=Task.Status.QUEUED):
        work(task.pk)


@contextmanager
def as_if_much(settings: Any) -> Iterator[None]:
    """Nothing is done while the client waits."""
    with (
        patch.object(bulk, "AT_ONCE", 0),
        patch.object(bulk, "AT_ONCE_ANNOTATIONS", 0),
        patch.object(services, "REMOVED_AT_ONCE", 0),
        patch.object(settings, "METRIC_WAIT_MS", 0),
    ):
        yield


class Story:
    """One run; `do(method, path, body)` writes the call down."""

    def __init__(self, recorder: Recorder, cvat: Double, receiver_url: str) -> None:
        self.client, self.cvat, self.receiver = recorder, cvat, receiver_url
        self.do: Callable[..., Any] = recorder.call
        self.owner = factories.make_user("ann@example.org", name="Ann Kim", password=PASSWORD)
        self.ben = factories.make_user("ben@example.org", name="Ben Lee", password=PASSWORD)
        self.admin = factories.make_admin("admin@example.org")
        self.as_user(self.owner)

    def as_user(self, user: Any) -> None:
        """Whoever speaks from now on."""
        user.refresh_from_db()  # a new password ends what was issued before
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(user).access}")

    def tell(self) -> None:
        """All of it."""
        self.accounts()
        self.project()
        self.imports()
        self.images()
        self.annotations()
        self.categories()
        self.insights()
        self.webhooks()
        self.exports()
        self.cvat_there()
        self.cvat_back()
        self.tasks()
        self.ends()

    def accounts(self) -> None:
        """Logging in, tokens, people."""
        login = {"email": "ann@example.org", "password": PASSWORD}
        pair = self.do("POST", "/api/v1/auth/login", login).json()
        self.do("POST", "/api/v1/auth/refresh", {"refresh": pair["refresh"]})
        new = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 8"}
        pair = self.do("POST", "/api/v1/auth/password", new).json()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
        self.do("POST", "/api/v1/auth/logout", {"everywhere": False})
        self.as_user(self.owner)
        self.do("PATCH", "/api/v1/auth/me", {"name": "Ann Kim"})
        wanted = {"name": "nightly import", "scopes": ["write"], "days": 30}
        made = self.do("POST", "/api/v1/auth/tokens", wanted).json()
        self.do("GET", "/api/v1/auth/tokens")
        self.do("DELETE", f"/api/v1/auth/tokens/{made['id']}")
        for path in ("", "/live", "/ready"):
            self.as_user(self.admin)
            self.do("GET", f"/api/v1/health{path}")
        new_user = {"email": "carl@example.org", "name": "Carl", "password": PASSWORD, "is_staff": True}
        carl = self.do("POST", "/api/v1/users", new_user).json()
        self.do("GET", "/api/v1/users")
        self.do("GET", f"/api/v1/users/{carl['id']}")
        self.do("POST", f"/api/v1/users/{carl['id']}/deactivate")
        self.do("POST", f"/api/v1/users/{carl['id']}/activate")
        self.as_user(self.owner)

    def project(self) -> None:
        """A project and its team."""
        made = self.do("POST", "/api/v1/projects", {"name": "Streets", "description": "Seoul, by day"}).json()
        self.base = f"/api/v1/projects/{made['id']}"
        self.made = Project.objects.get(pk=made["id"])
        self.do("GET", "/api/v1/auth/me")
        self.do("GET", "/api/v1/projects")
        self.do("GET", self.base)
        self.do("PATCH", self.base, {"description": "Seoul, by day and night"})
        member = self.do("POST", f"{self.base}/members", {"email": "ben@example.org", "role": "curator"}).json()
        self.do("GET", f"{self.base}/members")
        self.do("GET", f"{self.base}/members/{member['id']}")
        self.do("PATCH", f"{self.base}/members/{member['id']}", {"role": "manager"})

    def imports(self) -> None:
        """A COCO file in parts, its pictures, predictions."""
        document = json.dumps(STREETS).encode()
        announced = {
            **TUS,
            "HTTP_UPLOAD_LENGTH": str(len(document)),
            "HTTP_UPLOAD_METADATA": "filename dHJhaW4uanNvbg==",
        }
        upload = self.do("POST", f"{self.base}/uploads", "", content_type=OFFSET, **announced).json()
        where = f"{self.base}/uploads/{upload['id']}"
        part = {**TUS, "HTTP_UPLOAD_OFFSET": "0", "content_type": OFFSET}
        self.do("PATCH", where, document, **part)
        self.do("GET", where)
        self.do("GET", f"{self.base}/uploads")
        self.do("POST", f"{self.base}/coco", {"upload": upload["id"], "split": "train", "dry_run": True})
        job = self.do("POST", f"{self.base}/coco", {"upload": upload["id"], "split": "train"}).json()
        self.queued = job["task"]["id"] if isinstance(job["task"], dict) else job["task"]
        work(self.queued)
        self.do("GET", f"{self.base}/coco")
        self.do("GET", f"{self.base}/coco/{job['id']}")
        self.do("GET", f"{self.base}/coco/{job['id']}/report")
        self.do("GET", f"{self.base}/coco/{job['id']}/report?format=csv")
        given = {"images": [SimpleUploadedFile("pictures.zip", pictures())], "split": "train"}
        work(self.do("POST", f"{self.base}/coco/images", given, format="multipart").json()["task"]["id"])
        results = SimpleUploadedFile("yolo.json", json.dumps(PREDICTED).encode())
        given = {"file": results, "source": "yolo-v9", "split": "train"}
        work(self.do("POST", f"{self.base}/coco/predictions", given, format="multipart").json()["task"]["id"])
        self.do("GET", f"{self.base}/sources")
        other = self.do("POST", f"{self.base}/uploads", "", content_type=OFFSET, **announced).json()
        self.do("DELETE", f"{self.base}/uploads/{other['id']}", **TUS)
        work_all()  # thumbnails

    def images(self) -> None:
        """Found, looked at, edited, alone and many at once."""
        assets = f"{self.base}/assets"
        found = self.do("GET", f"{assets}?q=category:person&page_size=2").json()
        one = found["results"][0]["id"]
        self.do("GET", f"{assets}/{one}")
        edit = {"add_tags": ["night"], "metadata": {"weather": "rain"}, "status": "in_review"}
        self.do("PATCH", f"{assets}/{one}", edit)
        self.do("GET", f"{assets}/{one}/annotations")
        self.do("GET", f"{assets}/facets?q=category:person")
        self.do("GET", f"{assets}/query/complete?q=category:pe&cursor=11")
        self.do("GET", f"{assets}/query/explain?q=width%3E600 category:person")
        many = {"q": "category:person", "add_tags": ["check"]}
        self.do("POST", f"{assets}/bulk", {**many, "dry_run": True})
        self.client.told[f"POST {self.client.path_of(f'{assets}/bulk')}"] = {}  # the real one is the better example
        done = self.do("POST", f"{assets}/bulk", many).json()
        self.do("GET", f"{self.base}/bulk-edits")
        self.do("GET", f"{self.base}/bulk-edits/{done['id']}")
        self.do("POST", f"{self.base}/bulk-edits/{done['id']}/undo", {"skip_changed": True})
        self.image = one

        with as_if_much(settings):
            done = self.do("POST", f"{assets}/bulk", {"q": "width>600", "add_tags": ["large"]}).json()
            work(done["task"]["id"])
            work(self.do("POST", f"{self.base}/bulk-edits/{done['id']}/undo", {}).json()["task"]["id"])

    def annotations(self) -> None:
        """Drawn, moved, relabelled."""
        here = f"{self.base}/annotations"
        categories = self.do("GET", f"{self.base}/categories").json()["results"]
        keys = {category["name"]: category["id"] for category in categories}
        drawn = {
            "image": self.image,
            "category": keys["person"],
            "bbox": [10, 20, 30.5, 40],
            "attributes": {"occluded": True},
        }
        made = self.do("POST", here, drawn).json()
        self.do("GET", f"{here}?q=category:person")
        self.do("GET", f"{here}/{made['id']}")
        self.do("PATCH", f"{here}/{made['id']}", {"bbox": [12, 20, 30.5, 40], "version": made["version"]})
        self.do("DELETE", f"{here}/{made['id']}")
        self.do("POST", f"{here}/relabel", {"q": "category:lorry bbox.w<10", "category": keys["car"], "dry_run": True})
        self.client.told[f"POST {self.client.path_of(f'{here}/relabel')}"] = {}
        self.do("POST", f"{here}/relabel", {"q": "category:lorry coco_id:1", "category": keys["car"]})
        with as_if_much(settings):
            self.do("POST", f"{here}/relabel", {"q": "category:lorry coco_id:3", "category": keys["car"]})
        work_all()

    def categories(self) -> None:
        """Renamed, recoloured, merged, deleted."""
        here = f"{self.base}/categories"
        made = self.do("POST", here, {"name": "tram", "supercategory": "vehicle", "color": "#1f77b4"}).json()
        self.do("GET", f"{here}/{made['id']}")
        self.do("PATCH", f"{here}/{made['id']}", {"name": "tramway"})
        other = self.client.post(here, {"name": "streetcar"}).json()
        self.do("POST", f"{here}/merge", {"categories": [other["id"]], "into": made["id"]})
        self.do("DELETE", f"{here}/{made['id']}")
        one, other = (self.client.post(here, {"name": name}).json()["id"] for name in ("bike", "bicycle"))
        self.client.post(f"{self.base}/annotations/relabel", {"q": "coco_id:4", "category": other}, format="json")
        with as_if_much(settings):
            self.do("POST", f"{here}/merge", {"categories": [other], "into": one})
            work_all()
            self.do("DELETE", f"{here}/{one}?annotations=delete")
            work_all()

    def insights(self) -> None:
        """Figures, charts, views, two halves side by side, predictions against truth."""
        here = f"{self.base}/insights"
        self.do("GET", f"{here}/metrics")
        self.client.get(f"{here}/dashboard")
        insights_tasks.refresh(self.made.pk)
        self.do("GET", f"{here}/metrics/classes")
        self.do("GET", f"{here}/metrics/classes/csv")
        self.do("GET", f"{here}/dashboard")
        self.do("GET", f"{here}/compare?a=split:train&b=category:person")
        self.do("GET", f"{here}/predictions?source=yolo-v9")
        chart = {"metric": "classes", "chart": "bar", "options": {"limit": 10}}
        view = {"name": "Classes by night", "query": {"q": "tag:night"}, "visualization": chart, "shared": True}
        made = self.do("POST", f"{here}/views", view).json()
        self.do("GET", f"{here}/views")
        where = f"{here}/views/{made['id']}"
        self.do("GET", where)
        self.do("PATCH", where, {"name": "Classes at night"})
        self.do("GET", f"{where}/data")
        self.do("GET", f"{where}/file/csv")
        with as_if_much(settings):
            self.do("GET", f"{here}/metrics/classes/csv?q=width:640")
            self.do("PATCH", where, {"query": {"q": "tag:night width:640"}})
            self.do("GET", f"{where}/file/csv")
        copy = self.do("POST", f"{where}/duplicate", {"name": "Mine"}).json()
        self.do("POST", f"{where}/pin")
        self.do("POST", f"{where}/unpin")
        self.do("DELETE", f"{here}/views/{copy['id']}")

    def webhooks(self) -> None:
        """Somebody is told when long work has ended."""
        here = f"{self.base}/webhooks"
        made = self.do("POST", here, {"url": self.receiver, "events": ["import.succeeded", "export.succeeded"]}).json()
        where = f"{here}/{made['id']}"
        self.do("GET", here)
        self.do("GET", where)
        self.do("PATCH", where, {"events": ["export.succeeded"]})
        self.do("POST", f"{where}/secret")
        delivery = self.do("POST", f"{where}/test").json()
        sending.deliver(delivery["id"])
        self.do("GET", f"{where}/deliveries")
        self.do("POST", f"{where}/deliveries/{delivery['id']}/redeliver")
        self.do("DELETE", where)

    def exports(self) -> None:
        """COCO out again."""
        started = self.do("POST", f"{self.base}/exports/coco", {"q": "category:person", "split": "train"}).json()
        task = work(ExportJob.objects.get(pk=started["id"]).task_id)
        assert task.status == Task.Status.SUCCEEDED, task.message
        self.do("GET", f"{self.base}/exports")
        self.do("GET", f"{self.base}/exports/{started['id']}")
        self.do("GET", f"{self.base}/exports/{started['id']}/download")

    def cvat_there(self) -> None:
        """What needs work goes to CVAT."""
        own = {"url": self.cvat.url, "token": self.cvat.token, "scheme": "Bearer"}
        where = f"{self.base}/cvat-connection"
        self.do("PUT", where, own)
        self.do("GET", where)
        self.do("POST", f"{where}/check")
        here = f"{self.base}/exports/cvat"
        wanted = {"q": "split:train", "images_per_task": 3, "name": "Streets, night"}
        self.do("POST", here, {**wanted, "dry_run": True})
        del self.client.told[f"POST {self.client.path_of(here)}"]["request"]
        started = self.do("POST", here, wanted).json()
        self.there = f"{here}/{started['id']}"
        task = work(ExportJob.objects.get(pk=started["id"]).task_id)
        assert task.status == Task.Status.SUCCEEDED, task.message
        self.do("GET", here)
        self.do("GET", self.there)
        self.do("GET", f"{self.there}/images")
        self.do("PUT", f"{self.base}/cvat-webhook")

    def cvat_back(self) -> None:
        """What was corrected there comes home."""
        job = ExportJob.objects.get(pk=self.there.rsplit("/", 1)[1])
        with connecting.client_of(self.made) as client:
            desk = Desk(client, job)
            desk.change("11", lambda shape: replace(shape, points=(44, 62, 130, 190)))
            desk.change("21", lambda shape: replace(shape, points=(50, 62, 130, 190)))
            for one in client.jobs(int(desk.tasks[0].cvat_id or 0)):
                remark = {"job": one.id, "frame": 0, "position": [10, 10, 60, 50], "message": "Is this a person?"}
                client.transport.call("POST", "/issues", body=remark, doing="leave a remark")
        row = CvatProject.objects.get(project=self.made)
        told = json.dumps({"event": "update:job", "job": {"id": 7, "task_id": 3}, "webhook_id": 1}).encode()
        signed = {SIGNATURE_HEADER: sign(sealing.unseal(row.webhook_secret_sealed), told)}
        where = urlsplit(watching.address_of(row)).path
        self.do("POST", where, told, content_type="application/json", headers=signed)
        pull = self.do("POST", f"{self.there}/pulls", {"policy": "review"}).json()
        work(pull["task"]["id"])
        self.do("GET", f"{self.there}/pulls")
        self.do("GET", f"{self.there}/pulls/{pull['id']}")
        found = self.do("GET", f"{self.there}/differences").json()["results"]
        self.do("GET", f"{self.there}/differences/{found[0]['id']}")
        self.do("POST", f"{self.there}/differences/decide", {"decision": "theirs", "differences": [found[0]["id"]]})
        applied = self.do("POST", f"{self.there}/differences/apply", {"policy": "accept"}).json()
        work(applied["task"]["id"])
        remarks = self.do("GET", f"{self.there}/remarks").json()["results"]
        self.do("GET", f"{self.there}/remarks/{remarks[0]['id']}")
        self.do("GET", f"{self.there}/progress")
        undone = self.do("POST", f"{self.there}/pulls/{applied['id']}/undo").json()
        work(undone["task"]["id"])
        self.do("DELETE", f"{self.base}/cvat-webhook")

    def tasks(self) -> None:
        """Long work: followed, stopped, done again."""
        here = f"/api/v1/tasks/{self.queued}"
        self.do("GET", f"{self.base}/tasks")
        self.do("GET", here)
        self.do("GET", f"{here}/log")
        ticket = self.do("POST", f"{here}/ticket").json()
        self.do("GET", urlsplit(ticket["url"]).path + "?" + urlsplit(ticket["url"]).query)
        self.do("GET", f"{self.base}/audit")
        again = self.client.post(f"{self.base}/exports/cvat", {"q": "tag:night", "name": "Again"}, format="json").json()
        self.do("POST", f"{self.base}/exports/cvat/{again['id']}/cancel")
        self.do("POST", f"{self.base}/exports/cvat/{again['id']}/retry")
        stopped = ExportJob.objects.get(pk=again["id"]).task_id
        self.do("POST", f"/api/v1/tasks/{stopped}/cancel")
        self.do("POST", f"/api/v1/tasks/{stopped}/retry")
        work(stopped)

    def ends(self) -> None:
        """What is no longer wanted goes."""
        self.do("DELETE", f"{self.base}/sources/yolo-v9")
        results = SimpleUploadedFile("yolo.json", json.dumps(PREDICTED).encode())
        given = {"file": results, "source": "yolo-v10", "split": "train"}
        work(self.do("POST", f"{self.base}/coco/predictions", given, format="multipart").json()["task"]["id"])
        with as_if_much(settings):
            self.do("DELETE", f"{self.base}/sources/yolo-v10")
        work_all()
        work(self.do("POST", f"{self.there}/delete-in-cvat").json()["task"]["id"])
        self.do("DELETE", f"{self.base}/cvat-connection")
        carla = factories.join(self.made, factories.make_user("carla@example.org"), Role.VIEWER)
        self.do("DELETE", f"{self.base}/members/{carla.pk}")
        self.do("POST", f"{self.base}/transfer", {"email": "ben@example.org"})
        self.do("POST", f"{self.base}/members/leave")
        self.as_user(self.ben)
        self.do("DELETE", self.base)
