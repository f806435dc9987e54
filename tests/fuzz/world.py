"""A project in which there is one of everything that an address of the API can name."""

from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from rest_framework.test import APIClient

from accounts import sealing
from annotations import uploads
from annotations.models import Annotation, Category, ImportJob
from assets.models import ImageAsset
from exports.models import CvatPull, ExportJob
from projects import reports
from projects.models import Membership, Project, Role, Task
from tests import factories
from tests.annotations import scenes
from webhooks.models import Delivery, Webhook


def build(project: Project, client: APIClient, folder: Path) -> dict[str, list[Any]]:
    """Fill the project, by a client of its owner.

    What may stand for each path parameter, by the beginning of the address that has it.
    """
    scenes.load_scenes(project, folder)
    here = f"/api/v1/projects/{project.pk}"
    chart = {"metric": "classes", "chart": "bar", "options": {}}
    view = client.post(f"{here}/insights/views", {"name": "V", "query": {"q": "split:train"}, "visualization": chart})
    edit = client.post(f"{here}/assets/bulk", {"q": "split:val", "add_tags": ["seen"]})
    assert {view.status_code, edit.status_code} <= {200, 201}, (view.content, edit.content)
    imported, exported = factories.make_task(project), factories.make_task(project, Task.Kind.EXPORT)
    sent = factories.make_task(project, Task.Kind.EXPORT, status="failed", message="CVAT said no.")
    Task.objects.filter(pk=sent.pk).update(log=reports.store(sent, "CVAT said no."))
    coco = ImportJob.objects.create(project=project, task=imported, file_name="a.json")
    payload = default_storage.save("exports/a.json", ContentFile(b'{"images": []}'))
    export = ExportJob.objects.create(project=project, task=exported, payload_uri=payload)
    cvat = ExportJob.objects.create(project=project, task=sent, target=ExportJob.Target.CVAT)
    upload = uploads.create(user=project.owner, project=project, length=10, file_name="a.json")
    token = client.post("/api/v1/auth/tokens", {"name": "script", "scopes": ["read"], "days": 3})
    assert token.status_code == 201, token.content
    hook = Webhook.objects.create(
        project=project, url="https://hooks.example/", events=["import.succeeded"], secret_sealed=sealing.seal("secret")
    )
    sent_there = Delivery.objects.create(project=project, webhook=hook, event="webhook.test", body="{}")
    pull = CvatPull.objects.create(project=project, job=cvat, action=CvatPull.Action.READ)
    newcomer = factories.join(project, role=Role.VIEWER)
    of_project = "/api/v1/projects/{project_pk}"
    return {
        of_project: [project.pk],
        f"{of_project}/annotations/{{id}}": _ids(Annotation, project),
        f"{of_project}/assets/{{id}}": _ids(ImageAsset, project),
        f"{of_project}/categories/{{id}}": _ids(Category, project),
        f"{of_project}/bulk-edits/{{id}}": [edit.json()["id"]],
        f"{of_project}/coco/{{id}}": [coco.pk],
        f"{of_project}/exports/{{id}}": [export.pk],
        f"{of_project}/exports/cvat/{{export_pk}}": [cvat.pk],
        f"{of_project}/exports/cvat/{{export_pk}}/pulls/{{id}}": [pull.pk],
        f"{of_project}/exports/cvat/{{id}}": [cvat.pk],
        f"{of_project}/insights/views/{{id}}": [view.json()["id"]],
        f"{of_project}/insights/metrics/{{name}}": ["classes", "tags", "image_sizes"],
        f"{of_project}/members/{{id}}": [newcomer.pk, *_ids(Membership, project)],
        f"{of_project}/uploads/{{id}}": [upload.pk],
        "/api/v1/tasks/{id}": [imported.pk, exported.pk, sent.pk],
        "/api/v1/users/{id}": [newcomer.user_id],
        "/api/v1/auth/tokens/{id}": [token.json()["id"]],
        f"{of_project}/webhooks/{{id}}": [hook.pk],
        f"{of_project}/webhooks/{{webhook_pk}}": [hook.pk],
        f"{of_project}/webhooks/{{webhook_pk}}/deliveries/{{id}}": [sent_there.pk],
    }


def _ids(model: Any, project: Project) -> list[int]:
    return list(model.objects.filter(project=project).order_by("pk").values_list("pk", flat=True))
