"""What the home page tells: projects with a strip of pictures, running work, and what needs somebody's attention."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from annotations.counting import CAP, CappedCount
from assets import storage
from assets.models import ImageAsset
from cocohub.templatetags.workplace import in_words, phase_name
from exports.models import CvatDifference
from projects.models import Project, Role, Task

CARDS = 24
STRIP = 5  # pictures per card
LOOKED_AT = 100  # images of a project among which the strip is chosen: there may be none with a picture
RUNNING = 8
ATTENTION = 6
ATTENTION_DAYS = 14
UNSEEABLE = (ImageAsset.Status.MISSING, ImageAsset.Status.BROKEN)


@dataclass
class Card:
    """A project as the home page shows it."""

    project: Project
    role: str
    images: int
    images_are_more: bool
    unseeable: int
    waiting: int  # differences in CVAT to be decided
    pictures: list[str] = field(default_factory=list)


def cards(user: Any) -> tuple[list[Card], bool]:
    """The user's projects, those that changed last first, and whether there are more than these. Two queries."""
    of_project = ImageAsset.objects.filter(project=OuterRef("pk"))
    waiting = CvatDifference.objects.filter(job__project=OuterRef("pk")).open()
    rows = (
        Project.objects.visible_to(user)
        .with_role_of(user)
        .select_related("owner")
        .annotate(images=CappedCount(of_project), unseeable=CappedCount(of_project.filter(status__in=UNSEEABLE), 1_000))
        .annotate(waiting=CappedCount(waiting, 1_000))
        .order_by("-updated_at", "-id")
    )
    found = list(rows[: CARDS + 1])
    strips = _strips(found[:CARDS])
    return [_card(row, strips[row.pk]) for row in found[:CARDS]], len(found) > CARDS


def _card(project: Any, pictures: list[str]) -> Card:
    role = str(Role(project.my_role).label) if project.my_role else ""
    images = min(project.images, CAP)
    return Card(project, role, images, project.images > CAP, project.unseeable, project.waiting, pictures)


def _strips(projects: Sequence[Project]) -> dict[int, list[str]]:
    """Links to a few small pictures of each project: one query for all."""
    strips: dict[int, list[str]] = defaultdict(list)
    with_picture = ImageAsset.objects.exclude(uri="").order_by("id").values_list("project", "thumbnail_uri", "uri")
    first = ImageAsset.objects.order_by("id").values("pk")
    parts = [with_picture.filter(pk__in=first.filter(project=project)[:LOOKED_AT])[:STRIP] for project in projects]
    if not parts:
        return strips
    for project, thumbnail, uri in parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]:
        if link := storage.link(thumbnail or uri):
            strips[project].append(link)
    return strips


def running(user: Any) -> QuerySet[Task]:
    """Work of the user's projects that waits or goes on."""
    return Task.objects.visible_to(user).unfinished().select_related("project").newest_first()[:RUNNING]


def failed(user: Any) -> QuerySet[Task]:
    """Work that failed of late, unless the same was done since."""
    later = Task.objects.filter(
        project=OuterRef("project"), kind=OuterRef("kind"), created_at__gt=OuterRef("created_at")
    ).filter(Q(status=Task.Status.SUCCEEDED))
    since = timezone.now() - timedelta(days=ATTENTION_DAYS)
    return (
        Task.objects.visible_to(user)
        .filter(status=Task.Status.FAILED, created_at__gt=since)
        .exclude(Exists(later))
        .select_related("project", "import_job", "export_job")
        .newest_first()[:ATTENTION]
    )


def progress(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Tasks as the page's script reads them."""
    return [
        {
            "id": str(task.pk),
            "status": task.status,
            "status_text": str(task.get_status_display()),
            "phase": phase_name(task.phase),
            "done": task.done,
            "total": task.total,
            "percent": task.percent,
            "message": in_words(task.message),
            "finished": task.is_finished,
        }
        for task in tasks
    ]
