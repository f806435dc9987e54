"""Boxes for the grid's thumbnails: asked for when somebody wants to see them, for the images that are loaded."""

from typing import Any

import orjson
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.errors import ServiceError
from annotations.models import Annotation
from assets.models import ImageAsset
from cocohub.workplace.bulk import ID_DIGITS
from cocohub.workplace.pages import in_project
from projects.models import Project

MOST_IMAGES = 120  # asked for at once
MOST_BOXES = 120  # of one image


@in_project(as_json=True)
@require_safe
def boxes(request: HttpRequest, project: Project) -> HttpResponseBase:
    """For each image of `ids` its size in pixels and its boxes: x, y, width, height, key and colour of the category."""
    words = [word for word in request.GET.get("ids", "").split(",") if word]
    if len(words) > MOST_IMAGES or not all(
        word.isascii() and word.isdecimal() and len(word) <= ID_DIGITS for word in words
    ):
        raise ServiceError(f"Expected the numbers of at most {MOST_IMAGES} images.")
    keys = [int(word) for word in words]
    found: dict[int, dict[str, Any]] = {
        key: {"size": [width, height], "boxes": []}
        for key, width, height in ImageAsset.objects.filter(project=project, pk__in=keys).values_list(
            "pk", "width", "height"
        )
    }
    # Thumbnails show the stored pixels; boxes that were drawn on the turned picture would lie beside the objects.
    fitting = ImageAsset.objects.filter(pk__in=list(found)).exclude(issues__contains=["size_turned"])
    rows = (
        Annotation.objects.filter(project=project, image__in=fitting, bbox__isnull=False)
        .annotate(place=Window(RowNumber(), partition_by=F("image"), order_by=["position", "id"]))
        .filter(place__lte=MOST_BOXES)
        .values_list("image", "bbox", "category", "category__color")
    )
    for image, bbox, category, color in rows:
        found[image]["boxes"].append([bbox, category, color or ""])
    body = {str(key): value for key, value in found.items()}
    return HttpResponse(orjson.dumps({"images": body}), content_type="application/json")
