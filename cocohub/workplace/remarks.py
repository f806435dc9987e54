"""Remarks from CVAT as the workplace shows them: the place on the picture, what was written, the way to the frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.utils.translation import gettext as _

from assets import storage
from assets.models import ImageAsset
from cocohub.workplace.drawing import DOT, Box, Drawing, size_of, view_of
from cocohub.workplace.picture import SHOWN_BY_BROWSERS
from exports.models import CvatRemark, ExportJob
from projects.models import Project


@dataclass
class RemarkCard:
    """One remark on the page of differences."""

    row: CvatRemark
    image: ImageAsset | None
    picture: str | None
    drawing: Drawing
    view: str  # SVG's viewBox
    dot: float


def numbers_of(job: ExportJob) -> list[tuple[str, str, int]]:
    """Open and resolved ones: value in the address, name, number."""
    counted = dict(CvatRemark.objects.filter(job=job).order_by().values_list("resolved").annotate(number=Count("pk")))
    return [
        ("open", _("open remarks"), counted.get(False, 0)),
        ("resolved", _("resolved remarks"), counted.get(True, 0)),
    ]


def rows_of(job: ExportJob, which: str) -> Any:
    """The remarks of an export: `open` or `resolved`."""
    rows = CvatRemark.objects.filter(job=job, resolved=which == "resolved")
    return rows.select_related("cvat_task", "cvat_task__cvat_project").order_by("pk")


def cards_of(project: Project, rows: Sequence[CvatRemark]) -> list[RemarkCard]:
    """Cards, with the images that are here."""
    keys = [row.image_id for row in rows if row.image_id]
    images = {image.pk: image for image in ImageAsset.objects.filter(project=project, pk__in=keys)}
    return [_card(row, images.get(row.image_id or 0)) for row in rows]


def _card(row: CvatRemark, image: ImageAsset | None) -> RemarkCard:
    drawing, box = _drawn(row.position)
    width, height = size_of(image)
    view = view_of([box], width, height)
    showable = image is not None and image.format in SHOWN_BY_BROWSERS
    return RemarkCard(
        row=row,
        image=image,
        picture=storage.link(image.uri if showable else image.thumbnail_uri) if image is not None else None,
        drawing=drawing,
        view=" ".join(f"{value:g}" for value in view),
        dot=max(view[2], view[3]) * DOT,
    )


def _drawn(position: Sequence[float]) -> tuple[Drawing, Box | None]:
    """CVAT has the corners of a box, one point, or a polygon."""
    drawing = Drawing("remark")
    across, down = position[::2], position[1::2]
    if not position or len(across) != len(down):
        return drawing, None
    if len(across) == 1:
        drawing.points = [(across[0], down[0], True)]
        return drawing, (across[0], down[0], across[0], down[0])
    left, top, right, bottom = box = (min(across), min(down), max(across), max(down))
    if len(across) == 2:
        drawing.paths = [f"M{left:g} {top:g}H{right:g}V{bottom:g}H{left:g}z"]
    else:
        drawing.paths = ["M" + "L".join(f"{x:g} {y:g}" for x, y in zip(across, down, strict=True)) + "z"]
    return drawing, box
