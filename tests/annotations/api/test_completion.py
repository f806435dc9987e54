"""What may be written next in a query."""

import pytest
from hypothesis import HealthCheck, given, settings

from annotations import completion, sampling, vocabulary
from annotations.query import FIELDS, QueryError, filter_images, parse, to_text
from annotations.query.fields import Kind
from assets.models import ImageAsset
from tests.annotations.query.records import PICTURES, store
from tests.annotations.query.trees import trees


@pytest.fixture
def pictures(project):
    """The small data set of the query language's tests."""
    return store(project, PICTURES)


@pytest.fixture
def texts(project, pictures):
    """The texts that are suggested at the end of a query, and from where they stand."""

    def suggested(q, limit=100):
        found = completion.complete(project, q, limit=limit)
        return found.start, [each.text for each in found.suggestions]

    return suggested


@pytest.mark.parametrize(
    ("q", "start", "some"),
    [
        ("", 0, ["tag:", "width:", "metadata.", "has("]),
        ("ta", 0, ["tag:"]),
        ("tag:car wid", 8, ["width:"]),
        ("-sta", 1, ["status:"]),
        ("width", 0, ["width:", "width>=", "width!="]),
        ("width ", 6, [":", ">=", "tag:"]),
        ("tag:", 4, ["car", "night", "한국", '"it\'s"'.strip('"'), '"a*b"', '"-x"', '"say \\"hi\\""']),
        ("tag:ca", 4, ["car", "carpet"]),
        ('tag:"say', 4, ['"say \\"hi\\""']),
        ("tag:(car OR ni", 12, ["night"]),
        ("tag!=ni", 5, ["night"]),
        ("split:", 6, ["train", "val"]),
        ("status:in", 7, ["in_review"]),
        ("category:", 9, ["car", "person", '"traffic light"', "차"]),
        ("supercategory:v", 14, ["vehicle"]),
        ("has(category:d", 13, ["dog"]),
        ("has(ar", 4, ["area:"]),
        ("issue:", 6, ["bad_size", "negative_box", "no_picture"]),
        ("annotation.issue:", 17, ["negative_box"]),
        ("source:", 7, ["cvat", '"model v1"']),
        ("format:p", 7, ["PNG"]),
        ("machine:t", 8, ["true"]),
        ("created>", 8, ["-7d"]),
        ("key", 0, ["keypoint.", "keypoints:"]),
        ("keypoint.", 9, ["nose", "left_wrist", '"left wrist"', "3", "tail"]),
        ("has(keypoint.no", 13, ["nose"]),
        ("keypoint.nose:", 14, ["visible", "hidden", "unlabelled"]),
        ("metadata.", 9, ["license", "color", "도시", '"a.b"', '"k\\"q"']),
        ("metadata.co", 9, ["color"]),
        ("metadata.nested.", 16, ["deep"]),
        ('metadata."a.b".', 15, ['"c d"']),
        ('metadata."".', 12, ['""']),
        ("metadata.license:", 17, ["3", '"3"', "3.0"]),
        ("metadata.color:r", 15, ["red"]),
        ("metadata.flag:", 14, ["true", "false"]),
        ("attributes.occ", 11, ["occluded"]),
        ("attributes.occluded:", 20, ["true"]),
        ("tag:car ", 8, ["OR", "AND", "NOT", "width:"]),
        ("count(category:car)", 19, [">=", ":"]),
    ],
)
def test_suggestions(texts, q, start, some):
    at, found = texts(q)
    assert at == start
    assert set(some) <= set(found), found


@pytest.mark.parametrize("q", ["width>", "tag:car widht:", "file:x", '"sun', "metadata.none.", "tag:\0", "x" * 5_000])
def test_where_nothing_can_be_told_nothing_is(texts, q):
    assert texts(q)[1] == []


def test_image_fields_are_not_suggested_within_has(texts):
    found = texts("has(")[1]
    assert "width:" not in found
    assert "count(" not in found


def test_every_suggestion_can_be_put_in(texts):
    for q in [
        "",
        "tag:",
        "category:",
        "metadata.",
        "metadata.license:",
        "source:",
        "split:",
        "has(category:",
        "width ",
    ]:
        start, found = texts(q)
        for text in found:
            assert any(parses(q[:start] + text + rest) for rest in RESTS), text


RESTS = ["", ")>1", "1", "2026-01-01", "true", "ready", "x", ":1", "x:1", ")", "area:1)", "-1d", "1)", "true)", "x:1)"]


def parses(text):
    try:
        return bool(parse(text))
    except QueryError:
        return False


def test_counts_of_a_small_project_are_exact(project, pictures):
    found = {each.text: each for each in completion.complete(project, "tag:").suggestions}
    assert (found["car"].count, found["car"].count_is_exact) == (2, True)
    found = {each.text: each for each in completion.complete(project, "split:").suggestions}
    assert (found["train"].count, found["val"].count) == (3, 3)
    found = {each.text: each for each in completion.complete(project, "category:").suggestions}
    assert (found["car"].count, found["person"].count) == (4, 4)


@pytest.mark.parametrize("q", ["metadata.license:", "metadata.flag:", "metadata.color:", "tag:", "split:", "issue:"])
def test_a_suggestion_counts_what_its_query_finds(project, pictures, q):
    suggestions = completion.complete(project, q).suggestions
    assert len(suggestions) > 1
    for each in suggestions:
        images = filter_images(ImageAsset.objects.all(), project, q + each.text)
        assert (each.text, each.count) == (each.text, images.count())


def test_a_large_project_is_sampled_and_what_was_just_tagged_is_found(project, pictures, monkeypatch):
    monkeypatch.setattr(sampling, "SAMPLE", 4)
    monkeypatch.setattr(sampling, "RUNS", 2)
    monkeypatch.setattr(vocabulary, "RECENT", 1)
    last = ImageAsset.objects.filter(project=project).order_by("-updated_at").first()
    ImageAsset.objects.filter(pk=last.pk).update(tags=["fresh"])
    found = {each.text: each for each in completion.complete(project, "tag:").suggestions}
    assert found["fresh"].count_is_exact is False
    assert len(found) < 12


def test_other_projects_are_not_told_of(project, pictures, stranger):
    elsewhere = stranger.owned_projects.get()
    for field in FIELDS.values():
        q = f"{field.name}.{'license' if field.name == 'metadata' else 'occluded'}:" if field.kind is Kind.JSON else ""
        for each in completion.complete(elsewhere, q or f"{field.name}:").suggestions:
            assert each.count in (None, 0)
    assert completion.complete(elsewhere, "metadata.").suggestions == []


def test_statements_do_not_grow(at, as_viewer, pictures, statements):
    for q in ("tag:", "category:", "metadata.", "metadata.color:", "source:", "split:", "status:"):
        with statements() as sent:
            assert as_viewer.get(at("assets/query/complete"), {"q": q}).status_code == 200
        assert len(sent) <= 6


def test_the_text_behind_the_cursor_does_not_count(at, as_viewer, pictures):
    found = as_viewer.get(at("assets/query/complete"), {"q": "tag:ca width>3", "cursor": 6, "limit": 1}).json()
    suggestion = {"text": "car", "kind": "value", "help": "", "count": 2, "count_is_exact": True}
    assert found == {"start": 4, "cursor": 6, "suggestions": [suggestion]}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees())
def test_any_beginning_of_any_query_can_be_completed(texts, tree):
    text = to_text(tree)
    for end in range(0, len(text), 3):
        start, _ = texts(text[:end], limit=5)
        assert 0 <= start <= end
