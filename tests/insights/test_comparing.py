"""Comparison of two selections, counted from stored images: nothing is lost between bars of one name."""

from decimal import Decimal

import pytest

from annotations.models import Category
from insights import comparison
from insights.metrics import METRICS, Selection, measure
from tests.insights.records import Picture, Thing, store

pytestmark = pytest.mark.django_db


def compared(project, a="split:train", b="split:val"):
    return {each.metric: each for each in comparison.compare(project, a, b, wait_ms=60_000)}


def test_a_class_that_is_called_as_what_has_no_value_is_a_bar_of_its_own(project):
    store(
        project,
        [
            Picture("train", things=[Thing(category=0), Thing(category=None), Thing(category=None)]),
            Picture("val", things=[Thing(category=0)]),
        ],
    )
    Category.objects.filter(project=project, name="person").update(name="(no value)")

    found = compared(project)["classes"]

    assert found.distance == pytest.approx(2 / 3)
    assert sorted((each.label, round(each.a, 3), each.b) for each in found.stands_out) == [
        ("(no value)", 0.333, 1.0),
        ("(no value)", 0.667, 0.0),
    ]


def test_bars_of_one_label_are_added_up(project):
    attributes = [{"a: b": "c"}, {"a": "b: c"}]  # both are shown as "a: b: c"
    store(
        project,
        [
            Picture("train", things=[Thing(attributes=each) for each in attributes]),
            Picture("val", things=[Thing(attributes={"other": 1}), Thing(attributes=attributes[0])]),
        ],
    )

    found = compared(project)["attributes"]

    one = next(each for each in found.stands_out if each.label == "a: b: c")
    assert (one.a, one.b, one.q_a) == (1.0, 0.5, None)
    assert found.distance == 0.5


def test_earth_is_moved_over_all_bins_of_the_metric(project):
    """Sides of 2 to 4 px and of 4 to 8 px: one bin apart, of the fifteen that there are."""
    store(
        project,
        [Picture("train", things=[Thing(area=Decimal(9))]), Picture("val", things=[Thing(area=Decimal(25))])],
    )

    found = compared(project)["object_areas"]

    assert len(METRICS["object_areas"].params["edges"]) == 14
    assert (found.distance, found.earth_mover) == (1.0, pytest.approx(1 / 14))


def test_every_bin_begins_at_an_edge_of_its_metric(project):
    sizes = [(2**n, 2**n) for n in range(13)]
    pictures = [
        Picture(width=w, height=h, size=w * 4096, things=[Thing(area=Decimal(w * h), bbox=[0, 0, w, h])] * (w % 9))
        for w, h in sizes
    ]
    store(project, pictures)

    for name, figures in measure(Selection(project), METRICS).items():
        if figures["kind"] == "histogram":
            lows = {each["low"] for each in figures["bins"][1:]} - {None}
            assert lows <= set(METRICS[name].params["edges"]), name


def test_images_with_several_classes_count_once_in_the_total(project):
    store(
        project,
        [
            Picture(things=[Thing(category=0), Thing(category=1), Thing(category=3)]),
            Picture(things=[Thing(category=0), Thing(category=0)]),
            Picture(things=[Thing(category=None)]),
            Picture(),
        ],
    )

    figures = measure(Selection(project), ["co_occurrence"])["co_occurrence"]

    assert figures["total"] == 2
    labels = figures["x"]["labels"]
    assert {(labels[e["x"]], labels[e["y"]]): e["count"] for e in figures["cells"]}["person", "person"] == 2
