"""Flaws that are valid COCO but look like mistakes: they become issues of the rows, to be filtered and counted.

What one record tells by itself is found while it is read (annotations.coco.quality); here is what takes the others.
"""

from typing import Any

SMALLEST_SIDE = 16  # pixels: an image below it is hardly one
GREATEST_ASPECT = 10  # longer side to shorter
# Issues of images that are found here, in the order in which they stand after those of the picture.
IMAGE_FLAGS = ("size_odd", "image_empty")
_FLAGS = "ARRAY['size_odd', 'image_empty']"
_OTHERS = f"array(SELECT x FROM unnest(a.issues) x WHERE x <> ALL({_FLAGS}))"
# SQL: the flags that the stored image `a` has, which a merge keeps until they are looked at again.
KEPT_FLAGS = f"array(SELECT x FROM unnest(a.issues) x WHERE x = ANY({_FLAGS}))"

_DUPLICATES = """
    UPDATE {table} a SET issues = COALESCE(a.issues, '{{}}') || '{{bbox_duplicate}}'::text[]
    FROM (
        SELECT {image}, category_id, bbox FROM {table}
        WHERE {where} kind = 0 AND bbox IS NOT NULL
        GROUP BY {image}, category_id, bbox HAVING count(*) > 1
    ) d
    WHERE {outer} a.kind = 0 AND a.{image} = d.{image} AND a.category_id IS NOT DISTINCT FROM d.category_id
        AND a.bbox = d.bbox
"""
STAGED_DUPLICATES = _DUPLICATES.format(table="staged_annotation", image="image_coco_id", where="", outer="")
_OURS = "{0}project_id = %(project)s AND {0}split_id = %(split)s AND NOT {0}is_machine AND"
_STORED_DUPLICATES = _DUPLICATES.format(
    table="annotations_annotation", image="image_id", where=_OURS.format(""), outer=_OURS.format("a.")
)
_EMPTY = """
    SELECT count(*) FILTER (WHERE annotation_count = 0) * 2 < count(*) FROM assets_imageasset
    WHERE project_id = %(project)s AND split_id = %(split)s
"""
_FLAG_IMAGES = f"""
    UPDATE assets_imageasset a SET issues = {_OTHERS} || n.flags
    FROM (
        SELECT id, array_remove(ARRAY[
            CASE WHEN LEAST(width, height) < {SMALLEST_SIDE}
                OR GREATEST(width, height) > {GREATEST_ASPECT} * LEAST(width, height) THEN 'size_odd' END,
            CASE WHEN annotation_count = 0 AND %(most)s THEN 'image_empty' END
        ], NULL) AS flags
        FROM assets_imageasset WHERE project_id = %(project)s AND split_id = %(split)s
    ) n
    WHERE a.id = n.id AND (n.flags <> '{{}}' OR a.issues && {_FLAGS}) AND a.issues <> {_OTHERS} || n.flags
"""
_COUNT_FLAGS = f"""
    SELECT x, count(*) FROM assets_imageasset a, unnest(a.issues) x
    WHERE a.project_id = %(project)s AND a.split_id = %(split)s AND x = ANY({_FLAGS}) GROUP BY x
"""


def flag_duplicates(cursor: Any, project_id: int, split_id: int) -> int:
    """Mark objects of one image and category with the very same box, in a split that was just written; how many."""
    cursor.execute(_STORED_DUPLICATES, {"project": project_id, "split": split_id})
    return int(cursor.rowcount)


def flag_images(cursor: Any, project_id: int, split_id: int) -> dict[str, int]:
    """Mark images of odd size, and those without annotations where most have some; how many of each there are."""
    keys = {"project": project_id, "split": split_id}
    cursor.execute(_EMPTY, keys)
    (most,) = cursor.fetchone()
    cursor.execute(_FLAG_IMAGES, {**keys, "most": bool(most)})
    cursor.execute(_COUNT_FLAGS, keys)
    return dict(cursor.fetchall())
