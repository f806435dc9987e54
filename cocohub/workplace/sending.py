"""What an import is made of, sent in parts that survive a broken connection, and looked at before it is started."""

from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from accounts.errors import NotFound, ServiceError
from annotations import material, services, uploads
from annotations.models import ImportJob, ResumableUpload
from cocohub.workplace.pages import in_project
from projects.admin_base import admin_user
from projects.models import Project, Role

SPLIT_LENGTH = 100
DIGITS = 15
MOST_SPLITS = 200
NO_FILE = {
    ImportJob.What.COCO: gettext_lazy("Choose a COCO file (JSON), or a zip with one."),
    ImportJob.What.PREDICTIONS: gettext_lazy("Choose a file of COCO results (JSON)."),
}


@in_project(Role.CURATOR, as_json=True)
@require_POST
def begin(request: HttpRequest, project: Project) -> HttpResponseBase:
    """Begin to send a file of `length` bytes called `name`."""
    length = request.POST.get("length", "")
    if not length.isdecimal() or not length.isascii() or len(length) > DIGITS:
        raise ServiceError(_("The length of the file is no number."))
    name = request.POST.get("name", "")
    upload = uploads.create(user=admin_user(request), project=project, length=int(length), file_name=name)
    return JsonResponse({"id": str(upload.pk), "offset": upload.offset}, status=201)


@in_project(Role.CURATOR, as_json=True)
@require_POST
def part(request: HttpRequest, project: Project, upload_pk: UUID) -> HttpResponseBase:
    """Take the request's body as the part of the upload that begins at `offset`; tell how much is here then."""
    upload = ResumableUpload.objects.filter(project=project, pk=upload_pk).select_related("project").first()
    if upload is None:
        raise NotFound(_("This upload has been taken back."))
    offset, size = (text if text.isdecimal() and len(text) <= DIGITS else "" for text in (
        request.GET.get("offset", ""), request.META.get("CONTENT_LENGTH") or "",
    ))  # fmt: skip
    if not offset or not size:
        raise ServiceError(_("Say where in the file the part begins."))
    held = uploads.append(user=admin_user(request), upload=upload, offset=int(offset), body=request, size=int(size))  # type: ignore[arg-type]
    return JsonResponse({"offset": held.offset, "whole": held.is_whole})


@in_project(Role.CURATOR, as_json=True)
@require_POST
def survey(request: HttpRequest, project: Project) -> HttpResponseBase:
    """What an import of this would do, as a piece of the page; nothing is written."""
    upload, wanted = asked(request, project)
    found = services.survey(user=admin_user(request), project=project, upload=upload, wanted=wanted)
    page = render_to_string("workplace/survey.html", found, request)
    return JsonResponse({"html": page, "files": len(found["files"])})


def asked(request: HttpRequest, project: Project) -> tuple[services.Upload, services.Wanted]:
    """What the form sends or names, and how it is to be taken. Raises ServiceError."""
    given = request.POST
    file = request.FILES.get("file")
    images = tuple(each for each in request.FILES.getlist("images") if isinstance(each, UploadedFile))
    key, name = _named(project, given.get("upload", ""), given.get("prefix", ""), "prefix")
    images_key, _name = _named(project, given.get("images_upload", ""), given.get("images_prefix", ""), "images_prefix")
    what = _what(given.get("what", ""))
    if what == ImportJob.What.IMAGES:
        file, key, name = None, "", ""
        if not images and not images_key:
            raise ServiceError(_("Choose pictures, or a zip of them."))
    elif not isinstance(file, UploadedFile) and not key:
        raise ServiceError(str(NO_FILE[what]))
    source = given.get("source", "").strip()
    if what == ImportJob.What.PREDICTIONS:
        images, images_key = (), ""
        if not source:
            raise ServiceError(_("Say what made the predictions: a name such as yolo-v9."))
    if isinstance(file, UploadedFile) and key:
        raise ServiceError(_("Send a file, or name what lies in storage; not both."))
    sent = file if isinstance(file, UploadedFile) else None
    wanted = services.Wanted(
        what=what,
        split=_split(given.get("split", "")),
        splits=_splits(request) if what == ImportJob.What.COCO else None,
        strict=bool(given.get("strict")),
        source=source if what == ImportJob.What.PREDICTIONS else "",
    )
    return services.Upload(sent, images, key, images_key, name), wanted


def _what(text: str) -> ImportJob.What:
    """What is imported; a removal is asked for elsewhere."""
    if text in NO_FILE or text == ImportJob.What.IMAGES:
        return ImportJob.What(text)
    if text:
        raise ServiceError(_("Say whether these are COCO files, pictures or predictions."))
    return ImportJob.What.COCO


def _named(project: Project, upload: str, place: str, field: str) -> tuple[str, str]:
    """Key and name of something that was sent in parts, or that lies in storage."""
    if upload:
        try:
            found = uploads.whole(project, UUID(upload), "file")
        except ValueError:
            raise ServiceError(_("This upload has been taken back.")) from None
        return found.key, found.file_name
    place = place.strip()
    if not place:
        return "", ""
    is_file = place.lower().endswith((*material.JSON_ENDINGS, ".zip"))
    key = material.incoming_key(place if is_file else f"{place.rstrip('/')}/", field)
    return key, key.removeprefix(settings.IMPORT_PREFIX) if is_file else key


def _split(text: str) -> str:
    text = text.strip()
    if len(text) > SPLIT_LENGTH or not text.isprintable():
        raise ServiceError(_("The split's name is too long, or holds control characters."))
    return text


def _splits(request: HttpRequest) -> dict[str, str]:
    """Splits of single files: JSON of names and splits; those left empty are taken from the file's name."""
    text = request.POST.get("splits", "")
    if not text:
        return {}
    try:
        given: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or len(given) > MOST_SPLITS:
        raise ServiceError(_("The splits of the files cannot be read."))
    return {str(name): _split(str(split)) for name, split in given.items() if str(split).strip()}
