"""How data gets in: files, uploads in parts, what lies in storage; looked at first, cancelled, added to later."""

import io
import json
import uuid
import zipfile
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from PIL import Image

from annotations import one_file, services, uploads
from annotations.models import Annotation, ImportJob, ResumableUpload
from annotations.tasks import run_import
from assets.models import ImageAsset
from projects import jobs
from projects.models import Project, Task
from tests import factories

# Progress goes through a connection of its own, for the work's is busy with COPY.
pytestmark = pytest.mark.django_db(transaction=True)


def picture(color="red", size=(8, 6)):
    data = io.BytesIO()
    Image.new("RGB", size, color).save(data, "PNG")
    return data.getvalue()


def coco(*names, first=1, size=(8, 6)):
    images = [
        {"id": first + number, "file_name": name, "width": size[0], "height": size[1]}
        for number, name in enumerate(names)
    ]
    boxes = [
        {"id": image["id"], "image_id": image["id"], "category_id": 1, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}
        for image in images
    ]
    return json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}).encode()


def packed(**files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def file(content, name="data.json"):
    return SimpleUploadedFile(name, content)


@pytest.fixture
def address(project):
    return f"/api/v1/projects/{project.pk}/coco"


@pytest.fixture
def finish(transactional_db):
    """Does what the worker would do for an import that was started; gives its task."""

    def work(answer):
        assert answer.status_code == 202, answer.content
        task = Task.objects.get(pk=answer.json()["task"]["id"])
        run_import(str(task.pk))
        task.refresh_from_db()
        return task

    return work


def uploaded(user, project, content, name):
    upload = uploads.create(user=user, project=project, length=len(content), file_name=name)
    return uploads.append(user=user, upload=upload, offset=0, body=io.BytesIO(content), size=len(content))


# --- Uploads in parts and what lies in storage ------------------------------------------------------------------------


def test_finished_uploads_are_imported_by_their_ids(address, as_curator, curator, project, finish):
    data = uploaded(curator, project, coco("a.png", "b.png"), "instances_train2017.json")
    images = uploaded(curator, project, packed(**{"a.png": picture(), "b.png": picture("blue")}), "pictures.zip")
    body = {"upload": str(data.pk), "images_upload": str(images.pk)}
    answer = as_curator.post(address, body)
    assert as_curator.post(address, body).json()["id"] == answer.json()["id"], "the same twice is one job"
    task = finish(answer)
    assert (task.status, task.result["split"], task.result["pictures"]) == ("succeeded", "train", 2)


def test_an_upload_that_is_not_whole_or_not_ours_is_refused(address, as_curator, curator, project, stranger):
    begun = uploads.create(user=curator, project=project, length=5)
    other = uploaded(stranger, stranger.owned_projects.get(), coco("a.png"), "a.json")
    for pk in (begun.pk, other.pk, uuid.uuid4()):
        answer = as_curator.post(address, {"upload": str(pk)})
        assert answer.status_code == 400
        assert "upload" in answer.json()["fieldErrors"]


def test_what_lies_in_storage_is_imported_by_key_and_by_prefix(address, as_curator, finish):
    default_storage.save("incoming/street/annotations/instances_val2017.json", ContentFile(coco("1.png")))
    default_storage.save("incoming/street/annotations/instances_train2017.json", ContentFile(coco("2.png")))
    default_storage.save("incoming/street/train2017/2.png", ContentFile(picture()))
    default_storage.save("incoming/street/.hidden/3.png", ContentFile(picture("blue")))
    task = finish(as_curator.post(address, {"prefix": "incoming/street"}))
    assert task.status == "succeeded", task.message
    assert set(task.result["split"].split(", ")) == {"train", "val"}
    assert (task.result["pictures"], task.result["images_missing"]) == (1, 1)
    task = finish(as_curator.post(address, {"key": "incoming/street/annotations/instances_val2017.json"}))
    assert (task.status, task.result["split"], task.result["changed"]) == ("succeeded", "val", False)
    assert default_storage.exists("incoming/street/train2017/2.png"), "what is not ours stays"


@pytest.mark.parametrize(
    "name",
    [
        "logs/x.json",
        "images/1/aa/x.png",
        "incoming/../logs/x.json",
        "incoming//x.json",
        "incoming/./x.json",
        "/etc/passwd",
        "incoming/..\\x.json",
        "incoming/nothing.json",
        "uploads/x/data",
        "incoming",
        "incomingother/x.json",
    ],
)
def test_no_other_key_can_be_named(address, as_curator, name):
    default_storage.save("logs/x.json", ContentFile(coco("a.png")))
    default_storage.save("uploads/x/data", ContentFile(coco("a.png")))
    for field in ("key", "prefix"):
        answer = as_curator.post(address, {field: name})
        assert answer.status_code == 400, (field, name)
        assert answer.json()["fieldErrors"]
    assert not ImportJob.objects.exists()


def test_without_a_prefix_nothing_in_storage_can_be_named(address, as_curator, settings):
    settings.IMPORT_PREFIX = "/"
    default_storage.save("x.json", ContentFile(coco("a.png")))
    assert as_curator.post(address, {"key": "x.json"}).status_code == 400


@pytest.mark.parametrize("body", [{}, {"key": "incoming/a.json", "prefix": "incoming/a"}])
def test_one_way_must_be_chosen(address, as_curator, body):
    assert as_curator.post(address, body).status_code == 400


def test_a_full_disk_is_507_and_there_is_no_job(address, as_curator, project, monkeypatch):
    def full(self, name, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assets.storage.LocalStorage._save", full)
    answer = as_curator.post(address, {"file": file(coco("a.png"))}, format="multipart")
    assert answer.status_code == 507
    assert not ImportJob.objects.exists()
    assert Project.objects.get(pk=project.pk).status == "ready"


# --- Looking first ----------------------------------------------------------------------------------------------------


@pytest.fixture
def data_set():
    return {
        "annotations/instances_train2017.json": coco("a.png", "b.png"),
        "annotations/x.json": coco("c.png", first=5),
        "annotations/notes.json": b"[]",
        "train2017/a.png": picture(),
        "train2017/z.png": picture("blue"),
    }


def test_a_dry_run_tells_the_plan_and_writes_nothing(address, as_curator, data_set, project):
    body = {"file": file(packed(**data_set), "set.zip"), "dry_run": "true"}
    answer = as_curator.post(address, body, format="multipart")
    assert answer.status_code == 200
    plan = answer.json()
    assert plan["layout"] == "COCO"
    assert {one["file"]: one["split"] for one in plan["files"]} == {
        "annotations/instances_train2017.json": "train",
        "annotations/x.json": "x",
    }
    train = next(one for one in plan["files"] if one["split"] == "train")
    assert (train["images"], train["annotations"], train["pictures"]) == (
        2, 2, {"matched": 1, "ambiguous": 0, "missing": 1},
    )  # fmt: skip
    assert [one["file"] for one in plan["passed_over"]] == ["annotations/notes.json"]
    assert plan["pictures"] == {"found": 2, "used": 1, "unreferenced": 1}
    assert not ImportJob.objects.exists()
    assert not ImageAsset.objects.exists()
    assert Project.objects.get(pk=project.pk).revision == project.revision


def test_splits_can_be_given_for_single_files(address, as_curator, data_set, finish):
    splits = json.dumps({"annotations/x.json": "holdout"})
    body = {"file": file(packed(**data_set), "set.zip"), "splits": splits}
    task = finish(as_curator.post(address, body, format="multipart"))
    assert set(task.result["split"].split(", ")) == {"train", "holdout"}


def test_a_file_can_be_left_out(address, as_curator, data_set, finish, tmp_path, capsys):
    body = {"file": file(packed(**data_set), "set.zip"), "splits": '{"annotations/x.json": null}'}
    plan = as_curator.post(address, {**body, "dry_run": "true"}, format="multipart").json()
    assert [one["file"] for one in plan["files"]] == ["annotations/instances_train2017.json"]
    assert [one["file"] for one in plan["passed_over"]] == ["annotations/notes.json", "annotations/x.json"]
    body["file"] = file(packed(**data_set), "set.zip")
    task = finish(as_curator.post(address, body, format="multipart"))
    assert task.result["split"] == "train"
    assert set(ImageAsset.objects.values_list("split__name", flat=True)) == {"train"}
    for name, content in data_set.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    out = ["--leave-out", "annotations/x.json"]
    call_command("import_coco", str(tmp_path), "--project", "New", "--dry-run", "--json", *out)
    assert [one["split"] for one in json.loads(capsys.readouterr().out)["files"]] == ["train"]
    all_out = [*out, "--leave-out", "annotations/instances_train2017.json"]
    with pytest.raises(CommandError, match="no COCO file"):
        call_command("import_coco", str(tmp_path), "--project", "New", *all_out)


def test_a_split_for_a_file_that_is_not_there_is_refused(address, as_curator, data_set):
    body = {"file": file(packed(**data_set), "set.zip"), "splits": '{"y.json": "a"}', "dry_run": "1"}
    answer = as_curator.post(address, body, format="multipart")
    assert answer.status_code == 400
    assert "annotations/x.json" in answer.json()["message"]


def test_the_command_gives_the_same_plan(address, as_curator, data_set, db, tmp_path, capsys):
    for name, content in data_set.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    call_command("import_coco", str(tmp_path), "--project", "New", "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)
    body = {"file": file(packed(**data_set), "set.zip"), "dry_run": "true"}
    assert told == as_curator.post(address, body, format="multipart").json()
    assert not Project.objects.filter(name="New").exists()


# --- Pictures that come later -----------------------------------------------------------------------------------------


@pytest.fixture
def records(address, as_curator, finish):
    content = coco("sub/a.png", "b.png", "c.png", size=(80, 60))
    assert finish(as_curator.post(address, {"file": file(content, "train.json")}, format="multipart")).result


def test_pictures_find_their_records_later(records, address, as_curator, finish, project):
    images = packed(**{"a.png": picture(), "b.png": picture("blue", (80, 60)), "x.png": picture("green")})
    body = {"images": file(images, "pictures.zip")}
    task = finish(as_curator.post(f"{address}/images", body, format="multipart"))
    assert task.status == "succeeded", task.message
    assert (task.result["images_changed"], task.result["images_missing"]) == (2, 1)
    a, b, c = ImageAsset.objects.filter(project=project).order_by("coco_id")
    assert (a.status, b.status, c.status) == ("ready", "ready", "missing")
    assert (a.width, a.height, a.issues, a.version) == (8, 6, ["size_differs", "size_odd"], 2)
    assert (b.width, b.height, b.issues) == (80, 60, [])
    assert default_storage.exists(a.uri)
    job = ImportJob.objects.get(task=task)
    report = as_curator.get(f"{address}/{job.pk}/report")
    codes = {row["code"] for row in json.loads(report.getvalue())["by_code"]}
    assert {"size_differs", "missing_picture", "unreferenced_picture"} <= codes
    assert Project.objects.get(pk=project.pk).status == "ready"


def test_pictures_that_are_there_are_left_alone(records, address, as_curator, finish, project):
    body = {"images": file(picture(), "a.png")}
    finish(as_curator.post(f"{address}/images", body, format="multipart"))
    before = ImageAsset.objects.get(project=project, coco_id=1)
    body = {"images": file(picture("green"), "a.png")}
    task = finish(as_curator.post(f"{address}/images", body, format="multipart"))
    after = ImageAsset.objects.get(project=project, coco_id=1)
    assert task.result["images_changed"] == 0
    assert (after.checksum, after.version) == (before.checksum, before.version)


def test_the_command_adds_pictures(records, project, tmp_path, capsys):
    (tmp_path / "b.png").write_bytes(picture(size=(80, 60)))
    call_command("add_images", "--project", project.name, "--images", str(tmp_path), "--json")
    assert json.loads(capsys.readouterr().out)["images_changed"] == 1


# --- The report -------------------------------------------------------------------------------------------------------


@pytest.fixture
def flawed(address, as_curator, finish):
    data = json.loads(coco("a.png", "b.png"))
    data["annotations"] += [{"id": 90, "image_id": 77, "category_id": 1, "bbox": [0, 0, 1, 1], "note": "=1+1"}]
    data["annotations"] += [{"id": 91, "image_id": 1, "category_id": '=cmd|"', "bbox": [0, 0, 1, 1]}]
    task = finish(as_curator.post(address, {"file": file(json.dumps(data).encode())}, format="multipart"))
    return f"{address}/{ImportJob.objects.get(task=task).pk}/report"


def test_the_report_can_be_asked_for_one_code_or_action(flawed, as_viewer):
    whole = json.loads(as_viewer.get(flawed).getvalue())
    one = json.loads(as_viewer.get(flawed, {"code": "dangling_image_id"}).getvalue())
    assert [problem["code"] for problem in one["problems"]] == ["dangling_image_id"]
    assert one["totals"] == whole["totals"]
    kept = json.loads(as_viewer.get(flawed, {"action": "quarantined"}).getvalue())
    assert {problem["action"] for problem in kept["problems"]} == {"quarantined"}
    assert len(kept["problems"]) == whole["totals"]["quarantined"]
    assert json.loads(as_viewer.get(flawed, {"code": "no_such"}).getvalue())["problems"] == []


def test_the_report_as_csv_holds_no_formulas(flawed, as_viewer):
    import csv

    answer = as_viewer.get(flawed, {"format": "csv"})
    assert answer["Content-Type"].startswith("text/csv")
    lines = list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    whole = json.loads(as_viewer.get(flawed).getvalue())
    assert lines[0] == ["code", "action", "path", "message", "fix", "raw"]
    assert len(lines) == 1 + len(whole["problems"])
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for line in lines for cell in line)


def test_what_is_no_action_and_no_format_is_400(flawed, as_viewer):
    assert as_viewer.get(flawed, {"action": "eaten"}).status_code == 400
    assert as_viewer.get(flawed, {"format": "xlsx"}).status_code == 400


# --- Cancelling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["fetching", "reading", "pictures", "annotations", "images", "merging", "finishing"])
def test_cancelled_in_any_phase_the_project_is_as_before(
    phase, address, as_curator, curator, project, finish, monkeypatch
):
    before = coco(*[f"{number}.png" for number in range(30)])
    finish(as_curator.post(address, {"file": file(before, "train.json")}, format="multipart"))
    state = _state(project)
    monkeypatch.setattr(one_file, "STEP", 1)
    monkeypatch.setattr("projects.claims.WRITE_INTERVAL", 0)
    report = jobs.Claim.progress
    phases = []

    def progress(self, name, done, total=None, message=""):
        phases.append(name)
        if name == phase:
            # As another process would; the test's own connection is busy with COPY.
            sql = "UPDATE projects_task SET cancel_requested = true WHERE id = %(id)s RETURNING id"
            self._ledger.write(sql, {"id": self.id})
        report(self, name, done, total, message)

    monkeypatch.setattr(jobs.Claim, "progress", progress)
    fresh = phase in ("annotations", "images")
    body = {
        "file": file(coco(*[f"{number}.png" for number in range(25, 60)], first=26 if not fresh else 1), "train.json"),
        "images": file(packed(**{f"{number}.png": picture() for number in range(30)}), "images.zip"),
        "split": "other" if fresh else "",
    }
    task = finish(as_curator.post(address, body, format="multipart"))
    assert phase in phases
    assert phases[-1] == phase, "it went on after it was cancelled"
    assert task.status == "cancelled"
    assert _state(project) == state


def _state(project):
    project.refresh_from_db()
    return (
        project.status,
        project.revision,
        list(ImageAsset.objects.filter(project=project).order_by("pk").values_list("pk", "file_name", "version")),
        list(Annotation.objects.filter(project=project).order_by("pk").values_list("pk", "version")),
    )


# --- What is left behind ----------------------------------------------------------------------------------------------


def test_what_was_received_goes_some_time_after_it_was_imported(
    address, as_curator, curator, project, finish, settings
):
    upload = uploaded(curator, project, coco("a.png"), "train.json")
    settings.UPLOAD_HOURS = 0
    finish(as_curator.post(address, {"upload": str(upload.pk)}))
    default_storage.save("incoming/b.json", ContentFile(coco("b.png", first=9)))
    finish(as_curator.post(address, {"key": "incoming/b.json"}))
    failed = finish(as_curator.post(address, {"file": file(b"{}")}, format="multipart"))
    kept = ImportJob.objects.get(task=failed).upload_uri
    ResumableUpload.objects.update(expires_at="2020-01-01T00:00Z")
    Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(exist_ok=True)
    uploads.forget_expired()
    assert not default_storage.exists(upload.key)
    assert default_storage.exists("incoming/b.json")
    assert failed.status == "failed"
    assert default_storage.exists(kept), "a failed import can be tried again"


def test_pictures_that_another_import_needs_outlive_the_first(address, as_curator, curator, project, finish, settings):
    pictures = uploaded(curator, project, packed(**{"a.png": picture(), "b.png": picture("blue")}), "pictures.zip")
    settings.UPLOAD_HOURS = 0
    first = {"file": file(coco("a.png"), "train.json"), "images_upload": str(pictures.pk)}
    assert finish(as_curator.post(address, first, format="multipart")).status == "succeeded"
    second = {"file": file(coco("b.png", first=2), "val.json"), "images_upload": str(pictures.pk)}
    answer = as_curator.post(address, second, format="multipart")  # waits in the queue

    ResumableUpload.objects.update(expires_at="2020-01-01T00:00Z")
    uploads.forget_expired()

    task = finish(answer)
    assert (task.status, task.result["pictures"]) == ("succeeded", 1), task.message
    uploads.forget_expired()
    assert not default_storage.exists(pictures.key), "once nobody needs them they go"


def test_an_import_whose_upload_is_gone_says_so(curator, project):
    task = jobs.create_task(project, Task.Kind.IMPORT, curator)
    ImportJob.objects.create(project=project, task=task)
    jobs.run(task.pk, services.run_import)
    task.refresh_from_db()
    assert task.status == "failed"
    assert "Send it again" in task.message


# --- What goes wrong is told, and harms nothing -----------------------------------------------------------------------


@pytest.fixture
def with_a_broken_file(tmp_path):
    """A data set one file of which is cut off, beside JSON of another kind."""
    folder = tmp_path / "set"
    (folder / "annotations").mkdir(parents=True)
    (folder / "annotations" / "instances_train.json").write_bytes(coco("a.png"))
    (folder / "annotations" / "instances_val.json").write_bytes(coco("b.png")[:-9])
    (folder / "package.json").write_bytes(b"[]")
    return folder


def test_a_file_that_cannot_be_read_is_told_and_counted_and_the_rest_lands(with_a_broken_file, capsys):
    call_command("import_coco", str(with_a_broken_file), "--project", "New", "--json")

    out, told = capsys.readouterr()
    result = json.loads(out)
    assert (result["status"], result["images"], result["quarantined"]) == ("ready", 1, 1)
    assert "annotations/instances_val.json: Not imported: " in told
    report = json.loads(Path(result["report"]).read_bytes())
    assert {(one["path"], one["code"]) for one in report["problems"]} >= {
        ("annotations/instances_val.json", "file_unreadable"),
        ("package.json", "file_passed_over"),
    }


def test_strict_refuses_a_data_set_with_a_file_that_cannot_be_read(with_a_broken_file):
    with pytest.raises(CommandError, match=r"strict.*instances_val\.json"):
        call_command("import_coco", str(with_a_broken_file), "--project", "New", "--strict")
    assert not ImageAsset.objects.exists()


def test_a_failed_import_leaves_a_good_project_ready(address, as_curator, project, finish):
    finish(as_curator.post(address, {"file": file(b"{}")}, format="multipart"))
    project.refresh_from_db()
    assert project.status == "failed", "nothing is in it"

    finish(as_curator.post(address, {"file": file(coco("a.png"))}, format="multipart"))
    finish(as_curator.post(address, {"file": file(b"{}")}, format="multipart"))
    project.refresh_from_db()
    assert project.status == "ready"


def test_a_task_that_is_done_says_so_in_numbers(address, as_curator, finish):
    task = finish(as_curator.post(address, {"file": file(coco("a.png"))}, format="multipart"))
    told = as_curator.get(f"/api/v1/tasks/{task.pk}").json()
    assert (told["status"], told["done"], told["total"], told["percent"]) == ("succeeded", 1, 1, 100)


def test_a_user_made_for_a_command_is_told(tmp_path, capsys):
    path = tmp_path / "train.json"
    path.write_bytes(coco("a.png"))
    call_command("import_coco", str(path), "--project", "New", "--owner", "nobody@example.org", "--json")
    out, told = capsys.readouterr()
    assert json.loads(out)["status"] == "ready"
    assert "There was no user nobody@example.org" in told


def test_an_unknown_project_gets_the_nearest_names(capsys):
    for number in range(30):
        factories.make_project(name=f"street {number:02}")
    with pytest.raises(CommandError) as caught:
        call_command("list_assets", "--project", "stret 07", "--json")
    assert "'stret 07'. The projects are: street 07, " in str(caught.value)
    assert "and 25 more" in str(caught.value)
    assert json.loads(capsys.readouterr().out) == {"status": "failed", "message": str(caught.value)}


def test_an_empty_picture_among_others_is_broken_and_the_rest_lands(address, as_curator, project, finish):
    pictures = [file(b"", "a.png"), file(picture(), "b.png")]
    body = {"file": file(coco("a.png", "b.png"), "train.json"), "images": pictures}
    task = finish(as_curator.post(address, body, format="multipart"))
    assert (task.status, task.result["images"], task.result["images_broken"]) == ("succeeded", 2, 1)
    assert ImageAsset.objects.get(project=project, file_name="a.png").status == "broken"


def test_messages_name_the_file_as_it_was_called(address, as_curator, finish):
    task = finish(as_curator.post(address, {"file": file(b"{", "mine.json")}, format="multipart"))
    assert task.message.startswith("mine.json is not valid JSON")
    dry = as_curator.post(address, {"file": file(b"{", "mine.json"), "dry_run": "true"}, format="multipart")
    assert dry.json()["message"].startswith("mine.json is not valid JSON")
