"""Lists of images over HTTP: filtered, sorted, trimmed, counted, conditional; and facets of them."""

from collections import Counter

import pytest
from django.db import connection

from annotations import counting, sampling
from annotations.models import Annotation, Category
from assets.models import ImageAsset, Split
from tests.annotations.query import oracle
from tests.annotations.query.records import CATEGORIES, PICTURES, store

from annotations.query import parse  # isort: skip

MANY = """
    INSERT INTO assets_imageasset (project_id, split_id, coco_id, position, file_name, width, height, tags, issues,
        status, metadata, annotation_count, checksum, uri, thumbnail_uri, format)
    SELECT %s, %s, n, n, n || '.jpg', n %% 7, n, ARRAY['tag' || n %% 4], '{}', 'ready', '{}', 0, '', '', '', ''
    FROM generate_series(1, %s) AS n
"""


def fill(project, number):
    """So many images, a quarter of them with each of four tags."""
    split = Split.objects.create(project=project, name="many")
    with connection.cursor() as cursor:
        cursor.execute(MANY, [project.pk, split.pk, number])


@pytest.fixture
def pictures(project):
    """The small data set of the query language's tests."""
    return store(project, PICTURES)


@pytest.mark.parametrize("path", ["assets", "assets/facets", "assets/query/complete", "assets/query/explain"])
def test_strangers_get_404_and_nobody_401(path, at, as_stranger, as_nobody, as_viewer):
    assert as_stranger.get(at(path)).status_code == 404
    assert as_nobody.get(at(path)).status_code == 401
    assert as_viewer.get(at(path)).status_code == 200


@pytest.mark.parametrize("path", ["assets", "assets/facets", "assets/query/explain"])
def test_a_query_with_a_mistake_is_told_with_its_column(path, at, as_viewer):
    answer = as_viewer.get(at(path), {"q": "tag:car widht>3"})
    assert answer.status_code == 400
    assert answer.json()["detail"]["column"] == 9
    assert "q" in answer.json()["fieldErrors"]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("assets", {"sort": "owner__password"}),
        ("assets", {"fields": "id,project__owner"}),
        ("assets", {"page_size": "x"}),
        ("assets", {"cursor": "x"}),
        ("assets/facets", {"facets": "owner"}),
        ("assets/facets", {"limit": "-1"}),
        ("assets/query/complete", {"cursor": "1e9"}),
    ],
)
def test_what_is_not_on_the_list_is_refused(path, given, at, as_viewer):
    answer = as_viewer.get(at(path), given)
    assert answer.status_code == 400
    assert list(answer.json()["fieldErrors"]) == list(given)


@pytest.mark.parametrize(
    "sort", ["id", "file", "width", "height", "annotations", "status", "split", "created", "updated"]
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_in_any_order_hold_every_image_once_and_lead_back(sort, sign, at, as_viewer, project):
    fill(project, 23)
    ImageAsset.objects.filter(coco_id__lte=4).update(width=None, file_name=None)
    whole = [row["id"] for row in as_viewer.get(at("assets"), {"sort": sign + sort}).json()["results"]]
    assert len(whole) == len(set(whole)) == 23
    answer = as_viewer.get(at("assets"), {"sort": sign + sort, "page_size": 5}).json()
    pages = [answer]
    while answer["next"]:
        answer = as_viewer.get(answer["next"]).json()
        pages.append(answer)
    assert [row["id"] for page in pages for row in page["results"]] == whole
    back = [answer]
    while answer["previous"]:
        answer = as_viewer.get(answer["previous"]).json()
        back.append(answer)
    assert [row["id"] for page in reversed(back) for row in page["results"]] == whole


def test_only_the_fields_that_are_asked_for_are_answered_and_read(at, as_viewer, pictures, statements):
    with statements() as sent:
        rows = as_viewer.get(at("assets"), {"fields": "id, tags", "sort": "-width", "count": "false"}).json()["results"]
    assert {tuple(row) for row in rows} == {("id", "tags")}
    assert len(rows) == len(PICTURES)
    assert "metadata" not in sent[-1]
    assert "assets_split" not in sent[-1]
    rows = as_viewer.get(at("assets"), {"fields": "split,coco_id"}).json()["results"]
    assert {row["split"] for row in rows} == {"train", "val", ""}


def test_counts_are_exact_up_to_the_cap_and_marked_above(at, as_viewer, project, monkeypatch):
    fill(project, 40)
    found = as_viewer.get(at("assets"), {"q": "tag:tag1", "page_size": 3}).json()
    assert (found["count"], found["count_is_exact"], len(found["results"])) == (10, True, 3)
    assert as_viewer.get(at("assets"), {"q": "tag:none"}).json()["count"] == 0
    assert as_viewer.get(at("assets"), {"count": "false"}).json()["count"] is None
    monkeypatch.setattr(counting, "CAP", 5)
    found = as_viewer.get(at("assets")).json()
    assert found["count"] >= 6
    assert found["count_is_exact"] is False


def test_an_empty_page_behind_the_last_row_still_tells_the_count(at, as_viewer, project):
    fill(project, 6)
    first = as_viewer.get(at("assets"), {"page_size": 3}).json()
    ImageAsset.objects.filter(coco_id__gt=3).delete()
    project.touch()
    assert as_viewer.get(first["next"]).json() | {"next": 0, "previous": 0} == {
        "results": [], "count": 3, "count_is_exact": True, "next": 0, "previous": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "most"), [("assets", 6), ("annotations", 6), ("categories", 4), ("bulk-edits", 4), ("assets/facets", 6)]
)
@pytest.mark.parametrize("rows", [1, 60])
def test_a_list_takes_few_statements_whatever_its_length(path, most, rows, at, as_viewer, project, statements):
    fill(project, rows)
    categories = [Category(project=project, coco_id=number, name=f"c{number}") for number in range(rows)]
    Category.objects.bulk_create(categories)
    for image in ImageAsset.objects.filter(project=project):
        Annotation.objects.create(
            project=project, split_id=image.split_id, image=image, category=categories[0], coco_id=image.coco_id
        )
    asked = {} if path in ("categories", "bulk-edits") else {"q": "split:many category:(c0 OR c1) width>=0"}
    asked |= {} if path == "assets/facets" else {"page_size": 500}
    with statements() as sent:
        assert as_viewer.get(at(path), asked).status_code == 200
    assert len(sent) <= most, "\n".join(sent)


@pytest.mark.parametrize("q", ["split:many -category:x", "split:many (-category:x OR width>=0)"])
def test_an_estimated_list_takes_six_statements(q, at, as_viewer, project, statements, monkeypatch):
    fill(project, 30)
    monkeypatch.setattr(counting, "CAP", 5)
    with statements() as sent:
        assert as_viewer.get(at("assets"), {"q": q}).json()["count_is_exact"] is False
    assert len(sent) <= 6, "\n".join(sent)


def test_pages_of_alternatives_hold_each_image_once_in_order(at, as_viewer, project):
    fill(project, 40)
    category = Category.objects.create(project=project, coco_id=1, name="c")
    for image in ImageAsset.objects.filter(project=project, coco_id__gt=20):
        for number in (0, 1):
            Annotation.objects.create(
                project=project, split_id=image.split_id, image=image, category=category,
                coco_id=100 * number + image.coco_id,
            )  # fmt: skip
    q = "category:c OR coco_id<=30"
    for sort, expected in (("id", range(1, 41)), ("-id", range(40, 0, -1))):
        address: str | None = at("assets") + f"?q={q}&page_size=7&sort={sort}&fields=coco_id"
        found = []
        while address:
            page = as_viewer.get(address).json()
            assert (page["count"], page["count_is_exact"]) == (40, True)
            found += [each["coco_id"] for each in page["results"]]
            address = page["next"]
        assert found == list(expected)


def test_what_the_first_page_counted_is_not_counted_again(at, as_viewer, project, statements):
    fill(project, 7)
    first = as_viewer.get(at("assets"), {"q": "split:many", "page_size": 3}).json()
    with statements() as sent:
        second = as_viewer.get(first["next"]).json()
    assert (second["count"], second["count_is_exact"]) == (7, True)
    assert len(sent) == 4, "\n".join(sent)  # who, where, names, the page
    third = as_viewer.get(second["next"]).json()
    assert (third["count"], len(third["results"]), third["next"]) == (7, 1, None)
    assert as_viewer.get(second["previous"]).json()["count"] == 7
    assert as_viewer.get(at("assets"), {"counted": "99"}).json()["count"] == 7  # of links only
    uncounted = as_viewer.get(at("assets"), {"page_size": 3, "count": "false"}).json()
    assert as_viewer.get(uncounted["next"]).json()["count"] is None


@pytest.mark.parametrize("q", ["split:many", "tag:tag1 OR category:none", ""])
def test_who_asks_for_it_gets_an_exact_count_of_many(at, as_viewer, project, q, monkeypatch):
    fill(project, 40)
    monkeypatch.setattr(counting, "CAP", 5)
    number = 10 if q.startswith("tag") else 40
    assert as_viewer.get(at("assets"), {"q": q}).json()["count_is_exact"] is False
    page = as_viewer.get(at("assets"), {"q": q, "count": "exact", "page_size": 4}).json()
    assert (page["count"], page["count_is_exact"]) == (number, True)
    following = as_viewer.get(page["next"]).json()
    assert (following["count"], following["count_is_exact"]) == (number, True)


@pytest.mark.parametrize("path", ["assets", "assets/facets"])
def test_what_a_query_found_is_remembered_until_somebody_writes(at, as_viewer, project, path, statements):
    fill(project, 4)
    ask = {"q": "split:many width>=0"}
    assert as_viewer.get(at(path), ask).json()["count"] == 4
    with statements() as sent:
        assert as_viewer.get(at(path), {"q": "width>=0 split:many"}).json()["count"] == 4
    first = len(sent)
    with statements() as sent:
        assert as_viewer.get(at(path), ask).json()["count"] == 4
    assert len(sent) < first, "the query is the same but for the order of its words"
    ImageAsset.objects.filter(coco_id__gt=3).delete()
    project.touch()
    assert as_viewer.get(at(path), ask).json()["count"] == 3


def test_what_counts_from_the_clock_is_not_remembered(at, as_viewer, project):
    fill(project, 2)
    ask = {"q": "created>-1d"}
    assert as_viewer.get(at("assets"), ask).json()["count"] == 2
    ImageAsset.objects.update(created_at="2001-01-01T00:00:00Z")  # as if a day had gone by
    assert as_viewer.get(at("assets"), ask).json()["count"] == 0


def test_filters_of_a_list_are_part_of_what_is_remembered(at, as_viewer, pictures, project):
    images = list(ImageAsset.objects.filter(project=project).order_by("id"))
    counts = {image.pk: Annotation.objects.filter(image=image).count() for image in images}
    assert len(set(counts.values())) > 1
    for pk, number in counts.items():
        assert as_viewer.get(at("annotations"), {"image": pk}).json()["count"] == number


@pytest.mark.parametrize("sort", ["id", "-id"])
@pytest.mark.parametrize("q", ["category:c0", "-category:c0", "has(category:c0) OR width:0", "count(category:c0)<1"])
@pytest.mark.parametrize("cap", [5, 1_000])
def test_pages_in_the_middle_are_those_of_the_whole_list(at, as_viewer, project, q, sort, cap, monkeypatch):
    monkeypatch.setattr(counting, "CAP", cap)  # above it there are no keys to read by
    fill(project, 30)
    category = Category.objects.create(project=project, coco_id=1, name="c0")
    for image in ImageAsset.objects.filter(project=project, coco_id__in=[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]):
        Annotation.objects.create(
            project=project, split_id=image.split_id, image=image, category=category, coco_id=image.coco_id
        )
    everything = as_viewer.get(at("assets"), {"q": q, "sort": sort, "page_size": 500}).json()
    whole = [row["id"] for row in everything["results"]]
    assert 0 < len(whole) < 30 or q.endswith("width:0")
    read, link = [], as_viewer.get(at("assets"), {"q": q, "sort": sort, "page_size": 4}).json()
    pages = [link]
    while link["next"]:
        link = as_viewer.get(link["next"]).json()
        pages.append(link)
    for page in pages:
        read += [row["id"] for row in page["results"]]
    assert read == whole
    assert len({page["count"] for page in pages}) == 1
    before = as_viewer.get(pages[-1]["previous"]).json()
    assert [row["id"] for row in before["results"]] == [row["id"] for row in pages[-2]["results"]]


# --- Conditional requests ---------------------------------------------------------------------------------------------


def test_an_unchanged_list_is_304_until_somebody_writes(at, as_viewer, as_curator, pictures, statements):
    first = as_viewer.get(at("assets"), {"q": "tag:car"})
    tag = first.headers["ETag"]
    with statements() as sent:
        again = as_viewer.get(at("assets"), {"q": "tag:car"}, headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, len(sent)) == (304, b"", 2)
    assert as_viewer.get(at("assets"), {"q": "tag:bus"}, headers={"If-None-Match": tag}).status_code == 200
    image = first.json()["results"][0]["id"]
    assert as_curator.patch(at(f"assets/{image}"), {"add_tags": ["x"]}).status_code == 200
    assert as_viewer.get(at("assets"), {"q": "tag:car"}, headers={"If-None-Match": tag}).status_code == 200


def test_what_counts_from_the_clock_has_no_etag(at, as_viewer, pictures):
    for q in ("created>-7d", "-(tag:x OR updated:-2d..2026-01-01)"):
        assert "ETag" not in as_viewer.get(at("assets"), {"q": q}).headers
    assert "ETag" in as_viewer.get(at("assets"), {"q": "created>2026-01-01"}).headers


def test_an_etag_with_links_ends_before_the_links_do(at, as_viewer, pictures, monkeypatch, settings):
    clock = [1_000_000_000.0]
    monkeypatch.setattr("accounts.api.conditional.time.time", lambda: clock[0])
    with_links = as_viewer.get(at("assets")).headers["ETag"]
    without = as_viewer.get(at("assets"), {"fields": "id"}).headers["ETag"]
    clock[0] += settings.MEDIA_LINK_SECONDS / 2
    assert as_viewer.get(at("assets"), headers={"If-None-Match": with_links}).status_code == 200
    assert as_viewer.get(at("assets"), {"fields": "id"}, headers={"If-None-Match": without}).status_code == 304


def test_a_stale_edit_is_412(at, as_curator, pictures):
    image = as_curator.get(at("assets")).json()["results"][0]["id"]
    tag = as_curator.get(at(f"assets/{image}")).headers["ETag"]
    assert as_curator.patch(at(f"assets/{image}"), {"tags": ["a"]}, headers={"If-Match": tag}).status_code == 200
    stale = as_curator.patch(at(f"assets/{image}"), {"tags": ["b"]}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert stale.json()["detail"] == {"version": 2}


# --- Facets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "q", ["", "issue:negative_box", "tag:car", "category:car", "-tag:*", "has(area>1000)", "tag:nothing"]
)
def test_facets_are_what_the_oracle_counts(q, at, as_viewer, pictures):
    letters = oracle.images(parse(q), PICTURES)
    chosen = [picture for picture in PICTURES if picture.letter in letters]
    named = [{CATEGORIES[thing.category][0] for thing in one.things if thing.category} for one in chosen]
    expected = {
        "tags": Counter(tag for one in chosen for tag in one.tags),
        "categories": Counter(name for names in named for name in names),
        "splits": Counter(one.split for one in chosen),
        "statuses": Counter(one.status for one in chosen),
        "issues": Counter(
            issue
            for one in chosen
            for issue in {*one.issues, *(each for thing in one.things for each in thing.issues or ())}
        ),
    }
    found = as_viewer.get(at("assets/facets"), {"q": q}).json()
    assert (found["count"], found["exact"], found["sample"]) == (len(chosen), True, None)
    for name, counts in expected.items():
        assert {each["value"]: each["count"] for each in found[name]} == counts, name
        numbers = [each["count"] for each in found[name]]
        assert numbers == sorted(numbers, reverse=True)


def test_facets_that_are_asked_for_are_limited(at, as_viewer, pictures):
    found = as_viewer.get(at("assets/facets"), {"facets": "tags,splits", "limit": 1}).json()
    assert found["tags"] == [{"value": "car", "count": 2}]
    assert "issues" not in found


def test_facets_of_many_images_are_estimated_and_say_so(at, as_viewer, project, monkeypatch, statements):
    fill(project, 1_000)
    monkeypatch.setattr("annotations.facets.CAP", 100)
    monkeypatch.setattr(sampling, "RUN", 2)
    monkeypatch.setattr(sampling, "SAMPLE", 200)
    for work in (sampling.spread_among, sampling.size_of_spread):
        monkeypatch.setattr(work, "__defaults__", (200,))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE assets_imageasset")
    with statements() as sent:
        found = as_viewer.get(at("assets/facets"), {"q": "split:many -category:x", "facets": "tags"}).json()
    assert len(sent) <= 6, "\n".join(sent)
    assert (found["exact"], found["count_is_exact"]) == (False, False)
    assert 150 <= found["sample"] <= 200
    assert [each["value"] for each in found["tags"]] == ["tag0", "tag1", "tag2", "tag3"] or len(found["tags"]) == 4
    for each in found["tags"]:
        assert 150 <= each["count"] <= 350
    # Not the planner's number of those that the query finds, which can be far off, but the sample's.
    monkeypatch.setattr("annotations.facets.estimate", lambda rows: 1_000)
    assert as_viewer.get(at("assets/facets"), {"q": "tag:tag1"}).json()["count"] in range(200, 301)


def test_facets_of_a_project_of_few_images_are_exact_however_many_are_found(at, as_viewer, project, monkeypatch):
    fill(project, 300)
    monkeypatch.setattr("annotations.facets.CAP", 100)
    found = as_viewer.get(at("assets/facets"), {"q": "split:many", "facets": "tags"}).json()
    assert (found["count"], found["count_is_exact"], found["exact"], found["sample"]) == (300, True, True, None)
    assert sum(each["count"] for each in found["tags"]) == 300


# --- What a query means -----------------------------------------------------------------------------------------------


def test_explain_tells_the_canonical_form_and_managers_the_plan(at, as_viewer, as_manager, pictures):
    found = as_viewer.get(at("assets/query/explain"), {"q": "  tag:car   AND width>=3"}).json()
    assert found == {"canonical": "tag:car width>=3", "count": 2, "count_is_exact": True, "plan": None}
    plan = as_manager.get(at("assets/query/explain"), {"q": "tag:car"}).json()["plan"]
    assert any("assets_imageasset" in line for line in plan)


@pytest.mark.parametrize("word", ["maybe", "tru", "2"])
def test_a_count_that_is_no_way_of_counting_is_400(as_viewer, project, word):
    answer = as_viewer.get(f"/api/v1/projects/{project.pk}/assets", {"count": word})

    assert answer.status_code == 400
    assert word in answer.json()["fieldErrors"]["count"][0]
