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
from annotations import query
from assets.models import ImageAsset

PAGE = 60  # images
# Images on either side among which a neighbour is looked for first: from far within a project PostgreSQL would go
# through all objects of the images before it to find the next image with one.
NEAR = 100
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


def beyond(request: HttpRequest, sort: str) -> query.Beyond | None:
    """From where the page that `cursor` asks for goes on, where the order is that of the key. Raises BrokenCursor."""
    if len(SORTS[sort][1]) > 1:
        return None
    keys = pagination.keys_of(ImageAsset.objects.all(), SORTS[sort][1])
    backward, after = pagination.read_cursor(request.GET.get("cursor", ""), keys)
    return query.Beyond(after[0], less=keys[0].descending is not backward) if after else None


def neighbours(rows: QuerySet[ImageAsset], asset: ImageAsset, sort: str) -> tuple[int | None, int | None]:
    """Keys of the images before and after this one among the rows, whether or not it is one of them itself."""
    keys = pagination.keys_of(rows, SORTS[sort][1])
    here = [key.value_in(asset) for key in keys]
    everything = ImageAsset.objects.filter(project=asset.project_id)

    def next_key(backward: bool) -> int | None:
        near = [row.pk for row in pagination.fetch(everything.only(*names), keys, here, backward, NEAR)]
        close = rows.filter(pk__in=near).only(*names)
        found = pagination.fetch(close, keys, here, backward, 1) if near else []
        if not found and len(near) == NEAR:
            found = pagination.fetch(rows.only(*names), keys, here, backward, 1)
        return found[0].pk if found else None

    names = ("pk", *(key.name for key in keys))
    return next_key(True), next_key(False)
