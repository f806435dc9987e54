"""Each kind of condition is answered from the index that was made for it."""

import json
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from accounts.alternatives import estimate
from annotations.models import Category
from annotations.query import Beyond, filter_images
from assets.models import ImageAsset, Split
from projects.models import Project
from tests.annotations.query.records import make_project

IMAGES = """
INSERT INTO assets_imageasset (project_id, split_id, coco_id, position, file_name, width, height, tags, issues, status,
    metadata, annotation_count, checksum, uri, thumbnail_uri, format)
SELECT %s, %s, n, n, n || '-' || md5(n::text) || '.jpg', n, n, ARRAY['tag' || n %% 1000],
    CASE WHEN n %% 1000 = 0 THEN ARRAY['bad_size'] ELSE '{}' END,
    CASE WHEN n %% 1000 = 0 THEN 'approved' ELSE 'ready' END,
    jsonb_build_object('license', n %% 1000, 'color', 'c' || n), n %% 1000, md5(n::text), '', '', ''
FROM generate_series(1, 10000) AS n
"""
ANNOTATIONS = """
INSERT INTO annotations_annotation (project_id, split_id, image_id, category_id, coco_id, position, kind, area)
SELECT project_id, split_id, id, %s + CASE WHEN coco_id %% 1000 = 0 THEN 0 ELSE 1 + coco_id %% 19 END,
    coco_id, 0, 0, coco_id
FROM assets_imageasset WHERE project_id = %s
"""

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def project(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Project]:
    """Two projects of ten thousand images each, as the planner sees them after ANALYZE."""
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        for name in ("Elsewhere", "Streets"):
            project = make_project(name)
            split = Split.objects.create(project=project, name="train")
            categories = Category.objects.bulk_create(
                Category(project=project, coco_id=number, name=f"class{number}") for number in range(20)
            )
            cursor.execute(IMAGES, [project.pk, split.pk])
            cursor.execute(ANNOTATIONS, [categories[0].pk, project.pk])
        for index in ("tags", "issues", "metadata", "file_trgm"):  # as autovacuum does in time
            cursor.execute("SELECT gin_clean_pending_list(%s::regclass)", [f"assets_image_{index}"])
        cursor.execute("ANALYZE assets_imageasset, annotations_annotation, annotations_category")
        cursor.execute("SET LOCAL enable_seqscan = off")
        yield project
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("1234-81dc9bdb", "assets_image_file_trgm"),
        ("file:*20036db?.jpg", "assets_image_file_trgm"),
        ("file=1234-81dc9bdb52d04dc20036dbd8313ed055.jpg", "assets_image_file"),
        ("tag:tag7", "assets_image_tags"),
        ("tag:(tag7 OR tag9)", "assets_image_tags"),
        ("metadata.color:c77", "assets_image_metadata"),
        ("metadata.license:7", "assets_image_metadata"),
        ("metadata.color:(c77 OR c78)", "assets_image_metadata"),
        ("metadata.color:c77 metadata.license:77", "assets_image_metadata"),
        ("width:150..152", "assets_image_width"),
        ("width>9990.5", "assets_image_width"),
        ("height:150", "assets_image_height"),
        ("status:approved", "assets_image_status"),
        ("annotations:77", "assets_image_annotations"),
        ("checksum:81dc9bdb52d04dc20036dbd8313ed055", "assets_image_checksum"),
        ("category:class0", "annotations_by_category"),
        ("category:(class0 OR class1) tag:tag0", "annotations_by_category"),
        ("has(category:class0 area>100)", "annotations_by_category"),
        ("-category:class0", "annotations_by_category"),
        ("count(category:class0)>=1", "annotations_by_category"),
    ],
)
def test_index_serves(project, query, index):
    plan = filter_images(ImageAsset.objects.all(), project, query).explain()
    assert f"{index} " in f"{plan} ", plan


# Each is about two tables, and answered from the indexes of both, whatever else is in the project.
EITHER = [
    ("issue:bad_size", {"assets_image_issues", "annotations_with_issues"}),
    ("category:class0 OR width>9990", {"annotations_by_category", "assets_image_width"}),
    ("category:class0 OR tag:tag7", {"annotations_by_category", "assets_image_tags"}),
    ("category:(class0 OR nothing)", {"annotations_by_category"}),
    ("-(-category:class0 -width>9990)", {"annotations_by_category", "assets_image_width"}),
    ("status:approved (has(category:class0 area>9000) OR height>9990)", {"annotations_by_category"}),
    ("width>9990 OR -(-category:class0 OR -tag:tag0)", {"annotations_by_category", "assets_image_width"}),
]
SUBLINEAR = 2_000  # rows that a plan may look at, of 10,000 images and as many annotations


@pytest.mark.parametrize(("query", "indexes"), EITHER)
@pytest.mark.parametrize("read", ["page", "deep page", "count"])
def test_alternatives_are_each_answered_from_an_index(project, query, indexes, read):
    rows = filter_images(ImageAsset.objects.all(), project, query)
    if read == "count":
        plan = explained(rows.primary_keys(1_000))
    else:
        last = ImageAsset.objects.filter(project=project).order_by("pk")[9_000 if read == "deep page" else 0]
        plan = explained(rows.filter(pk__gt=last.pk).order_by("pk").first_rows(51))
    used, looked_at = names_and_rows(plan)
    assert indexes <= used, plan
    assert looked_at <= SUBLINEAR, plan


def test_as_one_condition_they_would_be_tried_on_every_image(project):
    query = "category:class0 OR width>9990"
    _, looked_at = names_and_rows(explained(filter_images(ImageAsset.objects.all(), project, query)))
    assert looked_at > 10_000


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("category:class0 OR width>9990", 20),
        ("-category:class0 OR width>9990", 9_990),
        ("tag:tag1 OR category:*", 10_000),
    ],
)
def test_the_number_of_alternatives_is_estimated_as_if_they_were_independent(project, query, number):
    estimated = estimate(filter_images(ImageAsset.objects.all(), project, query))
    assert number / 2 <= estimated <= min(2 * number, 10_000)


def test_what_is_left_of_a_list_is_not_taken_for_rarer_than_it_is(project):
    """Or else it is looked up whole, and sorted, instead of being read in order up to the end of the page."""
    images, query = ImageAsset.objects.all(), "area>0"
    end = images.filter(project=project).order_by("pk")[9_000].pk
    left = filter_images(images, project, query, beyond=Beyond(end)).filter(pk__gt=end)
    whole = estimate(filter_images(images, project, query))
    assert estimate(left) >= whole / 20 / 4  # the images that are left are a twentieth of the table


def explained(rows):
    return json.loads(rows.explain(format="json", analyze=True))[0]["Plan"]


def names_and_rows(plan):
    """Names of the indexes that were used, and how many rows were looked at in all of them and in tables."""
    names = {plan[key] for key in ("Index Name",) if key in plan}
    seen = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) if "Relation Name" in plan else 0
    looked_at = seen * plan["Actual Loops"]
    for inner in plan.get("Plans", ()):
        more_names, more = names_and_rows(inner)
        names |= more_names
        looked_at += more
    return names, looked_at


def test_an_alternative_that_finds_nothing_for_certain_does_not_count(project):
    for query in ("category:nothing OR width>9990", "has() OR category:nothing", "category:nothing OR category:none"):
        assert 0 <= estimate(filter_images(ImageAsset.objects.all(), project, query)) <= 10_000


def test_patterns_of_file_names_are_estimated_from_a_thousand_names(project):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_length(histogram_bounds::text::text[], 1) FROM pg_stats WHERE tablename = %s",
            ["assets_image_file_trgm"],
        )
        assert cursor.fetchone() == (1001,)
