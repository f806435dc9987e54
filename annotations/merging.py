"""Merging a file into what is stored: by identity, touching only what differs, keeping what the file is silent on.

A field that the file does not have is left as it is, so `person_keypoints` after `instances` adds keypoints to the same
annotations. What a merge would silently destroy - two files whose ids mean different things - is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

from accounts.errors import Conflict
from annotations import quality
from annotations.coco.images import TEXT_IDS
from annotations.coco.problems import Action, Problem, Reporter
from annotations.quality import KEPT_FLAGS, KEPT_WITH_DUPLICATES

# Where columns of these names are NULL, a value that they cannot hold may stand in the JSON of other fields.
IMAGE_FIELDS = ("file_name", "width", "height")
ANNOTATION_FIELDS = (
    "bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints", "attributes", "score",
)  # fmt: skip

# SQL: the stored area where the staged one differs from it in the last digits only.
SAME_AREA = "CASE WHEN abs(a.area - s.area) <= 1e-9 * abs(a.area) THEN a.area ELSE COALESCE(s.area, a.area) END"

# Columns compared to the letter: PostgreSQL takes 1 and 1.0 for equal, but they are two things in a COCO file.
TO_THE_LETTER = frozenset(["metadata", "bbox", "area", "segmentation", "keypoints", "attributes", "score", "extra"])

# SQL: images' numbers of annotations, brought up to date. One pass, as in `quality`: no join to get wrong.
_NUMBER = "(SELECT count(*) FROM annotations_annotation n WHERE n.image_id = a.id)"
RECOUNT = f"""
    UPDATE assets_imageasset a SET annotation_count = {_NUMBER}
    WHERE a.project_id = %(project)s AND a.split_id = ANY(%(splits)s) AND a.annotation_count <> {_NUMBER}
"""


def create_staging(cursor: Any) -> None:
    """Temporary tables that COPY fills; they go with the transaction."""
    cursor.execute(
        """
        DROP TABLE IF EXISTS staged_image, staged_annotation, resized_image;
        CREATE TEMP TABLE resized_image (id bigint) ON COMMIT DROP;
        CREATE TEMP TABLE staged_image (
            coco_id bigint, coco_key text, position bigint, file_name text, width int, height int, metadata jsonb,
            status text, issues text[], annotation_count int, uri text, checksum text, format text, size_bytes bigint
        ) ON COMMIT DROP;
        CREATE TEMP TABLE staged_annotation (
            image_coco_id bigint, category_id bigint, assigned bool, coco_id bigint, coco_key text, kind smallint,
            position bigint, bbox jsonb, area numeric, iscrowd smallint, segmentation jsonb, keypoints jsonb,
            num_keypoints int, attributes jsonb, score numeric, extra jsonb, issues text[], image_id bigint
        ) ON COMMIT DROP;
        """
    )


def merge(
    cursor: Any,
    project_id: int,
    split_id: int,
    split_name: str,
    report: Reporter,
    *,
    alone: bool = True,
    check: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Merge the staged rows; give the numbers of what was added, changed and left alone.

    `alone` says that the file is imported by itself. Files of one data set write the same numbers in several ways, such
    as 410 and 410.0, and differ in the last digits of areas (COCO's own do both); imported together, that alone must
    not count as a change each time. `check` is called between statements.
    """
    keys = {"project": project_id, "split": split_id, "splits": [split_id], "text_ids": TEXT_IDS}
    merger = _Merger(cursor, keys, split_name, report, alone, check)
    cursor.execute("CREATE UNIQUE INDEX ON staged_image (coco_id); ANALYZE staged_image")
    merger.refuse_other_images()
    images = merger.images()
    cursor.execute("CREATE INDEX ON staged_annotation (kind, coco_id); ANALYZE staged_annotation")
    merger.place_annotations()
    merger.refuse_other_annotations()
    annotations = merger.annotations()
    merger.judge_boxes()
    merger.recount()
    return {**images, **annotations}


def _json_without(stored: str, staged: str, columns: Sequence[str]) -> str:
    """SQL: the stored JSON of other fields with the staged one over it, less what now has a column."""
    now_columns = ", ".join(f"CASE WHEN s.{name} IS NOT NULL THEN '{name}' END" for name in columns)
    return f"((COALESCE({stored}, '{{}}') - array_remove(ARRAY[{now_columns}], NULL)) || COALESCE({staged}, '{{}}'))"


def _column(name: str, other: str) -> str:
    """SQL: the staged value, or the stored one where the file is silent; NULL where the value needs `extra`."""
    return f"CASE WHEN s.{other} ? '{name}' THEN NULL ELSE COALESCE(s.{name}, a.{name}) END"


class _Merger:
    def __init__(
        self,
        cursor: Any,
        keys: dict[str, Any],
        split_name: str,
        report: Reporter,
        alone: bool,
        check: Callable[[], None],
    ) -> None:
        self.alone = alone
        self.check = check
        self.cursor = cursor
        self.keys = keys
        self.split_name = split_name
        self.report = report

    def run(self, statement: str) -> int:
        self.check()
        self.cursor.execute(statement, self.keys)
        return int(self.cursor.rowcount)

    def row(self, statement: str) -> tuple[Any, ...]:
        return self.rows(statement)[0]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        self.check()
        self.cursor.execute(statement, self.keys)
        return list(self.cursor.fetchall())

    # --- images
    def refuse_other_images(self) -> None:
        """Ids that mean other pictures here than in the file: most of them - refuse; a few - they were renamed."""
        common, other = self.row(
            """
            SELECT count(*), count(*) FILTER (WHERE a.file_name <> s.file_name)
            FROM staged_image s JOIN assets_imageasset a USING (coco_id)
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s
            """
        )
        if not other:
            return
        if other * 2 > common:
            coco_id, stored, staged = self.row(
                """
                SELECT coco_id, a.file_name, s.file_name FROM staged_image s JOIN assets_imageasset a USING (coco_id)
                WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND a.file_name <> s.file_name
                ORDER BY coco_id LIMIT 1
                """
            )
            raise Conflict(
                f"{other:,} of the {common:,} image ids that the file shares with split {self.split_name!r} belong to "
                f"other pictures there (id {coco_id}: {stored!r} is stored, the file has {staged!r}). "
                "It is another data set: import it into a split of its own."
            )
        self.report(
            Problem(
                "renamed_image",
                Action.KEPT,
                "$.images",
                f"{other:,} image(s) have another file name than before: renamed.",
            )
        )

    def images(self) -> dict[str, int]:
        absent, missing, broken = self.row(
            """
            SELECT count(*) FILTER (WHERE s.coco_id IS NULL), 0, 0
            FROM assets_imageasset a LEFT JOIN staged_image s USING (coco_id)
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s
            """
        )
        self._pass_over_broken_pictures()
        # A picture that is stored already has told the true size; then the file's word does not count.
        known = "a.uri <> '' AND s.uri = ''"
        sizes = {
            name: f"CASE WHEN {known} THEN a.{name} ELSE {_column(name, 'metadata')} END"
            for name in ("width", "height")
        }
        sized = f"CASE WHEN {known} THEN ARRAY['width', 'height'] ELSE ARRAY[]::text[] END"
        news = "s.uri <> '' OR (s.status = 'broken' AND a.uri = '')"  # of the picture
        assign = {
            "file_name": _column("file_name", "metadata"),
            **sizes,
            "metadata": f"{_json_without('a.metadata', 's.metadata', IMAGE_FIELDS)} - {sized}",
            "uri": "COALESCE(NULLIF(s.uri, ''), a.uri)",
            "checksum": "COALESCE(NULLIF(s.checksum, ''), a.checksum)",
            "format": "COALESCE(NULLIF(s.format, ''), a.format)",
            "size_bytes": "COALESCE(s.size_bytes, a.size_bytes)",
            "thumbnail_uri": "CASE WHEN s.checksum IN ('', a.checksum) THEN a.thumbnail_uri ELSE '' END",
            "issues": f"CASE WHEN {news} THEN s.issues || {KEPT_FLAGS} ELSE a.issues END",
            "status": f"CASE WHEN a.status IN ('missing', 'broken') AND ({news}) THEN s.status ELSE a.status END",
        }
        source = ("assets_imageasset", "staged_image s", "a.coco_id = s.coco_id")
        self._note_new_sizes()
        changed = self._update(*source, assign)
        moved = 0 if absent else self._move(*source)
        added = self.run(
            f"""
            INSERT INTO assets_imageasset (project_id, split_id, coco_id, coco_key, position, file_name, width, height,
                metadata, tags, status, issues, annotation_count, uri, thumbnail_uri, checksum, format, size_bytes)
            SELECT %(project)s, %(split)s, s.coco_id, s.coco_key,
                s.position + {self._offset("assets_imageasset", absent)}, s.file_name, s.width, s.height,
                s.metadata, '{{}}', s.status, s.issues, 0, s.uri, '', s.checksum, s.format, s.size_bytes
            FROM staged_image s
            WHERE NOT EXISTS (SELECT FROM assets_imageasset a
                WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND a.coco_id = s.coco_id)
            ORDER BY s.position
            """
        )
        missing, broken = self.row(
            """
            SELECT count(*) FILTER (WHERE a.status = 'missing'), count(*) FILTER (WHERE a.status = 'broken')
            FROM staged_image s JOIN assets_imageasset a USING (coco_id)
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s
            """
        )
        return {
            "images_added": added,
            "images_changed": changed,
            "images_absent": absent,
            "images_missing": missing,
            "images_broken": broken,
            "images_moved": moved,
        }

    def _pass_over_broken_pictures(self) -> None:
        """A broken picture takes no good one's place, and one that is known to be broken is no news."""
        self.run(
            """
            UPDATE staged_image s SET uri = '', checksum = '', format = '', size_bytes = NULL, status = 'missing'
            FROM assets_imageasset a
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND a.coco_id = s.coco_id AND s.uri <> ''
                AND CASE WHEN a.status = 'broken' THEN a.checksum = s.checksum
                    ELSE s.status = 'broken' AND a.uri <> '' END
            """
        )

    def _note_new_sizes(self) -> None:
        """Remember images whose picture comes with this file and has another size than is stored."""
        self.run(
            """
            INSERT INTO resized_image SELECT a.id FROM assets_imageasset a JOIN staged_image s USING (coco_id)
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND s.uri <> ''
                AND (a.width, a.height) IS DISTINCT FROM (s.width, s.height)
            """
        )

    def judge_boxes(self) -> None:
        """The file need not have the boxes that are stored of an image whose size turns out to be another."""
        resized = [key for (key,) in self.rows("SELECT id FROM resized_image")]
        if resized:
            self.check()
            quality.judge_boxes(self.cursor, resized)

    def _offset(self, table: str, absent: int) -> str:
        """What is new goes after all that is stored, unless the file has all of that too: then its order counts."""
        if not absent:
            return "0"
        here = "project_id = %(project)s AND split_id = %(split)s"
        if table == "annotations_annotation":
            here += " AND NOT is_machine"  # predictions go after all else
        return f"(SELECT COALESCE(max(position), -1) + 1 FROM {table} WHERE {here})"

    def _update(self, table: str, source: str, where: str, assign: dict[str, str]) -> int:
        compared = assign if self.alone or "area" not in assign else {**assign, "area": SAME_AREA}
        exact = [name for name in assign if self.alone and name in TO_THE_LETTER]
        plain = [name for name in assign if name not in exact]
        letters = f"""OR record_image_ne(
            ROW({", ".join(f"a.{name}" for name in exact)}), ROW({", ".join(compared[name] for name in exact)})
        )"""
        sets = ", ".join(f"{name} = {value}" for name, value in assign.items())
        return self.run(
            f"""
            UPDATE {table} a SET {sets}, version = a.version + 1, updated_at = now()
            FROM {source}
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND {where} AND (
                ({", ".join(f"a.{name}" for name in plain)})
                    IS DISTINCT FROM ({", ".join(compared[name] for name in plain)})
                {letters if exact else ""}
            )
            """
        )

    def _move(self, table: str, source: str, where: str) -> int:
        """Put the rows into the order of the file; that changes nothing in them, so they are not edited by it."""
        return self.run(
            f"""
            UPDATE {table} a SET position = s.position FROM {source}
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND {where} AND a.position <> s.position
            """
        )

    # --- annotations
    def place_annotations(self) -> None:
        """Find the annotations' images, and give those without an id of their own the one of their stored equal."""
        self.run(
            """
            UPDATE staged_annotation s SET image_id = a.id FROM assets_imageasset a
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND a.coco_id = s.image_coco_id
            """
        )
        same = "kind, category_id, bbox, segmentation, extra"
        if not self.row("SELECT count(*) FROM staged_annotation WHERE assigned")[0]:
            return
        self.run(
            f"""
            WITH wanted AS (
                SELECT ctid AS place, image_id, {same},
                    row_number() OVER (PARTITION BY image_id, {same} ORDER BY position) AS turn
                FROM staged_annotation WHERE assigned
            ), stored AS (
                SELECT coco_id, image_id, {same},
                    row_number() OVER (PARTITION BY image_id, {same} ORDER BY position, id) AS turn
                FROM annotations_annotation a WHERE image_id IN (SELECT image_id FROM wanted) AND NOT a.is_machine
                AND NOT EXISTS (SELECT FROM staged_annotation n
                    WHERE NOT n.assigned AND n.kind = a.kind AND n.coco_id = a.coco_id)
            )
            UPDATE staged_annotation s SET coco_id = stored.coco_id, assigned = false
            FROM wanted JOIN stored
                ON (wanted.image_id, wanted.turn, wanted.kind) = (stored.image_id, stored.turn, stored.kind)
                AND (wanted.category_id, wanted.bbox, wanted.segmentation, wanted.extra)
                    IS NOT DISTINCT FROM (stored.category_id, stored.bbox, stored.segmentation, stored.extra)
            WHERE s.ctid = wanted.place
            """
        )
        self.run(
            """
            WITH fresh AS (
                SELECT ctid AS place, row_number() OVER (ORDER BY position) AS turn
                FROM staged_annotation WHERE assigned
            )
            UPDATE staged_annotation s SET coco_id = fresh.turn + GREATEST(0,
                (SELECT max(coco_id) FROM annotations_annotation
                    WHERE project_id = %(project)s AND split_id = %(split)s AND coco_id < %(text_ids)s
                        AND NOT is_machine),
                (SELECT max(coco_id) FROM staged_annotation WHERE NOT assigned AND coco_id < %(text_ids)s))
            FROM fresh WHERE s.ctid = fresh.place
            """
        )

    def refuse_other_annotations(self) -> None:
        """Annotation ids that belong to other images here than in the file: most of them - refuse."""
        common, other = self.row(
            """
            SELECT count(*), count(*) FILTER (WHERE a.image_id <> s.image_id)
            FROM staged_annotation s JOIN annotations_annotation a USING (kind, coco_id)
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s
            """
        )
        if other * 2 > common:
            raise Conflict(
                f"{other:,} of the {common:,} annotation ids that the file shares with split {self.split_name!r} "
                "belong to other images there. It is another data set: give it a split of its own."
            )

    def annotations(self) -> dict[str, int]:
        (absent,) = self.row(
            """
            SELECT count(*) FROM annotations_annotation a
            WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND NOT a.is_machine
                AND a.kind IN (SELECT DISTINCT kind FROM staged_annotation)
                AND NOT EXISTS (SELECT FROM staged_annotation s WHERE s.kind = a.kind AND s.coco_id = a.coco_id)
            """
        )
        assign = {
            "image_id": "s.image_id",
            **{name: _column(name, "extra") for name in ("category_id", *ANNOTATION_FIELDS)},
            "extra": f"NULLIF({_json_without('a.extra', 's.extra', ('category_id', *ANNOTATION_FIELDS))}, '{{}}')",
            "issues": KEPT_WITH_DUPLICATES,
        }
        source = ("annotations_annotation", "staged_annotation s", "a.kind = s.kind AND a.coco_id = s.coco_id")
        changed = self._update(*source, assign)
        moved = 0 if absent else self._move(*source)
        columns = f"coco_id, coco_key, kind, {', '.join(ANNOTATION_FIELDS)}, extra, issues"
        added = self.run(
            f"""
            INSERT INTO annotations_annotation (project_id, split_id, image_id, category_id, {columns}, position)
            SELECT %(project)s, %(split)s, image_id, category_id, {columns},
                position + {self._offset("annotations_annotation", absent)}
            FROM staged_annotation s
            WHERE NOT EXISTS (SELECT FROM annotations_annotation a WHERE a.project_id = %(project)s
                AND a.split_id = %(split)s AND a.kind = s.kind AND a.coco_id = s.coco_id)
            ORDER BY position
            """
        )
        return {
            "annotations_added": added,
            "annotations_changed": changed,
            "annotations_absent": absent,
            "annotations_moved": moved,
        }

    def recount(self) -> None:
        """Bring the images' numbers of annotations up to date."""
        self.run(RECOUNT)
