"""What a query does to the database besides selecting rows."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.models import Annotation
from annotations.query import FIELDS, QueryError, filter_annotations, filter_images, parse, statement_timeout
from annotations.query.fields import Kind
from assets.models import ImageAsset
from tests.annotations.query.records import NOW, STRANGER, make_project, store

PARANOID = [
    *["'", "''", "';--", '"', "\\", "\\'", "%", "%%", "%s", "%(x)s", "_", "$1", "?", "{0}", "\u0001", "\ufffe", "😀"],
]
UNQUOTED = [text for text in PARANOID if text not in ('"', "%(x)s", "?")]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_values_never_become_sql(images, annotations, field):
    """Whatever stands for a value, the answer is rows or a QueryError, never an error of the database."""
    paths = [f"{field.name}.{quoted(text)}" for text in PARANOID] if field.part else [field.name]
    values = [*map(quoted, PARANOID), *UNQUOTED, *(f"{text}*" for text in UNQUOTED)]
    asked = [f"{paths[0]}{operator}{value}" for operator in (":", "!=", ">") for value in values]
    asked += [f"{path}{operator}x" for operator in (":x", ":*", ":y*", ">3", "!=x") for path in paths]
    answered = 0
    for query in asked:
        try:
            tree = parse(query)
        except QueryError:
            continue
        images(tree)
        annotations(tree)
        answered += 1
    assert answered or field.kind not in (Kind.NAME, Kind.TEXT, Kind.NAMES, Kind.JSON)


def test_a_tag_of_any_characters_is_found_by_itself_alone(project, letters, images):
    ImageAsset.objects.filter(coco_id=1).update(tags=PARANOID)
    assert {text: images(f"tag:{quoted(text)}") for text in PARANOID} == dict.fromkeys(PARANOID, "c")
    assert images('tag:"\\\\\'"') == "c"
    assert images("tag:x%") == ""


def test_id_is_the_key_of_the_image(project, letters, images):
    key = next(pk for pk, letter in letters.items() if letter == "d")
    assert images(f"id:{key}") == "d"
    assert images(f"-id:{key}") == "abcefgh"


def test_queries_stay_within_their_project(project, letters):
    elsewhere = make_project("Third")
    store(elsewhere, (STRANGER,))
    for query in ["", "tag:car", "category:car", "count(area>4000)>=1", "-tag:x", "id>0 OR jpg", "duplicate:false"]:
        found = filter_images(ImageAsset.objects.all(), elsewhere, query)
        assert [image.project_id for image in found] == [elsewhere.pk], query
        assert [one.project_id for one in filter_annotations(Annotation.objects.all(), elsewhere, query)] == [
            elsewhere.pk
        ], query


def test_a_query_narrows_the_given_rows(project, letters):
    some = ImageAsset.objects.filter(width=640).order_by("-coco_id")
    assert [image.coco_id for image in filter_images(some, project, "tag:car OR 0002")] == [139]


@pytest.mark.parametrize(
    ("query", "queries"),
    [
        ("tag:car width>3 has(area>3) count()>2 metadata.x:3", 1),
        ("category:car", 2),
        ("category:car category:t* supercategory:vehicle has(category:dog OR supercategory:*)", 2),
        ("split:train -split:v* category:car", 2),
    ],
)
def test_names_are_looked_up_with_one_query(project, letters, query, queries):
    with CaptureQueriesContext(connection) as captured:
        list(filter_images(ImageAsset.objects.all(), project, query, now=NOW))
    assert len(captured) == queries


def test_deepest_and_widest_queries_run(images):
    deep = "jpg"
    for number in range(49):
        deep = f"(-tag:car OR width:>{number} {deep})"
    assert images(deep) == "abcdefgh"
    assert images(" OR ".join(f"category:{number} area>{number}" for number in range(100))) == ""
    assert images("metadata" + ".a" * 49 + ":1") == images("metadata" + ".a" * 49 + ">1") == ""


def test_dates_are_read_in_the_time_zone_of_the_server(images, settings):
    assert images("created:2026-01-01..2026-01-31") == "cd"
    settings.TIME_ZONE = "Asia/Seoul"  # 2025-12-31 23:59 UTC is a new year there, 2026-01-31 23:59:59 is February
    assert images("created:2026-01-01..2026-01-31") == "de"


def sleep(seconds):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def current_timeout():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_a_slow_query_is_stopped_and_told_to_be_narrowed():
    with pytest.raises(QueryError, match="narrow it") as caught, statement_timeout(50):
        sleep(5)
    assert caught.value.status == 400
    assert caught.value.column is None
    assert current_timeout() == "0"


def test_the_transaction_around_a_slow_query_goes_on(db):
    with pytest.raises(QueryError, match="narrow it"), statement_timeout(50):
        sleep(5)
    assert current_timeout() == "0"


def test_the_limit_ends_with_its_block(db):
    with statement_timeout(700):
        assert current_timeout() == "700ms"
        with statement_timeout(300):
            assert current_timeout() == "300ms"
        assert current_timeout() == "700ms"
    assert current_timeout() == "0"


def merges():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('enable_mergejoin')")
        return cursor.fetchone()[0]


def test_deep_pages_are_planned_for_themselves(db):
    with statement_timeout(700, deep_page=True):
        assert (merges(), current_timeout()) == ("off", "700ms")
    assert (merges(), current_timeout()) == ("on", "0")


def test_the_limit_is_a_setting(db, settings):
    settings.QUERY_TIMEOUT_MS = 1234
    with statement_timeout():
        assert current_timeout() == "1234ms"


def test_other_errors_are_left_as_they_are(db):
    with pytest.raises(ZeroDivisionError), statement_timeout(1000):
        raise ZeroDivisionError
    assert current_timeout() == "0"
