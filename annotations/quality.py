"""Flaws that are valid COCO but look like mistakes: they become issues of the rows, to be filtered and counted.

What one record tells by itself is found while it is read (annotations.coco.quality); here is what takes the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annotations.coco.quality import BEYOND

SMALLEST_SIDE = 16  # pixels: an image below it is hardly one
GREATEST_ASPECT = 10  # longer side to shorter
# Issues of images that are found here, in the order in which they stand after those of the picture.
IMAGE_FLAGS = ("size_odd", "image_empty")
_FLAGS = "ARRAY['size_odd', 'image_empty']"
_OTHERS = f"array(SELECT x FROM unnest(a.issues) x WHERE x <> ALL({_FLAGS}))"
# SQL: the flags that the stored image `a` has, which a merge keeps until they are looked at again.
KEPT_FLAGS = f"array(SELECT x FROM unnest(a.issues) x WHERE x = ANY({_FLAGS}))"

# The same for the stored annotation `a` and the staged one `s`.
KEPT_WITH_DUPLICATES = """NULLIF(COALESCE(s.issues, '{}') || CASE WHEN 'bbox_duplicate' = ANY(a.issues)
    THEN '{bbox_duplicate}'::text[] ELSE '{}' END, '{}')"""

_OBJECTS = "project_id = %(project)s AND split_id = %(split)s AND kind = 0 AND NOT is_machine"
# Rows that were just written have no statistics: nothing here leaves the planner a join to get wrong.
_FIND_DUPLICATES = f"""
    DROP TABLE IF EXISTS pg_temp.duplicate_box;
    CREATE TEMP TABLE duplicate_box ON COMMIT DROP AS
    SELECT unnest(array_agg(id)) AS id FROM annotations_annotation
    WHERE {_OBJECTS} AND bbox IS NOT NULL
    GROUP BY image_id, category_id, jsonb_hash_extended(bbox, 0) HAVING count(*) > 1;
    CREATE UNIQUE INDEX ON duplicate_box (id)
"""
_CLEAR_DUPLICATES = f"""
    UPDATE annotations_annotation a SET issues = NULLIF(array_remove(a.issues, 'bbox_duplicate'), '{{}}')
    WHERE {_OBJECTS} AND 'bbox_duplicate' = ANY(a.issues)
        AND NOT EXISTS (SELECT FROM duplicate_box d WHERE d.id = a.id)
"""
_FLAG_DUPLICATES = """
    UPDATE annotations_annotation a SET issues = COALESCE(a.issues, '{}') || '{bbox_duplicate}'::text[]
    WHERE a.id = ANY(ARRAY(SELECT id FROM duplicate_box)) AND NOT COALESCE('bbox_duplicate' = ANY(a.issues), false)
"""
_EMPTY = """
    SELECT count(*) FILTER (WHERE annotation_count = 0) * 2 < count(*) FROM assets_imageasset
    WHERE project_id = %(project)s AND split_id = %(split)s
"""
_NOW = f"""array_remove(ARRAY[
        CASE WHEN LEAST(a.width, a.height) < {SMALLEST_SIDE}
            OR GREATEST(a.width, a.height) > {GREATEST_ASPECT} * LEAST(a.width, a.height) THEN 'size_odd' END,
        CASE WHEN a.annotation_count = 0 AND %(most)s THEN 'image_empty' END
    ], NULL)"""
_FLAG_IMAGES = f"""
    UPDATE assets_imageasset a SET issues = {_OTHERS} || {_NOW}
    WHERE a.project_id = %(project)s AND a.split_id = %(split)s
        AND ({_NOW} <> '{{}}' OR a.issues && {_FLAGS}) AND a.issues <> {_OTHERS} || {_NOW}
"""
_COUNT_FLAGS = f"""
    SELECT x, count(*) FROM assets_imageasset a, unnest(a.issues) x
    WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND x = ANY({_FLAGS}) GROUP BY x
"""


_OUTSIDE = f"""(b.bbox->>0)::numeric < 0 OR (b.bbox->>1)::numeric < 0
    OR (i.width > 0 AND (b.bbox->>0)::numeric + (b.bbox->>2)::numeric > i.width + {BEYOND})
    OR (i.height > 0 AND (b.bbox->>1)::numeric + (b.bbox->>3)::numeric > i.height + {BEYOND})"""
_JUDGE_BOXES = f"""
    UPDATE annotations_annotation a SET issues = CASE WHEN n.outside
        THEN COALESCE(a.issues, '{{}}') || '{{bbox_outside}}'::text[]
        ELSE NULLIF(array_remove(a.issues, 'bbox_outside'), '{{}}') END
    FROM (
        SELECT b.id, i.width, i.height, COALESCE({_OUTSIDE}, false) AS outside
        FROM annotations_annotation b JOIN assets_imageasset i ON i.id = b.image_id
        WHERE b.image_id = ANY(%s) AND b.bbox IS NOT NULL
    ) n
    WHERE a.id = n.id AND n.outside <> COALESCE('bbox_outside' = ANY(a.issues), false)
    RETURNING a.position, a.coco_id, a.image_id, n.width, n.height, n.outside
"""


@dataclass(frozen=True, slots=True)
class JudgedBox:
    """An annotation whose box now lies `outside` of its image, or does not any more; sizes in pixels."""

    position: int
    coco_id: int
    image_id: int
    width: int
    height: int
    outside: bool


def judge_boxes(cursor: Any, images: Sequence[int]) -> list[JudgedBox]:
    """Judge the boxes of these images by the sizes that the images have now; what is different from before.

    It is no edit of the rows.
    """
    cursor.execute(_JUDGE_BOXES, [list(images)])
    return [JudgedBox(*row) for row in cursor.fetchall()]


def flag_duplicates(cursor: Any, project_id: int, split_id: int, *, fresh: bool) -> int:
    """Mark objects of one image and category with the very same box, unmark others; how many there are in the split.

    It is no edit of the rows. A split that is `fresh` has no marks yet.
    """
    keys = {"project": project_id, "split": split_id}
    cursor.execute(_FIND_DUPLICATES, keys)
    cursor.execute("SELECT count(*) FROM duplicate_box")
    (number,) = cursor.fetchone()
    if not fresh:
        cursor.execute(_CLEAR_DUPLICATES, keys)
    if number:
        cursor.execute(_FLAG_DUPLICATES)
    return int(number)


def flag_images(cursor: Any, project_id: int, split_id: int) -> dict[str, int]:
    """Mark images of odd size, and those without annotations where most have some; how many of each there are."""
    keys = {"project": project_id, "split": split_id}
    cursor.execute(_EMPTY, keys)
    (most,) = cursor.fetchone()
    cursor.execute(_FLAG_IMAGES, {**keys, "most": bool(most)})
    cursor.execute(_COUNT_FLAGS, keys)
    return dict(cursor.fetchall())
