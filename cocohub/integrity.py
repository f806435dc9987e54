"""Whether the rows agree with each other: what constraints would cost too much to hold is looked for here.

Most foreign keys of the large tables are not checked by the database (a look-up per imported row), numbers of
annotations are kept with the images, revisions with the figures that were computed at them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

SHOWN = 5  # examples of each


@dataclass(frozen=True)
class Check:
    """A statement that finds rows that are wrong (their keys), and one that puts them right where that is known."""

    code: str
    told: str  # what it means for people
    find: str
    repair: str = ""


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: Check
    number: int
    examples: tuple[str, ...]
    repaired: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        told = {"code": self.check.code, "told": self.check.told, "number": self.number}
        return {**told, "examples": list(self.examples), "repaired": self.repaired}


_COUNTS = """
    FROM assets_imageasset i LEFT JOIN (
        SELECT image_id, count(*) AS number FROM annotations_annotation GROUP BY image_id
    ) n ON n.image_id = i.id WHERE i.annotation_count <> COALESCE(n.number, 0)
"""
CHECKS = (
    Check(
        "annotation_count",
        "images whose stored number of annotations is wrong",
        f"SELECT i.id {_COUNTS}",
        f"""UPDATE assets_imageasset a SET annotation_count = found.number
            FROM (SELECT i.id, COALESCE(n.number, 0) AS number {_COUNTS}) found WHERE a.id = found.id""",  # noqa: S608
    ),
    Check(
        "image_of_no_project",
        "images whose project or split is gone, or whose split is another project's",
        """SELECT i.id FROM assets_imageasset i LEFT JOIN assets_split s ON s.id = i.split_id
            LEFT JOIN projects_project p ON p.id = i.project_id
            WHERE s.id IS NULL OR p.id IS NULL OR s.project_id <> i.project_id""",
    ),
    Check(
        "annotation_of_no_image",
        "annotations whose image is gone",
        """SELECT a.id FROM annotations_annotation a LEFT JOIN assets_imageasset i ON i.id = a.image_id
            WHERE i.id IS NULL""",
    ),
    Check(
        "annotation_elsewhere",
        "annotations that are in another project or split than their image",
        """SELECT a.id FROM annotations_annotation a JOIN assets_imageasset i ON i.id = a.image_id
            WHERE a.project_id <> i.project_id OR a.split_id <> i.split_id""",
        """UPDATE annotations_annotation a SET project_id = i.project_id, split_id = i.split_id
            FROM assets_imageasset i
            WHERE i.id = a.image_id AND (a.project_id <> i.project_id OR a.split_id <> i.split_id)""",
    ),
    Check(
        "category_of_another_project",
        "annotations whose category is gone, or another project's",
        """SELECT a.id FROM annotations_annotation a LEFT JOIN annotations_category c ON c.id = a.category_id
            WHERE a.category_id IS NOT NULL AND (c.id IS NULL OR c.project_id <> a.project_id)""",
    ),
    Check(
        "listed_category_of_another_project",
        "categories that a file of another project lists",
        """SELECT l.id FROM annotations_documentcategory l JOIN annotations_cocodocument d ON d.id = l.document_id
            JOIN annotations_category c ON c.id = l.category_id WHERE c.project_id <> d.project_id""",
    ),
    Check(
        "figures_of_the_future",
        "figures computed at a revision that their project has not reached",
        """SELECT m.id FROM insights_metricresult m JOIN projects_project p ON p.id = m.project_id
            WHERE m.revision > p.revision""",
        """DELETE FROM insights_metricresult m USING projects_project p
            WHERE p.id = m.project_id AND m.revision > p.revision""",
    ),
    Check(
        "owner_is_no_member",
        "projects whose owner is not among the members as owner",
        """SELECT p.id FROM projects_project p WHERE NOT p.deleting AND NOT EXISTS (SELECT FROM projects_membership m
            WHERE m.project_id = p.id AND m.user_id = p.owner_id AND m.role = 40)""",
    ),
    Check(
        "importing_without_import",
        "projects that say they are importing while no import waits or runs",
        """SELECT p.id FROM projects_project p WHERE p.status = 'importing' AND NOT EXISTS (SELECT FROM projects_task t
            WHERE t.project_id = p.id AND t.kind = 'import' AND t.status IN ('queued', 'running'))""",
        """UPDATE projects_project p SET status = 'ready' WHERE p.status = 'importing' AND NOT EXISTS (
            SELECT FROM projects_task t
            WHERE t.project_id = p.id AND t.kind = 'import' AND t.status IN ('queued', 'running'))""",
    ),
    Check(
        "job_without_end",
        "tasks whose worker has been silent for an hour and that nobody has taken over: is beat running?",
        """SELECT t.id FROM projects_task t WHERE t.status = 'running' AND t.lease_until < now() - interval '1 hour'""",
    ),
)


def look(*, repair: bool = False) -> Iterator[Finding]:
    """What is wrong, check by check; with `repair`, what can be put right is put right."""
    for check in CHECKS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*), (array_agg(id::text))[1:{SHOWN}] FROM ({check.find}) AS found (id)")  # noqa: S608
            number, examples = cursor.fetchone()
            repaired = 0
            if number and repair and check.repair:
                cursor.execute(check.repair)
                repaired = cursor.rowcount
        if number:
            yield Finding(check, number, tuple(examples), repaired)
