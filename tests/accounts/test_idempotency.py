"""The same POST sent again with its Idempotency-Key: one thing made, one answer."""

import threading
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import once, tasks
from accounts.models import IdempotentCall, PersonalToken
from annotations.models import Category, ImportJob
from projects import services
from projects.models import Project
from tests.conftest import client_of
from tests.projects.test_access_matrix import API

PROJECTS = f"/{API}projects"
KEY = {"Idempotency-Key": "3f0c-1"}


@pytest.fixture
def categories(project) -> str:
    return f"{PROJECTS}/{project.pk}/categories"


def test_the_same_call_again_gets_the_same_answer(as_owner):
    first = as_owner.post(PROJECTS, {"name": "Once", "description": "d"}, headers=KEY)
    again = as_owner.post(PROJECTS, {"description": "d", "name": "Once"}, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["ETag"] == first["ETag"]
    assert again["Content-Type"] == first["Content-Type"]
    assert "Idempotency-Replayed" not in first
    assert again["Idempotency-Replayed"] == "true"
    assert again["X-Request-ID"] != first["X-Request-ID"]
    assert Project.objects.filter(name="Once").count() == 1


def test_another_body_is_422_and_another_key_or_place_is_another_call(as_curator, categories, project):
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 201
    other = as_curator.post(categories, {"name": "bus"}, headers=KEY)
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["message"]
    assert as_curator.post(categories, {"name": "bus"}, headers={"Idempotency-Key": "other"}).status_code == 201
    assert as_curator.post(f"{PROJECTS}", {"name": "P"}, headers=KEY).status_code == 201
    assert set(project.categories.values_list("name", flat=True)) == {"car", "bus"}


def test_keys_are_each_users_own(as_curator, as_manager, categories):
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 201
    assert as_manager.post(categories, {"name": "bus"}, headers=KEY).status_code == 201


def test_what_failed_can_be_sent_again(as_curator, categories, project):
    assert as_curator.post(categories, {"name": ""}, headers=KEY).status_code == 400
    assert not IdempotentCall.objects.exists()
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 201


def test_a_bug_leaves_the_key_free(owner, project, monkeypatch):
    client = client_of(owner)
    client.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr(services, "create_project", lambda **fields: 1 / 0)
        assert client.post(PROJECTS, {"name": "Once"}, headers=KEY).status_code == 500
    assert client.post(PROJECTS, {"name": "Once"}, headers=KEY).status_code == 201


def test_who_may_not_is_refused_before_any_key_is_looked_at(as_curator, as_viewer, as_stranger, categories):
    as_curator.post(categories, {"name": "car"}, headers=KEY)
    assert as_viewer.post(categories, {"name": "car"}, headers=KEY).status_code == 403
    assert as_stranger.post(categories, {"name": "car"}, headers=KEY).status_code == 404
    assert IdempotentCall.objects.count() == 1


def test_who_was_put_out_gets_no_kept_answer(as_curator, curator, categories, project):
    as_curator.post(categories, {"name": "car"}, headers=KEY)
    project.memberships.filter(user=curator).delete()
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 404


@pytest.mark.parametrize("key", ["x" * 101, "caf\xe9"], ids=["long", "not ASCII"])
def test_a_key_that_will_not_do(as_curator, categories, key):
    answer = as_curator.post(categories, {"name": "car"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert not Category.objects.exists()


def test_a_day_later_the_key_is_free(as_curator, categories):
    as_curator.post(categories, {"name": "car"}, headers=KEY)
    IdempotentCall.objects.update(started_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert as_curator.post(categories, {"name": "bus"}, headers=KEY).status_code == 201
    assert IdempotentCall.objects.count() == 1
    IdempotentCall.objects.update(started_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert tasks.forget_old_answers() == 1


def test_what_is_younger_is_kept(as_curator, categories):
    as_curator.post(categories, {"name": "car"}, headers=KEY)
    IdempotentCall.objects.update(started_at=timezone.now() - timedelta(hours=23, minutes=59))
    assert tasks.forget_old_answers() == 0
    assert as_curator.post(categories, {"name": "car"}, headers=KEY)["Idempotency-Replayed"] == "true"


def test_a_call_whose_process_died_is_taken_over(as_curator, curator, categories):
    as_curator.post(categories, {"name": "car"}, headers=KEY)
    IdempotentCall.objects.update(status=None, started_at=timezone.now() - once.LONGEST + timedelta(seconds=30))
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 409
    Category.objects.all().delete()
    IdempotentCall.objects.update(started_at=timezone.now() - once.LONGEST - timedelta(seconds=1))
    assert as_curator.post(categories, {"name": "car"}, headers=KEY).status_code == 201


def test_secrets_are_not_kept(as_curator):
    body = {"name": "ci", "scopes": ["read"]}
    made = as_curator.post("/api/v1/auth/tokens", body, headers=KEY)
    assert made.status_code == 201
    row = IdempotentCall.objects.get()
    assert row.answer is None
    again = as_curator.post("/api/v1/auth/tokens", body, headers=KEY)
    assert again.status_code == 409
    assert "secret" in again.json()["message"]
    assert PersonalToken.objects.count() == 1


def test_rows_do_not_give_bodies_away(as_admin):
    body = {"email": "new@example.com", "password": "correct horse battery"}
    as_admin.post("/api/v1/users", body, headers=KEY)
    row = IdempotentCall.objects.get()
    assert len(bytes(row.body)) == 32
    assert b"horse" not in bytes(row.body) + bytes(row.answer)


def test_files_are_part_of_the_body(as_curator, project, settings):
    path = f"{PROJECTS}/{project.pk}/coco"

    def send(content: bytes, key=KEY):
        file = SimpleUploadedFile("a.json", content, "application/json")
        return as_curator.post(path, {"file": file, "split": "train"}, format="multipart", headers=key)

    first = send(b'{"images": [], "annotations": [], "categories": []}')
    again = send(b'{"images": [], "annotations": [], "categories": []}')
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert again["Location"] == first["Location"]
    assert send(b'{"images": [], "annotations": [], "categories": [ ]}').status_code == 422
    assert ImportJob.objects.count() == 1


def test_an_upload_in_parts_is_begun_once(as_curator, project):
    path = f"{PROJECTS}/{project.pk}/uploads"
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", **KEY}
    first, again = (as_curator.generic("POST", path, headers=tus) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Location"] == first["Location"]
    assert again["Tus-Resumable"] == "1.0.0"
    assert as_curator.generic("POST", path, headers={**tus, "Upload-Length": "11"}).status_code == 422


def test_calls_without_a_user_take_no_notice(as_nobody, db):
    answer = as_nobody.post("/api/v1/auth/login", {"email": "a@example.com", "password": "x"}, headers=KEY)
    assert answer.status_code == 401
    assert not IdempotentCall.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_works(owner, monkeypatch):
    """The slow first one is still at it when the others come."""
    inside, go_on = threading.Event(), threading.Event()
    create = services.create_project

    def slowly(**fields):
        inside.set()
        assert go_on.wait(20)
        return create(**fields)

    monkeypatch.setattr(services, "create_project", slowly)
    seen, client = [], client_of(owner)
    header = client._credentials["HTTP_AUTHORIZATION"]

    def send() -> None:
        mine = APIClient()
        mine.credentials(HTTP_AUTHORIZATION=header)
        answer = mine.post(PROJECTS, {"name": "Once"}, headers=KEY)
        seen.append((answer.status_code, answer.headers.get("Retry-After")))
        connection.close()

    first = threading.Thread(target=send)
    first.start()
    assert inside.wait(20)
    others = [threading.Thread(target=send) for _ in range(4)]
    for each in others:
        each.start()
    for each in others:
        each.join(20)
    assert seen == [(409, "1")] * 4
    go_on.set()
    first.join(20)
    assert seen[-1] == (201, None)
    assert client.post(PROJECTS, {"name": "Once"}, headers=KEY).status_code == 201
    assert Project.objects.filter(name="Once").count() == 1


def test_the_document_tells_of_the_key_at_every_post(client, db):
    paths = client.get("/api/v1/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()["paths"]
    posts = {path: operations["post"] for path, operations in paths.items() if "post" in operations}
    without = {
        path for path, post in posts.items()
        if "Idempotency-Key" not in [one["name"] for one in post.get("parameters", ())]
    }  # fmt: skip
    assert without == {"/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/cvat-deliveries/{cvat_project}"}
