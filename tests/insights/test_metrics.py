"""Every metric, every bar: counts as an oracle counts them, and a query that selects what was counted."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotations.models import Category
from annotations.query import filter_images, parse
from assets.models import ImageAsset
from insights.metrics import METRICS, Selection, boxes, families, measure, objects, schema
from insights.metrics.classes import inequality
from tests import factories
from tests.insights import oracle
from tests.insights.records import NAMES, Picture, Thing, at_random, store

QUERIES = {
    "": lambda picture: True,
    "split:train": lambda picture: picture.split == "train",
    "tag:night OR -has()": lambda picture: "night" in picture.tags or not picture.things,
    "category:car": lambda picture: any(t.category in (1, 2) for t in picture.things),
    "tag:nothing": lambda picture: False,
}
COUNTED = sorted(set(METRICS) - {"imbalance"})


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker):
    """A project filled at random, beside another that must not count; undone at the end of the module."""
    with django_db_blocker.unblock():
        atomic = transaction.atomic()
        atomic.__enter__()
        owner = factories.make_user("metrics@example.com")
        project, pictures = factories.make_project(owner, name="Random"), at_random(Random(5))
        store(factories.make_project(owner, name="Elsewhere"), at_random(Random(6), 10))
        store(project, pictures)
        yield project, pictures
        transaction.set_rollback(True)
        atomic.__exit__(None, None, None)


@pytest.fixture
def figures(world, db):
    """`figures(name, q)`, computed once for each query."""
    return lambda name, q="": measure(Selection(world[0], q), [name])[name]


def bars_of(name: str, figures: Any) -> list[tuple[Any, dict[str, Any]]]:
    """(label as the oracle has it, the bar) for every bar of whatever kind, and for what is missing."""
    found: list[tuple[Any, dict[str, Any]]] = []
    match figures["kind"]:
        case "bars":
            found = [(label_of(name, each), each) for each in figures["bars"]]
        case "histogram":
            found = [((each["low"], each["high"]), each) for each in figures["bins"]]
        case "grid":
            found = [(cell_of(name, figures, each), each) for each in figures["cells"]]
        case "series":
            found = [((line["name"], each["day"]), each) for line in figures["lines"] for each in line["points"]]
    return [*found, (oracle.MISSING, figures["missing"])] if "missing" in figures else found


def label_of(name: str, bar: dict[str, Any]) -> Any:
    if name == "split_leakage":
        return next(word for word in bar["q"].split() if word.startswith("checksum:")).removeprefix("checksum:")
    return bar["label"]


def cell_of(name: str, figures: Any, cell: dict[str, Any]) -> Any:
    return (figures["x"]["labels"][cell["x"]], figures["y"]["labels"][cell["y"]])


def expected(name: str, pictures: list[Picture]) -> dict[Any, oracle.Tally]:
    """The oracle's bars under the names that figures have for them."""
    named = {}
    for label, tally in oracle.tallies(name, pictures).items():
        kind = METRICS[name].kind
        if label == oracle.MISSING:
            named[label] = tally
        elif kind == "histogram":
            low, high = (None if end is None else shown(name, end) for end in label)
            if name == "annotations_per_image" and low is None:
                low = 0.0
            named[low, high] = tally
        elif name == "resolution":
            named[tuple(pixel_label(*each) for each in label)] = tally
        elif name == "box_centres":
            named[tuple(f"{each / 32:.0%}" for each in label)] = tally
        elif name == "co_occurrence":
            named[frozenset(label)] = tally
        else:
            named[label] = tally
    return named


def shown(name: str, end: Fraction) -> float:
    if name == "file_sizes":
        return float(end / 1024)
    return float(end) ** 0.5 if name in ("object_areas", "box_sizes") else float(end)


def pixel_label(low: Fraction | None, high: Fraction | None) -> str:
    if low is None:
        return f"< {high}"
    return f"≥ {low}" if high is None else f"{low}–{high - 1}"


@pytest.mark.parametrize("q", QUERIES)
@pytest.mark.parametrize("name", COUNTED)
def test_a_metric_counts_as_the_oracle_does(name, q, world, figures):
    pictures = [each for each in world[1] if QUERIES[q](each)]
    wanted = {label: tally.count for label, tally in expected(name, pictures).items()}
    found: dict[Any, int] = {}
    for label, each in bars_of(name, figures(name, q)):
        key = frozenset(label) if name == "co_occurrence" and label != oracle.MISSING else label
        assert each["count"] >= 0
        if each["count"]:
            assert key not in found or name in ("box_centres",), key
            found[key] = found.get(key, 0) + each["count"]
    assert found == wanted


@pytest.mark.parametrize("q", QUERIES)
@pytest.mark.parametrize("name", COUNTED)
def test_the_query_of_a_bar_selects_what_it_counts(name, q, world, figures):
    project, pictures = world
    wanted = expected(name, [each for each in pictures if QUERIES[q](each)])
    for label, each in bars_of(name, figures(name, q)):
        key = frozenset(label) if name == "co_occurrence" and label != oracle.MISSING else label
        if each["q"] is None:
            continue
        parse(each["q"])
        selected = filter_images(ImageAsset.objects.all(), project, each["q"])
        keys = wanted[key].keys if key in wanted else set()
        assert set(selected.values_list("pk", flat=True)) == keys, each["q"]
        if METRICS[name].unit == "images":
            assert len(keys) == each["count"]


@pytest.mark.parametrize("name", COUNTED)
def test_bars_have_queries_where_the_language_has_words_for_them(name, figures):
    queries = [
        each["q"]
        for label, each in bars_of(name, figures(name))
        # There are no words for an attribute without a name, and for numbers of more than 40 digits.
        if label != oracle.MISSING and each["count"] and not str(label).startswith(": ") and "0" * 40 not in str(label)
    ]
    assert queries
    if name == "attribute_keys":
        assert queries.count(None) == 1
    else:
        assert None not in queries


def test_every_metric_is_documented_and_has_a_schema():
    for name, metric in METRICS.items():
        assert metric.title, name
        assert metric.doc.endswith("."), name
        assert set(schema(metric)["properties"]) >= {"kind", "unit", "total"}


@pytest.mark.parametrize("q", ["", "split:train"])
def test_metrics_of_one_pass_are_the_same_together_and_alone(q, world, db):
    selection = Selection(world[0], q)
    together = measure(selection, METRICS)
    assert set(together) == set(METRICS)
    for name in METRICS:
        assert measure(Selection(world[0], q), [name])[name] == together[name], name


def test_a_pass_asks_the_database_once(world, db):
    for family, metrics in families(["resolution", "megapixels", "formats", "statuses"]):
        with CaptureQueriesContext(connection) as queries:
            family.measure(Selection(world[0]), metrics)
        assert sum("SAVEPOINT" not in each["sql"] for each in queries) == 1


NUMBERS = [
    "0",
    "0.1",
    "0.0999999999999999999999999",
    "0.33",
    "1",
    "1023.99999999999999999999",
    "1024",
    "8191.5",
    "1e300",
]


@pytest.mark.parametrize(
    "scale", [boxes.WIDTHS, boxes.ASPECTS, objects.SCORES, objects.SQUARE_SIDES], ids=lambda scale: scale.field
)
@pytest.mark.parametrize("number", [*NUMBERS, "-0.5", "-7"])
def test_the_fast_bins_are_those_of_exact_comparison(scale, number, db):
    exact = Decimal(number)
    with connection.cursor() as cursor:
        for sql in (scale.sql(f"{number}::numeric"), scale.whole_sql(f"{number}::numeric")):
            try:
                with transaction.atomic():
                    cursor.execute(f"SELECT {sql}")
                    found = cursor.fetchone()[0]
            except DataError:
                assert exact > 2**62
                continue
            assert found == sum(exact >= Decimal(str(edge)) for edge in scale.edges), sql


def test_what_is_too_large_for_the_fast_way_is_counted_all_the_same(project):
    things = [Thing(bbox=[1, 1, 1e200, 2], area=Decimal("1e30"), score=Decimal("1e25")), Thing(bbox=[0, 0, 4, 4])]
    store(project, [Picture(things=things)])
    found = measure(Selection(project), METRICS)
    assert [each["count"] for each in found["box_widths"]["bins"] if each["count"]] == [1, 1]
    assert found["box_centres"]["total"] == found["object_areas"]["total"] == 2
    assert found["scores"]["missing"]["count"] == 1


def test_classes_count_images_and_splits(world, figures):
    pictures = world[1]
    bars = {each["label"]: each for each in figures("classes")["bars"]}
    assert set(bars) == set(NAMES)
    assert bars["(odd) *?"]["count"] == 0
    for label, tally in oracle.tallies("classes", pictures).items():
        if label == oracle.MISSING:
            continue
        assert bars[label]["images"] == len(tally.keys)
        parts: dict[str, int] = {}
        for each in pictures:
            if number := sum(t.category is not None and NAMES[t.category] == label for t in each.things):
                parts[each.split] = parts.get(each.split, 0) + number
        assert bars[label]["parts"] == parts


def test_keypoints_tell_visible_from_hidden(project):
    points = [[1, 1, 2, 0, 0, 0], [1, 1, 1, 2, 2, 2]]
    store(project, [Picture(things=[Thing(keypoints=each) for each in points])])
    bars = measure(Selection(project), ["keypoints"])["keypoints"]["bars"]
    assert {each["label"]: each["parts"] for each in bars} == {
        "person: nose": {"not labelled": 0, "hidden": 1, "visible": 1},
        "person: tail": {"not labelled": 1, "hidden": 0, "visible": 1},
    }


def test_a_click_on_a_keypoint_or_on_what_is_missing_in_the_heat_map_selects_it(project):
    """A keypoint is asked for together with its class: a nose of a car is none of a person."""
    points = [1, 1, 2, 0, 0, 0, 3, 3, 1]
    pictures = [
        Picture(things=[Thing(category=0, keypoints=points), Thing(category=1, bbox=[0, 0, 10, 10])]),
        Picture(things=[Thing(category=1, keypoints=points[:3], bbox=[600, 440, 30, 30])]),
        Picture(things=[Thing(category=None, keypoints=points[:6])], width=None),
    ]
    store(project, pictures)
    found = measure(Selection(project), ["keypoints", "box_centres"])

    def selected(q):
        return set(filter_images(ImageAsset.objects.all(), project, q).values_list("pk", flat=True))

    first, second, third = (each.key for each in pictures)
    assert {bar["label"]: selected(bar["q"]) for bar in found["keypoints"]["bars"]} == {
        "person: nose": {first}, "person: tail": {first}, "person: keypoint 3": {first},
        "car: keypoint 1": {second}, ": keypoint 1": {third}, ": keypoint 2": {third},
    }  # fmt: skip
    assert {(cell["x"], cell["y"]): selected(cell["q"]) for cell in found["box_centres"]["cells"]} == {
        (0, 0): {first},
        (30, 30): {second},
    }
    assert selected(found["box_centres"]["missing"]["q"]) == {first, third}


def test_a_keypoint_whose_name_is_empty_or_taken_by_a_number_has_no_query(project):
    store(project, [Picture(things=[Thing(keypoints=[1, 1, 2] * 3)])])
    Category.objects.filter(project=project, name="person").update(meta={"keypoints": ["", "3"]})
    bars = measure(Selection(project), ["keypoints"])["keypoints"]["bars"]
    assert {bar["label"]: bar["q"] for bar in bars} == {
        "person: ": None,
        "person: 3": "has(category:person keypoint.3:*)",
        "person: keypoint 3": None,
    }


def test_days_are_those_of_the_time_zone(project, settings):
    """Midnight in Kathmandu is at 18:15 UTC."""
    settings.TIME_ZONE = "Asia/Kathmandu"
    times = [datetime(2026, 1, 1, 18, 14, 59, 999999, tzinfo=UTC), datetime(2026, 1, 1, 18, 15, tzinfo=UTC)]
    store(project, [Picture(created=each, things=[Thing(created=each)]) for each in times])
    for figures in measure(Selection(project), ["image_activity", "label_activity"]).values():
        assert [(each["day"], each["count"]) for each in figures["lines"][0]["points"]] == [
            ("2026-01-01", 1),
            ("2026-01-02", 1),
        ]


def test_an_empty_project_has_figures(project):
    for name, each in measure(Selection(project), METRICS).items():
        assert each["total"] == 0, name


@pytest.mark.parametrize(
    ("counts", "gini", "entropy", "evenness", "effective", "ratio"),
    [
        ([5, 5, 5, 5], 0, 2, 1, 4, 1),
        ([0, 0, 0, 10], 0.75, 0, 0, 1, 1),
        ([1, 3], 0.25, 0.811278, 0.811278, 1.754765, 3),
        ([7], 0, 0, None, 1, 1),
        ([0, 0], None, None, None, None, None),
        ([], None, None, None, None, None),
    ],
)
def test_imbalance_by_hand(counts, gini, entropy, evenness, effective, ratio):
    found = {each["name"]: each["value"] for each in inequality(counts)}
    assert found["gini"] == (None if gini is None else pytest.approx(gini, abs=1e-5))
    assert found["entropy"] == (None if entropy is None else pytest.approx(entropy, abs=1e-5))
    assert found["evenness"] == (None if evenness is None else pytest.approx(evenness, abs=1e-5))
    assert found["effective"] == (None if effective is None else pytest.approx(effective, abs=1e-5))
    assert found["ratio"] == ratio
    assert found["classes"] == len(counts)


def test_imbalance_counts_the_classes_of_a_project(world, figures):
    found = {each["name"]: each["value"] for each in figures("imbalance")["numbers"]}
    counts = sorted(
        sum(t.category is not None and NAMES[t.category] == name for p in world[1] for t in p.things)
        for name in set(NAMES)
    )
    assert found == {each["name"]: each["value"] for each in inequality(counts)}


numbers = st.one_of(st.none(), st.integers(0, 2**31 - 1), st.sampled_from([127, 128, 640, 1024, 1025]))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(numbers, numbers, numbers), max_size=12))
def test_histograms_count_everything_once(sizes, db):
    from django.db import transaction

    with transaction.atomic():
        project = factories.make_project()
        store(project, [Picture(width=w, height=h, size=s) for w, h, s in sizes])
        names = ["resolution", "megapixels", "aspect_ratios", "annotations_per_image", "file_sizes"]
        for name, figures in measure(Selection(project), names).items():
            counts = [each["count"] for each in figures.get("bins", figures.get("cells"))]
            assert sum(counts) + figures["missing"]["count"] == figures["total"] == len(sizes), name
            bins = figures.get("bins", [])
            assert all(one["high"] == other["low"] for one, other in pairwise(bins))
        transaction.set_rollback(True)


def test_a_query_that_leaves_no_room_gives_bars_without_queries(world, db):
    long = " OR ".join(f"tag:t{number}" for number in range(199))
    found = measure(Selection(world[0], f"-({long})"), ["splits"])["splits"]
    assert found["total"] == len(world[1])
    assert all(each["q"] is None for each in found["bars"])


def test_the_manual_names_every_metric():
    from pathlib import Path

    manual = (Path(__file__).resolve().parents[2] / "docs" / "insights.md").read_text()
    assert [name for name in METRICS if f"`{name}`" not in manual] == []


def test_a_click_on_a_piece_of_a_bar_selects_it(project):
    pictures = [
        Picture("train", things=[Thing(category=0, keypoints=[1, 1, 2, 0, 0, 0])]),
        Picture("val", things=[Thing(category=0, keypoints=[1, 1, 1, 0, 0, 0]), Thing(category=0)]),
    ]
    store(project, pictures)
    found = measure(Selection(project), ["keypoints", "classes"])

    def selected(q):
        return set(filter_images(ImageAsset.objects.all(), project, q).values_list("pk", flat=True))

    first, second = (each.key for each in pictures)
    nose = next(bar for bar in found["keypoints"]["bars"] if bar["label"] == "person: nose")
    assert {name: selected(q) for name, q in nose["part_queries"].items()} == {
        "visible": {first},
        "hidden": {second},
        "not labelled": set(),
    }
    person = next(bar for bar in found["classes"]["bars"] if bar["label"] == "person")
    assert {name: selected(q) for name, q in person["part_queries"].items()} == {"train": {first}, "val": {second}}
