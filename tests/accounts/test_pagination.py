"""Pages by key: every row once, in order, in both directions, whatever is null, equal or gone."""

import base64
import itertools
import json

import pytest
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Length
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from rest_framework.request import Request

from accounts.api.pagination import BrokenCursor, KeysetPagination
from accounts.errors import ServiceError
from accounts.models import User
from assets.models import ImageAsset, Split
from projects.models import AuditLog, Task
from tests import factories


class Viewless:
    """A view that says nothing of order."""


def page(queryset, url="/list", ordering=("-id",), view=None, **paging):
    """The rows of a page, and the paginator that knows its neighbours."""
    paginator = KeysetPagination(ordering)
    for name, value in paging.items():
        setattr(paginator, name, value)
    rows = paginator.paginate_queryset(queryset, Request(RequestFactory().get(url)), view or Viewless())
    return rows, paginator


def walk(queryset, ordering, size, link="next", start="/list"):
    """Every row from the start on, page by page."""
    url, pages = f"{start}", []
    while url:
        rows, paginator = page(queryset, url, ordering, page_size=size)
        pages.append(rows)
        url = getattr(paginator, link)
    return pages


@pytest.fixture
def tasks(project):
    """Rows with equal values and nulls."""
    totals = [3, None, 1, 3, None, 2, 3, 1, None, 5]
    return [factories.make_task(project, total=total, done=index % 3) for index, total in enumerate(totals)]


ORDERS = [
    ("total",),
    ("-total",),
    ("done", "id"),
    ("-done", "-id"),
    ("done", "-total", "id"),
    ("-total", "done", "-id"),
    ("total", "-done"),
    ("started_at", "total"),
    ("created_at",),
    ("-project__name", "-total"),
    ("length",),
]


@pytest.mark.parametrize("ordering", ORDERS, ids=",".join)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_every_row_comes_once_in_order_forwards_and_backwards(tasks, ordering, size):
    queryset = Task.objects.annotate(length=Length("kind"))
    names = [*ordering, "-pk" if ordering[0].startswith("-") else "pk"] if "id" not in ordering[-1] else ordering
    expected = list(queryset.order_by(*names))
    pages = walk(queryset, ordering, size)
    assert list(itertools.chain(*pages)) == expected
    assert all(len(rows) == size for rows in pages[:-1])

    _, last = page(queryset, _last_url(queryset, ordering, size), ordering, page_size=size)
    back = walk(queryset, ordering, size, "previous", last.previous) if last.previous else []
    assert list(itertools.chain(*reversed(back))) == expected[: len(expected) - len(pages[-1])]


def _last_url(queryset, ordering, size):
    url = "/list"
    while True:
        _, paginator = page(queryset, url, ordering, page_size=size)
        if not paginator.next:
            return url
        url = paginator.next


def test_the_ends_have_no_links(tasks):
    _, first = page(Task.objects.all(), page_size=4)
    assert (first.previous, bool(first.next)) == (None, True)
    _, all_of_them = page(Task.objects.all())
    assert (all_of_them.previous, all_of_them.next) == (None, None)
    _, second = page(Task.objects.all(), first.next, page_size=4)
    _, first_again = page(Task.objects.all(), second.previous, page_size=4)
    assert (first_again.previous, bool(first_again.next)) == (None, True)


def test_links_keep_the_other_parameters(tasks):
    _, paginator = page(Task.objects.all(), "/list?kind=import&page_size=2")
    assert "kind=import" in paginator.next
    assert "page_size=2" in paginator.next


def test_rows_added_and_removed_meanwhile_shift_nothing(tasks, project):
    rows, paginator = page(Task.objects.all(), ordering=("created_at",), page_size=4)
    rows[-1].delete()
    factories.make_task(project, created_at=rows[0].created_at)
    following, _ = page(Task.objects.all(), paginator.next, ("created_at",), page_size=4)
    assert following == tasks[4:8]


def test_a_cursor_into_nothing_leads_back_to_the_start(tasks):
    _, paginator = page(Task.objects.all(), page_size=4)
    _, second = page(Task.objects.all(), paginator.next, page_size=4)
    Task.objects.all().delete()
    rows, gone = page(Task.objects.all(), second.previous, page_size=4)
    assert (rows, gone.previous) == ([], None)
    assert "cursor" not in gone.next


def cursor_of(content) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "junk",
        "%00",
        "é",
        "AAAA",
        cursor_of(None),
        cursor_of([]),
        cursor_of({"a": 1}),
        cursor_of([False, "-id"]),
        cursor_of([False, "-id", 1, 2]),
        cursor_of([False, "-total", 1]),
        cursor_of(["x", "-id", 1]),
        cursor_of([False, "-id", None]),
        cursor_of([False, "-id", "x"]),
        cursor_of([False, "-id", 10**30]),
        cursor_of([False, "-id", [1]]),
        cursor_of([False, "-id", {"a": 1}]),
        "A" * 5000,
    ],
)
def test_a_broken_cursor_is_refused(db, cursor):
    with pytest.raises(BrokenCursor) as refusal:
        page(AuditLog.objects.all(), f"/list?cursor={cursor}")
    assert refusal.value.status == 400


def test_a_text_with_null_characters_is_no_cursor(db):
    with pytest.raises(BrokenCursor):
        page(User.objects.all(), f"/list?cursor={cursor_of([False, 'email,pk', chr(0), 1])}", ("email",))


@pytest.mark.parametrize(("asked", "got"), [("3", 3), ("501", 500), ("1e9", 500), ("inf", 500), ("", 50)])
def test_the_page_size_is_capped(db, asked, got):
    paginator = KeysetPagination()
    assert paginator._size(Request(RequestFactory().get("/", {"page_size": asked}))) == got


@pytest.mark.parametrize("asked", ["0", "-5", "1.5", "abc", "nan", "-inf", "0x10", "1;2", "9" * 400 + "x"])
def test_a_page_size_that_is_none_is_refused(db, asked):
    with pytest.raises(ServiceError) as refusal:
        page(Task.objects.all(), "/list?" + f"page_size={asked}")
    assert set(refusal.value.fields) == {"page_size"}


def test_the_view_names_the_order(tasks):
    class Ordered:
        ordering = ("created_at",)

    class Choosing(Ordered):
        def get_ordering(self):
            return ("-created_at",)

    def first(view):
        return KeysetPagination().paginate_queryset(Task.objects.all(), Request(RequestFactory().get("/")), view)[0]

    assert first(Ordered()) == tasks[0]
    assert first(Choosing()) == tasks[-1]


def test_rows_may_be_dictionaries(tasks):
    rows, paginator = page(Task.objects.values("id", "pk", "created_at"), ordering=("created_at",), page_size=3)
    following, _ = page(Task.objects.values("id", "pk", "created_at"), paginator.next, ("created_at",), page_size=3)
    assert [row["id"] for row in rows + following] == [task.pk for task in tasks[:6]]


@pytest.mark.parametrize("ordering", [("width", "id"), ("-width", "-id")], ids=",".join)
def test_every_page_is_read_from_the_index_from_end_to_end(project, ordering):
    """Nothing before a page is read and thrown away, also where the key turns to null."""
    split = Split.objects.create(project=project)
    for number, width in enumerate([5, None, 5, None, None, 2, 9]):
        ImageAsset.objects.create(project=project, split=split, coco_id=number, width=width)
    images = ImageAsset.objects.filter(project=project)
    with CaptureQueriesContext(connection) as queries:
        assert len(walk(images, ordering, 2)) == 4
    statements = [query["sql"] for query in queries.captured_queries]
    assert len(statements) > 4
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        for statement in statements:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "using assets_image_width" in plan
            assert "Filter" not in plan
            assert "Sort" not in plan
            starts = ("ROW(width, id)", "width IS NULL", "width IS NOT NULL")
            assert statement == statements[0] or any(start in plan for start in starts)


def test_extra_members_join_the_answer(tasks):
    class Counting(KeysetPagination):
        extra_schema = {"count": {"type": "integer"}}

        def extra_for(self, queryset, request):
            return {"count": queryset.count()}

    paginator = Counting(("created_at",))
    rows = paginator.paginate_queryset(Task.objects.all(), Request(RequestFactory().get("/?page_size=2")))
    body = paginator.get_paginated_response([row.pk for row in rows]).data
    assert (body["count"], len(body["results"])) == (10, 2)
    assert "count" in paginator.get_paginated_response_schema({})["required"]


def test_an_annotation_may_be_a_constant_and_a_key(tasks):
    queryset = Task.objects.annotate(one=Value(1), twice=F("done") * 2)
    assert len(list(itertools.chain(*walk(queryset, ("one", "twice"), 3)))) == 10
