"""One image: large, with its objects drawn over it, its tags and metadata, its record, its history."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from django.contrib import messages
from django.db.models import Func, TextField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.errors import ServiceError, StaleEdit
from accounts.phrases import in_words
from annotations import query
from annotations.models import Annotation
from assets import services, storage
from assets.admin import merge_patch_between, split_tags
from assets.models import ImageAsset
from assets.services import REVIEW, Edit
from cocohub.workplace import paging
from cocohub.workplace.bulk import is_number_as_text, kept_as_text, typed_value
from cocohub.workplace.choosing import address, images_of, query_of
from cocohub.workplace.pages import in_project, show
from cocohub.workplace.pages import told as in_a_line
from exports.models import CvatImage, CvatRemark
from projects.admin_base import admin_user
from projects.models import AuditLog, Project, Role

MOST_OBJECTS = 2_000  # drawn on one image
FRAMES = 5  # in CVAT
VERSION_DIGITS = 10
STATUSES: dict[Any, Any] = dict(ImageAsset.Status.choices)
TYPED = 20_000  # characters that a field takes
PARTS = ("image_tags", "image_metadata", "image_record")  # templates
REMARKS = 20  # of reviewers there
HISTORY, HISTORY_LOOKED_AT = 20, 2_000  # audit lines
# Formats that browsers show; of others there is only the thumbnail.
SHOWN_BY_BROWSERS = frozenset({"jpeg", "png", "webp", "gif", "bmp", "avif"})


def find_image(project: Project, image_pk: int) -> ImageAsset:
    """The image, with its metadata as text to the letter in `record_text`. Raises Http404."""
    rows = ImageAsset.objects.filter(project=project, pk=image_pk).select_related("split", "project")
    asset = rows.annotate(record_text=Func("metadata", function="jsonb_pretty", output_field=TextField())).first()
    if asset is None:
        raise Http404(_("There is no such image in this project."))
    return asset


@in_project()
@require_safe
def image(request: HttpRequest, project: Project, image_pk: int) -> HttpResponseBase:
    """The page."""
    asset = find_image(project, image_pk)
    sort = paging.sort_of(request)
    before = after = None
    fault = None
    try:
        with query.statement_timeout():
            rows = images_of(project, query_of(request))
            before, after = paging.neighbours(rows, asset, sort)
    except query.QueryError as error:
        fault = in_words(error.message)
    state = address(request)
    showable = asset.format in SHOWN_BY_BROWSERS
    return show(
        request,
        "workplace/image.html",
        project,
        "images",
        title=str(asset),
        asset=asset,
        name=str(asset),
        picture=storage.link(asset.uri if showable else asset.thumbnail_uri),
        only_thumbnail=bool(asset.uri) and not showable,
        before=before,
        after=after,
        fault=fault,
        state=state,
        q=query_of(request),
        **_side(asset),
        frames=_frames(project, asset),
        remarks=_remarks(project, asset),
    )


@in_project(as_json=True)
@require_safe
def objects(request: HttpRequest, project: Project, image_pk: int) -> HttpResponseBase:
    """What is to be drawn: the image's annotations as COCO has them, with names and colours."""
    find_image(project, image_pk)
    rows = (
        Annotation.objects.filter(image=image_pk, project=project).select_related("category").order_by("position", "id")
    )
    found = list(rows[: MOST_OBJECTS + 1])
    body = {"objects": [_object(row) for row in found[:MOST_OBJECTS]], "more": len(found) > MOST_OBJECTS}
    return HttpResponse(orjson.dumps(body), content_type="application/json")


@in_project(Role.CURATOR)
@require_POST
def edit(request: HttpRequest, project: Project, image_pk: int) -> HttpResponseBase:
    """Change tags, status or metadata, and show the page again.

    The forms of status and metadata carry the version they were made from, and are refused without one or once it is
    stale. Those of tags need none: they add or remove single tags, and undo nothing that somebody else did meanwhile.
    """
    asset = find_image(project, image_pk)
    told, refused = "", HTTPStatus.OK
    try:
        wanted = _edit_of(request, asset)
        if wanted is not None and wanted.as_dict():
            services.update_asset(
                user=admin_user(request), asset=asset, edit=wanted, version=_version_for(wanted, request)
            )
            kept = any(is_number_as_text(value) for value in (wanted.metadata or {}).values())
            told = f"{_('Saved.')} {kept_as_text()}" if kept else _("Saved.")
    except StaleEdit:
        told = _("The image has been changed since you read it, so nothing was saved. Look at it again and repeat it.")
        refused = HTTPStatus.CONFLICT
    except ServiceError as refusal:
        told, refused = in_a_line(refusal), HTTPStatus(refusal.status)
    if request.headers.get("Accept", "").startswith("application/json"):
        parts = _parts(request, project, image_pk)
        if refused is HTTPStatus.OK:
            return JsonResponse({"text": told, "parts": parts})
        return JsonResponse({"message": told, "detail": {"parts": parts}}, status=refused)
    if told:
        messages.add_message(request, messages.SUCCESS if refused is HTTPStatus.OK else messages.ERROR, told)
    return HttpResponseRedirect(f"{reverse('workplace:image', args=[project.pk, image_pk])}?{address(request)}")


def _parts(request: HttpRequest, project: Project, image_pk: int) -> dict[str, str]:
    """The parts of the page that an edit changes, as they are now: the id of each, and its HTML."""
    asset = find_image(project, image_pk)
    state = address(request)
    context = {
        "project": project, "asset": asset, "may_edit": True, "suffix": f"?{state}" if state else "", **_side(asset),
    }  # fmt: skip
    return {name: render_to_string(f"workplace/{name}.html", context, request) for name in PARTS}


def _side(asset: ImageAsset) -> dict[str, Any]:
    """What stands beside the picture and can be changed there."""
    return {
        "metadata": _shown_metadata(asset),
        "record": _record(asset),
        "statuses": [(value, label) for value, label in ImageAsset.Status.choices if value in REVIEW],
        "in_review": asset.status in REVIEW,
        "history": _history(asset),
    }


def _version_for(wanted: Edit, request: HttpRequest) -> int | None:
    """The version that the form was made from; None where none is needed. Raises StaleEdit where it is missing."""
    if wanted.status is None and wanted.metadata is None:
        return None
    version = request.POST.get("version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < VERSION_DIGITS):
        raise StaleEdit("The form says not which version of the image it was made from.")
    return int(version)


def _edit_of(request: HttpRequest, asset: ImageAsset) -> Edit | None:
    given = request.POST
    if "add_tags" in given:
        return Edit(add_tags=split_tags(given["add_tags"]))
    if "remove_tag" in given:
        return Edit(remove_tags=[given["remove_tag"]])
    if "status" in given:
        return Edit(status=given["status"] or None)
    if "remove_key" in given:
        return Edit(metadata={given["remove_key"]: None})
    if key := given.get("meta_key", "").strip():
        return Edit(metadata={key: typed_value(given.get("meta_value", ""))})
    if "metadata" in given:
        return Edit(metadata=merge_patch_between(asset.metadata, _json_object(given["metadata"])) or None)
    return None


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ServiceError(_("The metadata is no JSON: %(why)s") % {"why": error}) from error
    if not isinstance(value, dict):
        raise ServiceError(_("The metadata must be a JSON object."))
    return value


def _shown_metadata(asset: ImageAsset) -> list[tuple[str, str, str | None]]:
    """Key, value as it reads, and value as one would type it; None for what is too long to be typed."""
    rows = sorted(asset.metadata.items()) if isinstance(asset.metadata, dict) else []
    return [
        (key, value if isinstance(value, str) else orjson.dumps(value).decode(), _typed(value)) for key, value in rows
    ]


def _typed(value: Any) -> str | None:
    text = orjson.dumps(value).decode()
    if isinstance(value, str) and value == value.strip() and value:
        with suppress(ServiceError):  # it begins like JSON: its quotes tell that it is text
            text = value if typed_value(value) == value else text
    return text if len(text) <= TYPED and "\n" not in text else None


def _record(asset: Any) -> str:
    """The image's COCO record, its numbers to the letter."""
    own = {"id": asset.coco_id if asset.coco_key is None else asset.coco_key, "file_name": asset.file_name}
    sizes = {name: value for name, value in (("width", asset.width), ("height", asset.height)) if value is not None}
    lines = [
        f"    {orjson.dumps(name).decode()}: {orjson.dumps(value).decode()}" for name, value in {**own, **sizes}.items()
    ]
    rest = asset.record_text.strip().removeprefix("{").removesuffix("}").strip("\n")
    return "{\n" + ",\n".join([*lines, rest] if rest.strip() else lines) + "\n}"


def _object(row: Annotation) -> dict[str, Any]:
    category = row.category
    meta = category.meta if category is not None and isinstance(category.meta, dict) else {}
    return {
        "id": row.pk,
        "coco_id": row.coco_key or row.coco_id,
        "kind": row.kind,
        "category": category.name if category is not None else "",
        "category_id": row.category_id,
        "color": category.color if category is not None else "",
        "bbox": row.bbox,
        "area": float(row.area) if row.area is not None else None,
        "iscrowd": row.iscrowd,
        "segmentation": row.segmentation,
        "keypoints": row.keypoints,
        "num_keypoints": row.num_keypoints,
        "names": meta.get("keypoints"),
        "skeleton": meta.get("skeleton"),
        "attributes": row.attributes,
        "score": float(row.score) if row.score is not None else None,
        "extra": row.extra,
        "issues": row.issues or [],
        "source": row.source,
        "is_machine": row.is_machine,
    }


def _frames(project: Project, asset: ImageAsset) -> list[CvatImage]:
    """Where the image is in CVAT, the last export first."""
    sent = CvatImage.objects.filter(project=project, asset=asset.pk, problem="").with_jobs()
    found = sent.select_related("task", "task__cvat_project").order_by("-pk")[:FRAMES]
    return [frame for frame in found if frame.link]


def _remarks(project: Project, asset: ImageAsset) -> list[CvatRemark]:
    """What people wrote about it in CVAT: open ones first, then the newest."""
    rows = CvatRemark.objects.filter(project=project, image_id=asset.pk).order_by("resolved", "-pk")
    return list(rows.select_related("cvat_task", "cvat_task__cvat_project")[:REMARKS])


def _history(asset: ImageAsset) -> list[dict[str, Any]]:
    """The image's own lines among the project's last ones: an index serves those, and no trail is read whole."""
    last = AuditLog.objects.filter(project=asset.project).order_by("-id").values("pk")[:HISTORY_LOOKED_AT]
    lines = AuditLog.objects.filter(pk__in=last, detail__asset=asset.pk).order_by("-id")[:HISTORY]
    return [{"line": line, "changes": _changes(line.detail)} for line in lines]


def _changes(detail: dict[str, Any]) -> list[tuple[str, str]]:
    names = {
        "tags": _("tags"),
        "add_tags": _("tags added"),
        "remove_tags": _("tags removed"),
        "metadata": _("metadata"),
        "status": _("status"),
    }
    return [
        (label, str(STATUSES.get(detail[name], detail[name])) if name == "status" else _plain(detail[name]))
        for name, label in names.items()
        if name in detail
    ]


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()
