"""How long insights take: each metric against its bare SQL aggregate, a full refresh, a cached dashboard.

The data are made in SQL, in the shape of COCO: 7.3 annotations per image, 80 classes of very unequal numbers, boxes of
all sizes. The bare aggregate of a metric is the least that gives its counts: one GROUP BY without queries, labels or
JSON. Both are run in turns, and the best of each are compared: other work on the machine only adds. The refresh is what
the worker does: pass by pass, two of them at a time.

    COCOHUB_HOME=var/bench python -m bench.insights [--images 20000] [--rounds 3] [--keep]
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")

ANNOTATIONS_PER_IMAGE = 7.3
CLASSES = 80
ALL = "annotations_annotation a WHERE a.project_id = {project}"
IMAGES = "assets_imageasset i WHERE i.project_id = {project}"
_BOX = "(bbox -> {0})::numeric"
_W, _H = _BOX.format(2), _BOX.format(3)
_SQUARES = f"ARRAY[{', '.join(str(4**power) for power in range(14))}]::numeric[]"

# The least SQL that gives a metric's counts.
BARE = {
    "classes": "SELECT category_id, split_id, count(*), count(DISTINCT image_id) FROM {all} GROUP BY 1, 2",
    "supercategories": "SELECT c.supercategory, count(*), count(DISTINCT image_id) FROM annotations_annotation a "
    "JOIN annotations_category c ON c.id = a.category_id WHERE a.project_id = {project} GROUP BY 1",
    "co_occurrence": "WITH p AS MATERIALIZED (SELECT DISTINCT image_id, category_id FROM {all}) SELECT a.category_id, "
    "b.category_id, count(*) FROM p a JOIN p b USING (image_id) WHERE a.category_id <= b.category_id GROUP BY 1, 2",
    "imbalance": "SELECT category_id, count(*) FROM {all} GROUP BY 1",
    "splits": "SELECT split_id, count(*) FROM {images} GROUP BY 1",
    "statuses": "SELECT status, count(*) FROM {images} GROUP BY 1",
    "resolution": "SELECT width / 64, height / 64, count(*) FROM {images} GROUP BY 1, 2",
    "megapixels": "SELECT width::bigint * height / 100000, count(*) FROM {images} GROUP BY 1",
    "aspect_ratios": "SELECT round(width::numeric / height, 1), count(*) FROM {images} GROUP BY 1",
    "annotations_per_image": "SELECT annotation_count, count(*) FROM {images} GROUP BY 1",
    "formats": "SELECT format, count(*) FROM {images} GROUP BY 1",
    "file_sizes": "SELECT size_bytes / 65536, count(*) FROM {images} GROUP BY 1",
    "object_sizes": "SELECT width_bucket(area, ARRAY[1024, 9216]::numeric[]), count(*) FROM {all} GROUP BY 1",
    "object_areas": f"SELECT width_bucket(area, {_SQUARES}), count(*) FROM {{all}} GROUP BY 1",
    "origin": "SELECT is_machine, count(*) FROM {all} GROUP BY 1",
    "sources": "SELECT source, is_machine, count(*) FROM {all} GROUP BY 1, 2",
    "scores": "SELECT round(score, 1), count(*) FROM {all} GROUP BY 1",
    "box_sizes": f"SELECT width_bucket({_W} * {_H}, {_SQUARES}), count(*) FROM {{all}} GROUP BY 1",
    "box_widths": f"SELECT width_bucket({_W}, {_SQUARES}), count(*) FROM {{all}} GROUP BY 1",
    "box_heights": f"SELECT width_bucket({_H}, {_SQUARES}), count(*) FROM {{all}} GROUP BY 1",
    "box_aspects": f"SELECT round({_W} / {_H}, 1), count(*) FROM {{all}} GROUP BY 1",
    "box_centres": f"SELECT div(({_BOX.format(0)} + {_W} / 2) * 32, i.width), "
    f"div(({_BOX.format(1)} + {_H} / 2) * 32, i.height), count(*) FROM annotations_annotation a "
    "JOIN assets_imageasset i ON i.id = a.image_id WHERE a.project_id = {project} GROUP BY 1, 2",
    "tags": "SELECT tag, count(*) FROM assets_imageasset i, unnest(tags) tag WHERE project_id = {project} GROUP BY 1",
    "image_issues": "SELECT n, count(*) FROM (SELECT id, n FROM assets_imageasset, unnest(issues) n "
    "WHERE project_id = {project} UNION SELECT image_id, n FROM annotations_annotation, unnest(issues) n "
    "WHERE project_id = {project}) AS both_kinds GROUP BY 1",
    "annotation_issues": "SELECT n, count(*) FROM annotations_annotation, unnest(issues) n "
    "WHERE project_id = {project} GROUP BY 1",
    "attributes": "SELECT pair.key, pair.value, count(*) FROM annotations_annotation, jsonb_each(attributes) pair "
    "WHERE project_id = {project} AND attributes IS NOT NULL GROUP BY 1, 2",
    "attribute_keys": "SELECT key, count(*) FROM annotations_annotation, jsonb_object_keys(attributes) key "
    "WHERE project_id = {project} AND attributes IS NOT NULL GROUP BY 1",
    "keypoints": "SELECT category_id, n, keypoints -> (3 * n + 2), count(*) FROM annotations_annotation, "
    "generate_series(0, 16) n WHERE project_id = {project} AND keypoints IS NOT NULL GROUP BY 1, 2, 3",
    "image_activity": "SELECT created_at::date, updated_at::date, count(*) FROM {images} GROUP BY 1, 2",
    "label_activity": "SELECT created_at::date, updated_at::date, count(*) FROM {all} GROUP BY 1, 2",
    "split_leakage": "SELECT checksum FROM {images} AND checksum <> '' GROUP BY 1 HAVING count(DISTINCT split_id) > 1",
}


def fill(images: int) -> Any:
    """A project with so many images."""
    from django.db import connection

    from accounts.models import User
    from annotations.models import Category
    from assets.models import Split
    from projects.commands import migrate_embedded
    from projects.models import Membership, Project, Role

    migrate_embedded()
    user = User.objects.filter(email="bench@localhost").first() or User.objects.create_user("bench@localhost")
    project = Project.objects.create(name=f"bench {time.time_ns()}", owner=user)
    Membership.objects.create(project=project, user=user, role=Role.OWNER)
    splits = [Split.objects.create(project=project, name=name).pk for name in ("train", "val")]
    categories = Category.objects.bulk_create(
        Category(project=project, coco_id=n, name=f"class {n}", supercategory=f"group {n % 12}") for n in range(CLASSES)
    )
    values = {
        "project": project.pk, "splits": splits, "first": categories[0].pk, "classes": CLASSES, "images": images,
        "annotations": round(images * ANNOTATIONS_PER_IMAGE),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_IMAGES, values)
        cursor.execute("SELECT min(id) FROM assets_imageasset WHERE project_id = %(project)s", values)
        values["image"] = cursor.fetchone()[0]
        cursor.execute(_ANNOTATIONS, values)
        cursor.execute(_COUNTS, values)
        cursor.execute("VACUUM ANALYZE assets_imageasset")
        cursor.execute("VACUUM ANALYZE annotations_annotation")
    project.touch()
    return project


_IMAGES = """
    INSERT INTO assets_imageasset (project_id, split_id, coco_id, position, file_name, width, height, metadata, tags,
        status, issues, annotation_count, uri, thumbnail_uri, checksum, format, size_bytes)
    SELECT %(project)s, (%(splits)s::bigint[])[1 + (n %% 20 = 0)::int], n, n, lpad(n::text, 12, '0') || '.jpg',
        (ARRAY[640, 640, 640, 500, 480, 427, 1920])[1 + n %% 7], (ARRAY[480, 427, 426, 375, 640])[1 + n %% 5], '{}',
        CASE n %% 10 WHEN 0 THEN ARRAY['night', 'rain'] WHEN 1 THEN ARRAY['review'] ELSE '{}' END,
        CASE n %% 50 WHEN 0 THEN 'missing' ELSE 'ready' END,
        CASE n %% 100 WHEN 0 THEN ARRAY['size_differs'] ELSE '{}' END, 0, 'k', '', md5((n / 2 * 2)::text), 'JPEG',
        50000 + n %% 400000
    FROM generate_series(1, %(images)s) AS n
"""
_ANNOTATIONS = """
    INSERT INTO annotations_annotation (project_id, split_id, image_id, category_id, kind, coco_id, position, bbox,
        area, iscrowd, attributes, keypoints, num_keypoints, score, source, is_machine, issues)
    SELECT %(project)s, i.split_id, i.id, %(first)s + floor(%(classes)s * power(random(), 3))::int, 0, n, n,
        jsonb_build_array(x, y, w, h), w * h * 0.7, 0,
        CASE WHEN n %% 10 = 0 THEN '{"occluded": true, "color": "red"}'::jsonb END,
        CASE WHEN n %% 28 = 0 THEN '[1,1,2,0,0,0,3,3,1,4,4,2,5,5,2,6,6,2,7,7,2,8,8,2,9,9,2,0,0,0,1,1,2,2,2,2,3,3,2,
            4,4,1,5,5,2,6,6,2,7,7,2]'::jsonb END, CASE WHEN n %% 28 = 0 THEN 15 END,
        CASE WHEN n %% 5 = 0 THEN round(random()::numeric, 3) END,
        CASE WHEN n %% 5 = 0 THEN 'model v2' ELSE '' END, n %% 5 = 0,
        CASE WHEN n %% 1000 = 0 THEN ARRAY['bbox_outside'] END
    FROM (
        SELECT n, %(image)s + (n * 7919) %% %(images)s AS image, round((random() * 400)::numeric, 2) AS x,
            round((random() * 300)::numeric, 2) AS y, round((2 + 300 * power(random(), 3))::numeric, 2) AS w,
            round((2 + 300 * power(random(), 3))::numeric, 2) AS h
        FROM generate_series(1, %(annotations)s::bigint) AS n
    ) AS made JOIN assets_imageasset i ON i.id = made.image
"""
_COUNTS = """
    UPDATE assets_imageasset i SET annotation_count = counted.number FROM (
        SELECT image_id, count(*) AS number FROM annotations_annotation WHERE project_id = %(project)s GROUP BY 1
    ) AS counted WHERE counted.image_id = i.id
"""


def bare(project: int, name: str) -> None:
    """Run the bare aggregate."""
    from django.db import connection

    from insights.metrics import WORK_MEMORY

    of_all, of_images = ALL.format(project=project), IMAGES.format(project=project)
    with connection.cursor() as cursor:
        cursor.execute(f"SET work_mem = '{WORK_MEMORY}'")
        cursor.execute(BARE[name].format(project=project, all=of_all, images=of_images))
        cursor.fetchall()
        cursor.execute("RESET work_mem")


def took(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    import django

    django.setup()
    from django.db import connection
    from rest_framework.test import APIClient

    from accounts import tokens
    from insights import refreshing, results
    from insights.metrics import METRICS, families
    from projects.models import Project

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="leave the project in the database")
    parser.add_argument("--project", type=int, help="measure a project that was left there")
    options = parser.parse_args()
    made: list[Any] = []
    if options.project:
        made.append(Project.objects.get(pk=options.project))
    else:
        print(f"{options.images:,} images made in {took(lambda: made.append(fill(options.images))):.1f} s")
    project = made[0]
    print(f"{'metric':<24}{'bare':>10}{'ours':>10}{'ratio':>8}")
    for name in METRICS:
        pairs = [
            (took(lambda n=name: bare(project.pk, n)), took(lambda n=name: results.count(project, "", [n])))
            for _ in range(options.rounds)
        ]
        least, ours = (min(column) for column in zip(*pairs, strict=True))
        print(f"{name:<24}{least * 1000:>7.0f} ms{ours * 1000:>7.0f} ms{ours / least:>8.2f}", flush=True)
    for family, metrics in families(METRICS):
        names = [metric.name for metric in metrics]
        seconds = min(results.count(project, "", names).seconds for _ in range(options.rounds))
        print(f"pass {family.name:<19}{seconds * 1000:>17.0f} ms  ({len(names)} metrics)", flush=True)
    passes = [("", [metric.name for metric in metrics]) for _, metrics in families(METRICS)]
    whole = min(took(lambda: list(refreshing.compute(project, passes))) for _ in range(options.rounds))
    print(f"full refresh {whole:.2f} s   (aim: under 30 s at 1 M images)", flush=True)
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {tokens.issue(project.owner).access}")
    address = f"/api/v1/projects/{project.pk}/insights/dashboard"
    size = len(client.get(address).content)
    reads = [took(lambda: client.get(address)) for _ in range(20)]
    print(f"cached dashboard {statistics.median(reads) * 1000:.1f} ms, {size / 1024:.0f} KiB   (aim: under 50 ms)")
    if not options.keep and not options.project:  # what was there before stays
        with connection.cursor() as cursor:
            for table in ("annotations_annotation", "assets_imageasset", "annotations_category"):
                cursor.execute(f"DELETE FROM {table} WHERE project_id = %s", [project.pk])
        project.delete()


if __name__ == "__main__":
    main()
