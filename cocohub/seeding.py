"""A believable installation to look around in: people of each role and three projects, each in another state.

Everything is made by the services that people use, so it has its trail. It may be done again: what is there stays as
it is, and what an earlier run did not get to is done.
"""

import random
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

from accounts.errors import Conflict, ServiceError
from accounts.models import User
from accounts.services import create_user
from annotations import bulk, material
from annotations import services as imports
from annotations.changes import Change, Selection
from annotations.models import BulkEdit
from annotations.one_file import FileToImport
from assets import thumbnails
from assets.services import Edit
from cocohub.management.commands import demo
from cocohub.sample import draw_sample
from exports import services as exports
from exports.models import ExportJob
from insights import refreshing
from insights import services as views
from insights.models import InsightView
from projects import jobs
from projects.models import Project, Role, Task
from projects.services import add_member, create_project, update_project

PASSWORD = "curate-with-care"  # noqa: S105 - outside of production, where each installation gets one of its own
ADMIN = "ada@seed.cocohub.example"
SOURCE = "drawn by manage.py seed"  # by which its projects are known again

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Login:
    """Somebody who can log in; no role is that of a global admin, or of a stranger."""

    email: str
    name: str
    role: Role | None


PEOPLE = (
    Login(ADMIN, "Ada Admin", None),
    Login("olga@seed.cocohub.example", "Olga Owner", Role.OWNER),
    Login("maya@seed.cocohub.example", "Maya Manager", Role.MANAGER),
    Login("carl@seed.cocohub.example", "Carl Curator", Role.CURATOR),
    Login("vera@seed.cocohub.example", "Vera Viewer", Role.VIEWER),
    Login("sam@seed.cocohub.example", "Sam Stranger", None),
)
OWNER, MANAGER, CURATOR = (one.email for one in PEOPLE[1:4])
FRESH, CURATED, JUDGED = "Town webcams", "Street scenes", "Detectors compared"
SEEDS = {FRESH: (11, 24), CURATED: (23, 48), JUDGED: (37, 40)}  # of the drawing, and how many pictures
DESCRIPTIONS = {
    FRESH: "Came in this morning, with a few flaws: nobody has looked yet. Begin with the import's report.",
    CURATED: "Half-way through: tags, reviews, issues, saved views, an export that was given away.",
    JUDGED: "Two detectors' predictions beside what people drew: which one is better, and where?",
}


@dataclass(frozen=True)
class Seeded:
    """What was made, and who can log in; without a password where they were there before."""

    logins: list[dict[str, Any]]
    projects: list[dict[str, Any]]
    password: str  # of the people that were made now; empty if there were none


def foreign() -> list[str]:
    """Names of projects that neither the seed nor the demo has made."""
    others = (
        Project.objects.filter(deleting=False)
        .exclude(source=SOURCE)
        .exclude(owner__email=demo.EMAIL, name=demo.PROJECT)
    )
    return list(others.values_list("name", flat=True)[:20])


def seed(progress: Progress, *, beside_others: bool = False) -> Seeded:
    """Make what is not there yet. Raises Conflict where there are projects of others, unless told to go beside them."""
    if not beside_others and (names := foreign()):
        raise Conflict(
            f"There are projects here that the seed has not made: {', '.join(names[:5])}. Use an installation of "
            "its own for it, or say --beside-others."
        )
    people, made, password = _people()
    projects = [
        _project(people, FRESH, _fresh, progress),
        _project(people, CURATED, _curated, progress),
        _project(people, JUDGED, _judged, progress),
    ]
    logins = [
        {"email": one.email, "name": one.name, "role": _role(one), "password": password if one.email in made else None}
        for one in PEOPLE
    ]
    return Seeded(logins, projects, password if made else "")


def _role(login: Login) -> str:
    if login.role is not None:
        return login.role.slug
    return "global admin" if login.email == ADMIN else "member of nothing"


def _people() -> tuple[dict[str, User], set[str], str]:
    password = secrets.token_urlsafe(12) if settings.PRODUCTION else PASSWORD
    there = {user.email: user for user in User.objects.filter(email__in=[one.email for one in PEOPLE])}
    made = {one.email for one in PEOPLE} - set(there)
    if ADMIN in made:
        there[ADMIN] = User.objects.create_superuser(ADMIN, password, name=PEOPLE[0].name)
    admin = there[ADMIN]
    for one in PEOPLE:
        if one.email not in there:
            there[one.email] = create_user(
                user=admin, email=one.email, password=password, name=one.name, is_staff=one.role is not None
            )
    return there, made, password


def _project(
    people: dict[str, User],
    name: str,
    fill: Callable[[dict[str, User], Project, Path, Progress], None],
    progress: Progress,
) -> dict[str, Any]:
    owner = people[OWNER]
    there = Project.objects.filter(name=name, owner=owner, source=SOURCE, deleting=False).first()
    project = there or create_project(user=owner, name=name, source=SOURCE)
    was_whole = bool(project.description)
    if not was_whole:
        for one in PEOPLE:
            if one.role not in (None, Role.OWNER) and not project.memberships.filter(user=people[one.email]).exists():
                add_member(user=owner, project=project, email=one.email, role=Role(one.role))
        with tempfile.TemporaryDirectory(prefix="seed-", dir=settings.HOME) as place:
            folder = Path(place, name.lower().replace(" ", "-"))
            number, images = SEEDS[name]
            progress(name, 0, None)
            draw_sample(folder, images=images, seed=number)
            fill(people, project, folder, progress)
        thumbnails.make_thumbnails(project, progress, user=owner)
        # What says that nothing is left to do comes last.
        project = update_project(user=owner, project=project, description=DESCRIPTIONS[name])
        refreshing.compute_here(project, "", progress)
    return {"id": project.pk, "name": name, "images": project.assets.count(), "made": not was_whole}


# --- The three projects -----------------------------------------------------------------------------------------------


def _fresh(people: dict[str, User], project: Project, folder: Path, progress: Progress) -> None:
    """As it came: some records are wrong, one picture is cut off, one is missing."""
    path = folder / "annotations" / "instances_train.json"
    document = orjson.loads(path.read_bytes())
    records, images = document["annotations"], document["images"]
    records[3] = {**records[3], "image_id": 999_999}
    records[7] = {**records[7], "category_id": 4_000}
    records[11] = {**records[11], "bbox": [*records[11]["bbox"][:2], 0, 4]}
    path.write_bytes(orjson.dumps(document))
    for joined in folder.glob("annotations/person_keypoints_*.json"):
        joined.unlink()  # its records of the same ids would mend what is wrong here
    cut = folder / "train" / images[1]["file_name"]
    cut.write_bytes(cut.read_bytes()[:-2_000])
    (folder / "train" / images[2]["file_name"]).unlink()
    _import(people[CURATOR], project, folder, progress)


def _curated(people: dict[str, User], project: Project, folder: Path, progress: Progress) -> None:
    """Tags, reviews, metadata, views, an edit that was undone, an export."""
    _import(people[CURATOR], project, folder, progress)
    if not BulkEdit.objects.filter(project=project).exists():
        _curate(people[CURATOR], project, progress)
    for name, q, drawn in (
        ("Classes in train", "split:train", {"metric": "classes", "chart": "bar", "options": {"limit": 15}}),
        ("Where large cars are", "has(category:car area>5000)", {"metric": "box_centres", "chart": "heatmap"}),
        ("Left to review", "status:in_review", {"metric": "annotations_per_image", "chart": "column"}),
    ):
        if not InsightView.objects.filter(project=project, name=name).exists():
            view = views.create_view(
                user=people[CURATOR], project=project, name=name, query={"q": q}, visualization=drawn
            )
            if name == "Left to review":
                views.pin_view(user=people[CURATOR], view=view, pinned=True)
    if not ExportJob.objects.filter(project=project).exists():
        job = exports.start_export(
            user=people[MANAGER], project=project, wanted=exports.Wanted(q="status:approved", package=True)
        )
        jobs.run(job.task_id, exports.run_export)


def _curate(curator: User, project: Project, progress: Progress) -> None:
    for q, edit in (
        ("category:person annotations>8", Edit(add_tags=["crowded"])),
        ("category:car", Edit(add_tags=["traffic"])),
        ("split:val", Edit(add_tags=["holdout"], metadata={"camera": "west gate"})),
        ("tag:traffic -tag:crowded", Edit(status="approved")),
        ("tag:crowded", Edit(status="in_review", metadata={"reviewer": "Carl"})),
        ("annotations:0", Edit(status="rejected", add_tags=["empty"])),
    ):
        bulk.perform_here(user=curator, project=project, selection=Selection(q), change=Change(edit), progress=progress)
    mistake = bulk.perform_here(
        user=curator,
        project=project,
        selection=Selection(""),
        change=Change(Edit(add_tags=["night"])),
        progress=progress,
    )
    bulk.start_undo(user=curator, edit=mistake)


def _judged(people: dict[str, User], project: Project, folder: Path, progress: Progress) -> None:
    """Predictions of two detectors: one sure and coarse, one careful that misses what is small."""
    _import(people[CURATOR], project, folder, progress)
    document = orjson.loads((folder / "annotations" / "instances_val.json").read_bytes())
    for source, jitter, smallest, false in (("detector-a", 0.16, 0, 0.3), ("detector-b", 0.05, 1_500, 0.08)):
        path = folder / f"{source}.json"
        path.write_bytes(orjson.dumps(_predicted(document, source, jitter, smallest, false)))
        task = imports.import_here(
            user=people[CURATOR], project=project, files=[FileToImport(path, "val")], pictures=None,
            file_name=path.name, progress=progress,
            wanted=imports.Wanted(what=imports.What.PREDICTIONS, split="val", source=source),
        )  # fmt: skip
        _require(task)


def _predicted(
    document: dict[str, Any], source: str, jitter: float, smallest: float, false: float
) -> list[dict[str, Any]]:
    chance = random.Random(source)  # noqa: S311 - the same each time, not secret
    found = []
    for record in document["annotations"]:
        x, y, wide, high = record["bbox"]
        if record.get("iscrowd") or wide * high < smallest or chance.random() < 0.1:
            continue
        box = [
            round(value + chance.gauss(0, jitter) * side, 1)
            for value, side in ((x, wide), (y, high), (wide, wide), (high, high))
        ]
        box[2:] = [max(2.0, side) for side in box[2:]]
        same = {"image_id": record["image_id"], "category_id": record["category_id"]}
        found.append({**same, "bbox": box, "score": round(chance.uniform(0.45, 0.99), 3)})
        if chance.random() < false:
            away = [max(0.0, box[0] - 1.5 * wide), max(0.0, box[1] - high), *box[2:]]
            found.append({**same, "bbox": away, "score": round(chance.uniform(0.05, 0.6), 3)})
    return found


def _import(user: User, project: Project, folder: Path, progress: Progress) -> None:
    found = material.in_folder(folder, "", {})
    _require(
        imports.import_here(
            user=user,
            project=project,
            files=found.files,
            pictures=found.pictures,
            file_name=folder.name,
            progress=progress,
        )
    )


def _require(task: Task) -> None:
    if task.status != Task.Status.SUCCEEDED:
        raise ServiceError(task.message)
