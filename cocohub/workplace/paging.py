"""Pages of images in an order that curators choose, by key; and an image's neighbours in it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request

from accounts.api import pagination
from accounts.api.pagination import KeysetPagination
from assets.models import ImageAsset

PAGE = 60  # images
# Each has an index that begins with the project and ends with the id.
SORTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "id": (_("oldest first"), ("id",)),
    "-id": (_("newest first"), ("-id",)),
    "file": (_("file name"), ("file_name", "id")),
    "-annotations": (_("most objects"), ("-annotation_count", "-id")),
    "annotations": (_("fewest objects"), ("annotation_count", "id")),
    "-width": (_("widest"), ("-width", "-id")),
    "width": (_("narrowest"), ("width", "id")),
}


@dataclass(frozen=True)
class Page:
    """Some images, and the cursor of those after them; an empty one at the end."""

    images: list[ImageAsset]
    cursor: str


def sort_of(request: HttpRequest) -> str:
    """The order that the address asks for; by id if it is none of ours."""
    asked = request.GET.get("sort", "")
    return asked if asked in SORTS else "id"


def page_of(request: HttpRequest, rows: QuerySet[ImageAsset], sort: str) -> Page:
    """The page that the address's `cursor` asks for. Raises BrokenCursor."""
    paginator = KeysetPagination(ordering=SORTS[sort][1])
    paginator.page_size = paginator.max_page_size = PAGE
    images = paginator.paginate_queryset(rows, Request(request))
    following = parse_qs(urlsplit(paginator.next or "").query).get("cursor", [""])[0]
    return Page(images, following)


def neighbours(rows: QuerySet[ImageAsset], asset: ImageAsset, sort: str) -> tuple[int | None, int | None]:
    """Keys of the images before and after this one among the rows, whether or not it is one of them itself."""
    keys = pagination.keys_of(rows, SORTS[sort][1])
    here = [key.value_in(asset) for key in keys]
    lean = rows.only("pk", *(key.name for key in keys))
    found = [pagination.fetch(lean, keys, here, backward, 1) for backward in (True, False)]
    before, after = (row[0].pk if row else None for row in found)
    return before, after
