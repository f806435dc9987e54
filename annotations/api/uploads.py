"""Uploads in parts that survive a broken connection: tus 1.0 (https://tus.io/protocols/resumable-upload).

Any tus client can be used, with the access token as a header. `POST` says how many bytes will come, `PATCH` sends them,
`HEAD` asks how many have come, `DELETE` takes the upload back. `GET` shows it as JSON. The id of a finished upload goes
to `POST projects/{id}/coco` as `upload` or `images_upload`.
"""

import base64
import binascii
from typing import IO, Any, cast
from uuid import UUID

from django.conf import settings
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.mixins import ListModelMixin
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.errors import ServiceError, StaleEdit, TooLarge
from annotations import uploads
from annotations.models import ResumableUpload
from projects.api.base import ProjectScoped

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
OF_TUS = frozenset(["POST", "HEAD", "PATCH", "DELETE"])  # GET is ours: it shows uploads as JSON
LEFT_OF_PART = "cocohub.left_of_part"  # in the ASGI scope, where a part comes in pieces
OFFSET_TYPE = "application/offset+octet-stream"
METADATA = "filename BASE64,..."


class UploadSerializer(serializers.ModelSerializer[ResumableUpload]):
    """An upload and how much of it has come."""

    is_whole = serializers.BooleanField(read_only=True, help_text="All of it has come: an import can name it.")

    class Meta:
        model = ResumableUpload
        fields = ("id", "file_name", "length", "offset", "is_whole", "created_by", "created_at", "expires_at")
        read_only_fields = fields


class BytesParser(BaseParser):
    """Leaves the body alone: the service reads it as it comes."""

    media_type = "*/*"


def _header(name: str, text: str, *, required: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required, description=text)


@extend_schema(tags=["imports"])
class UploadViewSet(ProjectScoped, ListModelMixin, GenericViewSet[ResumableUpload]):
    """Files on their way to an import, sent in parts (tus 1.0)."""

    queryset = ResumableUpload.objects.select_related("project")
    serializer_class = UploadSerializer
    ordering = ("-created_at", "-id")
    lookup_value_converter = "uuid"
    parser_classes = (BytesParser,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Prove who calls, then which version of tus."""
        super().initial(request, *args, **kwargs)
        version = request.headers.get("Tus-Resumable")
        if request.method in OF_TUS and version != VERSION:
            found = "no version" if version is None else repr(version[:20])
            raise StaleEdit(f"This server speaks tus {VERSION}: send that as Tus-Resumable. The request has {found}.")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Every answer says which version of tus it is."""
        answer = super().finalize_response(request, response, *args, **kwargs)
        answer["Tus-Resumable"] = VERSION
        if answer.status_code == StaleEdit.status:
            answer["Tus-Version"] = VERSION
        return answer

    @extend_schema(exclude=True)
    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """What this server can do."""
        able = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(settings.MAX_UPLOAD_BYTES)}
        return Response(
            status=204, headers={**able, "Tus-Checksum-Algorithm": ",".join(uploads.CHECKSUMS), "Allow": "GET, POST"}
        )

    @extend_schema(
        request={OFFSET_TYPE: OpenApiTypes.BINARY},
        responses={201: UploadSerializer},
        parameters=[
            _header("Upload-Length", "Bytes of the whole file.", required=True),
            _header("Upload-Metadata", f"`{METADATA}`; the file name tells splits."),
            _header("Tus-Resumable", VERSION, required=True),
        ],
    )
    def create(self, request: Request, project_pk: int) -> Response:
        """Begin an upload; a body of the tus type is its first part. For curators."""
        if request.headers.get("Upload-Defer-Length"):
            raise ServiceError("Upload-Defer-Length is not supported: say how many bytes will come in Upload-Length.")
        length = _number(request, "Upload-Length")
        brings_part = request.content_type == OFFSET_TYPE and _size(request) > 0
        if brings_part and _size(request) > length:
            raise TooLarge(f"The upload is announced with {length:,} bytes; its first part has {_size(request):,}.")
        upload = uploads.create(
            user=self.user,
            project=self.project,
            length=length,
            file_name=_file_name(request.headers.get("Upload-Metadata", "")),
        )
        if brings_part:
            upload = self._append(request, upload, 0)
        location = reverse("project-upload-detail", args=[self.project.pk, upload.pk], request=request)
        return self._answer(upload, 201, {"Location": location}, self.get_serializer(upload).data)

    def retrieve(self, request: Request, project_pk: int, pk: UUID) -> Response:
        """How much has come; with HEAD as tus asks for it, in the header `Upload-Offset`."""
        upload = self.get_object()
        headers = {"Cache-Control": "no-store", "Upload-Length": str(upload.length)}
        return self._answer(upload, 200, headers, self.get_serializer(upload).data)

    @extend_schema(
        request={OFFSET_TYPE: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="Kept; `Upload-Offset` says how many bytes are here.")},
        parameters=[
            _header("Upload-Offset", "Where the part begins: 409 if it is not where the upload ends.", required=True),
            _header("Upload-Checksum", "`sha256 BASE64` of the part: 460 if the bytes are others."),
            _header("Tus-Resumable", VERSION, required=True),
        ],
    )
    def partial_update(self, request: Request, project_pk: int, pk: UUID) -> Response:
        """Send a part, or all that is left. For curators."""
        if request.content_type != OFFSET_TYPE:
            raise UnsupportedMediaType(request.content_type, f"Send the part as {OFFSET_TYPE}.")
        return self._answer(self._append(request, self.get_object(), _number(request, "Upload-Offset")), 204)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, project_pk: int, pk: UUID) -> Response:
        """Take the upload back. For curators."""
        uploads.take_back(user=self.user, upload=self.get_object())
        return Response(status=204)

    def _append(self, request: Request, upload: ResumableUpload, offset: int) -> ResumableUpload:
        return uploads.append(
            user=self.user,
            upload=upload,
            offset=offset,
            body=cast(IO[bytes], request._request),  # it is read like a file
            size=_size(request),
            checksum=request.headers.get("Upload-Checksum", ""),
            announced=getattr(request._request, "scope", {}).get(LEFT_OF_PART, 0),
        )

    def _answer(
        self, upload: ResumableUpload, status: int, headers: dict[str, str] | None = None, data: Any = None
    ) -> Response:
        own = {"Upload-Offset": str(upload.offset), "Upload-Expires": http_date(upload.expires_at.timestamp())}
        return Response(data, status=status, headers={**own, **(headers or {})})


def _number(request: Request, name: str) -> int:
    given = request.headers.get(name, "")
    if not (given.isascii() and given.isdecimal()) or len(given) > 18:
        raise ServiceError(
            f"{name} is {given[:40]!r}; expected a number of bytes.", fields={name: ["Expected a number."]}
        )
    return int(given)


def _size(request: Request) -> int:
    given = request.META.get("CONTENT_LENGTH") or "0"
    return int(given) if given.isdecimal() else 0


def _file_name(metadata: str) -> str:
    """The file's name from `Upload-Metadata`: pairs of a key and Base64, between commas."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise ServiceError("The file name in Upload-Metadata is not Base64 of UTF-8.") from None
    return ""
