"""Insights in the workplace: charts of any query that lead to the images, comparisons, saved views, files."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotations.models import Annotation, Category, ImportJob
from annotations.predictions import import_predictions
from annotations.report import Report
from cocohub.workplace import chart_kinds, charts, metric_words
from insights import refreshing
from insights.metrics import METRICS
from insights.models import InsightView, MetricResult
from projects.models import AuditLog, Project, Role
from tests import factories
from tests.workplace.browsing import browser_of, staff

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Nobody is asked to count what is late."""
    monkeypatch.setattr(refreshing, "request", lambda project: None)


def cards(answer) -> dict:
    return {card["name"]: card for _, _, group in answer.context_data["groups"] for card in group}


def test_charts_of_no_images_say_how_to_begin(by_curator, project, work):
    page = by_curator.get(work("insights")).content.decode()
    assert "No images yet" in page
    assert f'href="{work("imports")}">Import</a></p>' in page
    assert 'id="charts"' not in page


def test_every_metric_has_a_chart(by_curator, images, work):
    answer = by_curator.get(work("insights/charts"))
    assert cards(answer).keys() == METRICS.keys()
    assert all(card["chart"] is not None for card in cards(answer).values())
    assert "X-Waiting" not in answer


def test_a_bar_leads_to_the_images_that_it_counts(by_curator, images, work):
    chart = cards(by_curator.get(work("insights/charts")))["classes"]["chart"]
    row = next(row for row in chart.rows if row.label == "car")
    assert row.link.endswith("/images?q=category%3Acar")
    page = by_curator.get(row.link)
    assert [card["name"] for card in page.context["shown"]] == ["a.jpg"]


def test_charts_are_of_the_query(by_curator, images, work):
    found = cards(by_curator.get(work("insights/charts"), {"q": "category:car"}))
    assert found["splits"]["chart"].total == "1"
    queries = [row.link.partition("?")[2] for row in found["splits"]["chart"].rows]
    assert queries == ["q=category%3Acar%20split%3Atrain"]


def test_a_mistake_in_the_query_is_marked(by_curator, images, work):
    assert "<mark>widht</mark>" in by_curator.get(work("insights"), {"q": "widht>3"}).content.decode()
    answer = by_curator.get(work("insights/charts"), {"q": "widht>3"})
    assert (answer.status_code, answer.json()["detail"]["column"]) == (400, 1)


def test_figures_that_are_behind_are_marked_and_asked_for_again(by_curator, project, images, work, settings):
    by_curator.get(work("insights/charts"))
    Project.objects.filter(pk=project.pk).update(revision=project.revision + 5)
    settings.METRIC_WAIT_MS = 0
    answer = by_curator.get(work("insights/charts"))
    assert answer["X-Waiting"] == "1"
    assert answer.content.decode().count("data-stale") == len(METRICS)
    MetricResult.objects.all().delete()
    answer = by_curator.get(work("insights/charts"))
    assert (answer["X-Waiting"], "Being counted" in answer.content.decode()) == ("1", True)


def test_two_splits_are_compared(by_curator, images, work):
    assert (
        'value="split:val"' in by_curator.get(work("insights"), {"a": "split:train", "b": "split:val"}).content.decode()
    )
    answer = by_curator.get(work("insights/charts"), {"a": "split:train", "b": "split:val"})
    found = {card["name"]: card for card in answer.context_data["cards"]}
    compared = found["classes"]["compared"]
    assert compared.distance is not None
    rows = found["classes"]["chart"].rows
    assert {part.color for row in rows for part in row.parts} == {0, 1}
    links = [row.link for row in rows if row.link]
    assert any("split%3Atrain" in link for link in links)
    distances = [card["compared"].distance or 0 for card in answer.context_data["cards"]]
    assert distances == sorted(distances, reverse=True)


@pytest.mark.parametrize(("form", "start"), [("csv", b"\xef\xbb\xbflabel"), ("svg", b"<svg"), ("png", b"\x89PNG")])
def test_a_chart_is_taken_away_as_a_file(by_curator, images, work, form, start):
    answer = by_curator.get(work(f"insights/classes.{form}"), {"q": "split:train"})
    assert answer.status_code == 200
    assert answer.content.startswith(start)
    assert "attachment" in answer["Content-Disposition"]


def test_there_are_no_other_files(by_curator, images, work):
    assert by_curator.get(work("insights/classes.exe")).status_code == 404
    assert by_curator.get(work("insights/nothing.csv")).status_code == 404
    assert by_curator.get(work("insights/classes.csv"), {"q": "widht>3"}).status_code == 400


def test_a_chart_is_saved_pinned_and_deleted(by_curator, project, images, work):
    form = {"metric": "classes", "chart": "bar", "q": "split:train", "name": "Train", "shared": "1"}
    answer = by_curator.post(work("insights/views"), form)
    assert answer["Location"] == work("insights?q=split%3Atrain")
    view = InsightView.objects.get()
    assert (view.name, view.query, view.pinned) == ("Train", {"q": "split:train"}, False)
    by_curator.post(work(f"insights/views/{view.pk}/pin"))
    answer = by_curator.get(work("insights/charts"))
    assert [card["title"] for card in answer.context_data["pinned"]] == ["Train"]
    by_curator.post(work(f"insights/views/{view.pk}/unpin"))
    assert by_curator.get(work("insights/charts")).context_data["pinned"] == []
    by_curator.post(work(f"insights/views/{view.pk}/delete"))
    assert not InsightView.objects.exists()
    actions = ["view.created", "view.pinned", "view.unpinned", "view.deleted"]
    lines = AuditLog.objects.filter(project=project, action__in=actions, door="admin").order_by("id")
    assert list(lines.values_list("action", flat=True)) == actions


def test_a_view_that_makes_no_sense_is_refused_in_words(by_curator, images, work):
    for form in (
        {"metric": "nothing", "name": "x"},
        {"metric": "classes", "name": " "},
        {"metric": "classes", "name": "x", "q": "a:("},
    ):
        page = by_curator.post(work("insights/views"), form, follow=True)
        assert not InsightView.objects.exists()
        assert page.context["messages"]


def test_viewers_look_and_save_nothing(project, images, work):
    client = browser_of(staff(project, Role.VIEWER))
    page = client.get(work("insights/charts"))
    assert (page.status_code, "data-save" in page.content.decode()) == (200, False)
    assert client.post(work("insights/views"), {"metric": "classes", "name": "x"}).status_code == 403
    view = InsightView.objects.create(project=project, name="v", visualization={"metric": "classes"})
    for what in ("pin", "delete"):
        assert client.post(work(f"insights/views/{view.pk}/{what}")).status_code == 403
    assert InsightView.objects.filter(pinned=False).exists()


def test_strangers_find_no_insights(project, images, work):
    client = browser_of(staff(factories.make_project(), Role.MANAGER))
    for page in ("insights", "insights/charts", "insights/classes.csv"):
        assert client.get(work(page)).status_code == 404
    assert client.post(work("insights/views"), {"metric": "classes", "name": "x"}).status_code == 404


def test_the_private_views_of_others_are_not_there(by_curator, project, images, work):
    other = factories.make_user()
    view = InsightView.objects.create(
        project=project, name="Secret", saved_by=other, shared=False, visualization={"metric": "classes"}
    )
    assert "Secret" not in by_curator.get(work("insights")).content.decode()
    assert by_curator.post(work(f"insights/views/{view.pk}/pin")).status_code == 404


def test_names_are_text_and_never_markup(by_curator, project, images, work):
    Category.objects.filter(name="car").update(name=EVIL)
    Project.objects.filter(pk=project.pk).update(revision=project.revision + 1)
    InsightView.objects.create(
        project=project, name=EVIL, pinned=True, query={"q": ""}, visualization={"metric": "classes"}
    )
    for page in ("insights", "insights/charts", "insights/charts?a=&b=split:val"):
        assert "<img src=x" not in by_curator.get(work(page)).content.decode()


def test_the_page_costs_the_same_however_many_views(by_curator, project, images, work):
    with CaptureQueriesContext(connection) as few:
        by_curator.get(work("insights"))
    for number in range(20):
        InsightView.objects.create(project=project, name=f"v{number}", visualization={"metric": "classes"})
    with CaptureQueriesContext(connection) as many:
        by_curator.get(work("insights"))
    assert len(many) == len(few) <= 10


def test_figures_at_hand_cost_few_queries(by_curator, images, work, django_assert_max_num_queries):
    by_curator.get(work("insights/charts"))
    with django_assert_max_num_queries(8):
        by_curator.get(work("insights/charts"))


def test_a_metric_that_nobody_has_named_is_shown_all_the_same(monkeypatch):
    metric = METRICS["classes"]
    monkeypatch.setitem(METRICS, "brand_new", metric)
    assert metric_words.title("brand_new") == metric.title
    assert metric_words.groups()[-1][2] == ["brand_new"]


def test_lines_run_from_the_first_day_to_the_last():
    points = [{"day": f"2026-01-0{day}", "count": day, "q": None} for day in (1, 2, 4)]
    figures = {"kind": "series", "unit": "images", "total": 7, "lines": [{"name": "created", "points": points}]}
    chart = charts.chart("image_activity", figures, "/images")
    assert chart.curves[0].points == "0.00,75.00 50.00,50.00 100.00,0.00"
    assert [dot.link for dot in chart.curves[0].dots] == ["", "", ""]


# --- Predictions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def predicted(project, images, tmp_path):
    """Predictions of the cars of `images`, each where it is."""
    cars = Annotation.objects.filter(project=project, category__name="car", bbox__isnull=False)
    found = [
        {"image_id": row.image.coco_id, "category_id": row.category.coco_id, "bbox": row.bbox, "score": 0.9}
        for row in cars.select_related("image", "category")
    ]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found))
    import_predictions(project=project, path=path, source="yolo", split="train", report=Report())
    task = factories.make_task(project)
    ImportJob.objects.create(project=project, task=task, what=ImportJob.What.PREDICTIONS, source="yolo")
    return found


def test_predictions_are_judged_against_people(by_curator, predicted, work):
    assert by_curator.get(work("insights")).context["sources"] == ["yolo"]
    answer = by_curator.get(work("insights/predictions"), {"source": "yolo"})
    assert "X-Waiting" not in answer
    boxes = next(card for card in answer.context_data["cards"] if card["title"] == "boxes")
    car = next(row for row in [*boxes["chart"].rows, *boxes["chart"].more] if row.label == "car")
    assert car.number == "1.000"
    assert "category%3Acar" in car.link
    assert answer.context_data["mistakes"]["false_positives"] == 0


def test_predictions_of_nobody_are_refused(project, by_curator, images, work):
    assert by_curator.get(work("insights/predictions"), {"source": "nobody"}).status_code == 404
    assert by_curator.get(work("insights/predictions")).status_code == 400
    stranger = browser_of(staff(factories.make_project(), Role.MANAGER))
    assert stranger.get(work("insights/predictions"), {"source": "yolo"}).status_code == 404


def test_a_pinned_view_is_drawn_as_it_was_kept(by_curator, project, images, curator, work):
    options = {"limit": 1, "percent": True, "title": "Who is there"}
    InsightView.objects.create(
        project=project, saved_by=curator, name="One", shared=True, pinned=True, query={"q": ""},
        visualization={"metric": "classes", "chart": "bar", "options": options},
    )  # fmt: skip

    answer = by_curator.get(work("insights/charts"))

    [card] = answer.context_data["pinned"]
    assert (card["title"], card["under"]) == ("One", "Who is there")
    assert (len(card["chart"].rows), card["chart"].more) == (1, [])
    assert card["chart"].rows[0].number.endswith(" %")


@pytest.mark.parametrize(("log", "shares"), [(False, [100, 10, 1]), (True, [100, 52, 15])])
def test_a_logarithmic_chart_shows_small_bars(log, shares):
    bars = [{"label": str(n), "count": n, "q": None} for n in (100, 10, 1)]
    figures = {"kind": "bars", "unit": "images", "total": 111, "bars": bars, "other": 0}
    drawn = chart_kinds.chart("tags", figures, "/images", "bar", {"log": log})
    assert [round(row.parts[0].width) for row in drawn.rows] == shares
