"""Insights over HTTP: who may, what is answered, what is refused."""

import csv
import io
from random import Random
from xml.etree import ElementTree

import pytest
from PIL import Image

from annotations.models import Category
from insights import reading
from insights.metrics import METRICS
from insights.models import InsightView, MetricResult
from projects.models import AuditLog
from tests.insights.records import Picture, Thing, at_random, store

CHART = {"metric": "classes", "chart": "bar", "options": {}}


def xml_of(content):
    return ElementTree.fromstring(content)


@pytest.fixture
def base(project):
    store(project, at_random(Random(2), 15))
    return f"/api/v1/projects/{project.pk}/insights"


@pytest.fixture
def view(base, as_curator):
    answer = as_curator.post(
        f"{base}/views", {"name": "Classes", "query": {"q": "split:train"}, "visualization": CHART}
    )
    assert answer.status_code == 201, answer.json()
    return answer.json()


def test_metrics_are_listed_with_their_schemas(base, as_viewer):
    found = as_viewer.get(f"{base}/metrics").json()
    assert [each["name"] for each in found] == list(METRICS)
    assert found[0]["schema"]["properties"]["bars"]
    assert found[0]["charts"] == ["bar", "column", "table"]


def test_a_metric_is_read_for_a_query(base, as_viewer):
    found = as_viewer.get(f"{base}/metrics/classes", {"q": "split:train"}).json()
    assert (found["metric"], found["q"], found["stale"], found["pending"]) == ("classes", "split:train", False, False)
    assert found["figures"]["kind"] == "bars"


def test_the_dashboard_is_one_call(base, as_viewer):
    found = as_viewer.get(f"{base}/dashboard", {"q": "split:val"}).json()
    assert [each["metric"] for each in found["metrics"]] == list(METRICS)
    assert all(each["figures"]["total"] >= 0 for each in found["metrics"])
    assert found["revision"] == 1


@pytest.mark.parametrize("place", ["dashboard", "metrics/tags", "metrics/tags/csv", "compare?b=&a=tag:("])
def test_what_is_no_query_gets_400_with_its_field(place, base, as_viewer):
    answer = as_viewer.get(f"{base}/{place}", {} if "?" in place else {"q": "tag:("})
    assert answer.status_code == 400
    assert answer.json()["fieldErrors"]


def test_an_unknown_metric_gets_404_and_a_hint(base, as_viewer):
    answer = as_viewer.get(f"{base}/metrics/clases")
    assert answer.status_code == 404
    assert "classes" in answer.json()["message"]


def test_figures_that_are_late_are_pending_and_then_stale(base, as_viewer, project, settings):
    settings.METRIC_WAIT_MS = 0
    assert as_viewer.get(f"{base}/metrics/tags").json()["pending"] is True
    assert as_viewer.get(f"{base}/metrics/tags/svg").status_code == 202
    reading.read(project, ["tags"], wait_ms=60_000)
    project.touch()
    late = as_viewer.get(f"{base}/metrics/tags").json()
    assert (late["stale"], late["pending"], late["revision"]) == (True, False, 1)
    assert as_viewer.get(f"{base}/metrics/tags/csv")["X-Stale"] == "true"


# --- Files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_can_be_taken_away_in_every_form(name, base, as_viewer):
    for chart in as_viewer.get(f"{base}/metrics").json()[list(METRICS).index(name)]["charts"]:
        drawn = as_viewer.get(f"{base}/metrics/{name}/svg", {"chart": chart})
        assert drawn["Content-Type"] == "image/svg+xml"
        assert xml_of(drawn.content).tag.endswith("svg")
        assert "default-src 'none'" in drawn["Content-Security-Policy"]
    picture = Image.open(io.BytesIO(as_viewer.get(f"{base}/metrics/{name}/png").content))
    assert picture.format == "PNG"
    assert picture.width == 1920
    text = as_viewer.get(f"{base}/metrics/{name}/csv").content.decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    assert rows
    assert {len(row) for row in rows} == {len(head)}


def test_cells_of_a_csv_are_no_formulas(project, as_viewer):
    store(project, [Picture(tags=["=cmd()", "+1", "-1", "@x", "ok"])])
    answer = as_viewer.get(f"/api/v1/projects/{project.pk}/insights/metrics/tags/csv")
    cells = [cell for row in csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert "'=cmd()" in cells


def test_labels_cannot_break_out_of_an_svg(project, as_viewer):
    store(project, [Picture(tags=["<script>alert(1)</script>", "a\x01b", '"&'], things=[Thing()])])
    drawn = as_viewer.get(f"/api/v1/projects/{project.pk}/insights/metrics/tags/svg").content
    assert b"<script" not in drawn
    assert "<script>alert(1)</script>" in "".join(xml_of(drawn).itertext())


@pytest.mark.parametrize(("chart", "form", "status"), [("heatmap", "svg", 400), ("", "pdf", 404), ("bar", "svg", 200)])
def test_files_that_there_are_not(chart, form, status, base, as_viewer):
    assert as_viewer.get(f"{base}/metrics/tags/{form}", {"chart": chart}).status_code == status


# --- Views ----------------------------------------------------------------------------------------------------------


def test_a_view_is_made_read_changed_and_taken_out(view, base, as_curator, as_viewer, curator, project):
    assert view["saved_by"] == curator.email
    assert view["visualization"] == CHART
    place = f"{base}/views/{view['id']}"
    assert as_viewer.get(f"{base}/views").json()["results"] == [as_viewer.get(place).json()]
    changed = as_curator.patch(place, {"name": "Better", "visualization": {"metric": "tags"}})
    assert changed.json()["name"] == "Better"
    assert changed.json()["visualization"] == {"metric": "tags", "chart": "bar", "options": {}}
    assert as_curator.delete(place).status_code == 204
    assert as_viewer.get(place).status_code == 404
    actions = AuditLog.objects.filter(project=project, action__startswith="view.").order_by("id")
    assert list(actions.values_list("action", flat=True)) == ["view.created", "view.updated", "view.deleted"]


GOOD = {"name": "x", "query": {"q": ""}, "visualization": CHART}
BAD = [
    ({"visualization": {"metric": "nothing"}}, "visualization.metric"),
    ({"visualization": {}}, "visualization.metric"),
    ({"visualization": {"metric": ["tags"]}}, "visualization.metric"),
    ({"visualization": []}, "visualization"),
    ({"visualization": "bar"}, "visualization"),
    ({"visualization": {"metric": "tags", "chart": "heatmap"}}, "visualization.chart"),
    ({"visualization": {"metric": "resolution", "chart": {"a": 1}}}, "visualization.chart"),
    ({"visualization": {**CHART, "options": []}}, "visualization.options"),
    ({"visualization": {**CHART, "options": {"limit": 0}}}, "visualization.options.limit"),
    ({"visualization": {**CHART, "options": {"limit": True}}}, "visualization.options.limit"),
    ({"visualization": {**CHART, "options": {"log": 1}}}, "visualization.options.log"),
    ({"visualization": {**CHART, "options": {"title": "x" * 201}}}, "visualization.options.title"),
    ({"visualization": {**CHART, "options": {"color": "red"}}}, "visualization.options.color"),
    ({"visualization": {**CHART, "colour": "red"}}, "visualization.colour"),
    ({"query": {"q": "tag:("}}, "query.q"),
    ({"query": {"q": "category:unicorn"}}, "query.q"),
    ({"query": {"q": "has(category:(person OR unicorn))"}}, "query.q"),
    ({"query": {"q": 3}}, "query"),
    ({"query": {"text": ""}}, "query"),
    ({"query": []}, "query"),
    ({"name": "  "}, "name"),
    ({"name": "x" * 201}, "name"),
]


@pytest.mark.parametrize(("part", "field"), BAD, ids=lambda part: str(part)[:60])
def test_a_bad_view_is_refused_with_its_field(part, field, base, as_curator, view):
    for answer in (
        as_curator.post(f"{base}/views", {**GOOD, **part}),
        as_curator.patch(f"{base}/views/{view['id']}", part),
    ):
        assert answer.status_code == 400, answer.json()
        assert field in answer.json()["fieldErrors"]
    assert InsightView.objects.count() == 1


def test_all_faults_are_told_at_once(base, as_curator):
    answer = as_curator.post(f"{base}/views", {"name": "x", "query": {"q": "("}, "visualization": {"metric": "no"}})
    assert set(answer.json()["fieldErrors"]) == {"query.q", "visualization.metric"}


def test_a_category_of_another_project_is_foreign(base, as_curator, stranger):
    elsewhere = stranger.owned_projects.get()
    Category.objects.create(project=elsewhere, coco_id=1, name="unicorn")
    answer = as_curator.post(f"{base}/views", {**GOOD, "query": {"q": "category:unicorn"}})
    assert answer.json()["fieldErrors"]["query.q"] == ["This project has no category 'unicorn'."]


@pytest.mark.parametrize(
    ("q", "told"),
    [
        ("category!=persn", "This project has no category 'persn': did you mean person?"),
        ("category:zz*", "No category of this project fits 'zz*'."),
        ("supercategory:zzz", "This project has no supercategory 'zzz'."),
        ("tag:a OR has(-category:(person OR zzz))", "This project has no category 'zzz'."),
    ],
)
def test_a_view_names_no_category_that_there_is_not(q, told, base, as_curator):
    answer = as_curator.post(f"{base}/views", {**GOOD, "query": {"q": q}})
    assert (answer.status_code, answer.json()["fieldErrors"]) == (400, {"query.q": [told]})


@pytest.mark.parametrize("q", ["category!=person", "category:P*", "category:*", "supercategory:vehicle"])
def test_a_view_may_name_what_there_is_in_any_way(q, base, as_curator):
    assert as_curator.post(f"{base}/views", {**GOOD, "query": {"q": q}}).status_code == 201


def test_a_tip_tells_shares_as_shares(project, as_viewer):
    things = [Thing(category=0)] * 3 + [Thing(category=3)]
    store(project, [Picture("train", things=things), Picture("val", things=things[:1])])
    base = f"/api/v1/projects/{project.pk}/insights"

    def tips(options):
        view = InsightView.objects.create(
            project=project, saved_by=project.owner, name=str(options), shared=True, query={"q": ""},
            visualization={"metric": "classes", "chart": "bar", "options": options},
        )  # fmt: skip
        drawn = xml_of(as_viewer.get(f"{base}/views/{view.pk}/file/svg").content)
        return {each.text for each in drawn.iter() if each.tag.endswith("title")}

    assert "person, train: 3 annotations" in tips({})
    assert "person, train: 60 %" in tips({"percent": True})


def test_one_name_is_one_view_of_a_person(view, base, as_curator, as_manager):
    again = as_curator.post(f"{base}/views", {**GOOD, "name": "Classes"})
    assert again.status_code == 409
    assert again.json()["fieldErrors"]["name"]
    assert as_manager.post(f"{base}/views", {**GOOD, "name": "Classes"}).status_code == 201


def test_a_private_view_is_there_for_its_owner_only(view, base, as_curator, as_manager):
    place = f"{base}/views/{view['id']}"
    assert as_manager.patch(place, {"shared": False}).status_code == 403
    assert as_curator.patch(place, {"shared": False}).status_code == 200
    assert as_manager.get(place).status_code == 404
    assert as_manager.delete(place).status_code == 404
    assert as_manager.post(f"{place}/duplicate", {}).status_code == 404
    assert as_manager.get(f"{base}/views").json()["results"] == []
    assert as_curator.get(place).status_code == 200


def test_curators_do_not_delete_what_others_share(view, base, as_owner, api, project):
    from projects.models import Role
    from tests import factories

    other = factories.join(project, role=Role.CURATOR).user
    place = f"{base}/views/{view['id']}"
    assert api(other).patch(place, {"name": "Ours"}).status_code == 200
    assert api(other).delete(place).status_code == 403
    assert as_owner.delete(place).status_code == 204


def test_a_copy_is_ones_own_and_private(view, base, as_curator, as_manager, manager):
    copy = as_manager.post(f"{base}/views/{view['id']}/duplicate", {})
    assert copy.status_code == 201
    assert (copy.json()["name"], copy.json()["shared"], copy.json()["saved_by"]) == (
        "Classes (copy)",
        False,
        manager.email,
    )
    assert as_manager.post(f"{base}/views/{view['id']}/duplicate", {}).json()["name"] == "Classes (copy 2)"
    assert as_curator.post(f"{base}/views/{view['id']}/duplicate", {"name": "Classes"}).status_code == 409


def test_pinned_views_stand_first(view, base, as_curator):
    later = as_curator.post(f"{base}/views", GOOD).json()
    assert as_curator.post(f"{base}/views/{view['id']}/pin").json()["pinned"] is True
    assert [each["id"] for each in as_curator.get(f"{base}/views").json()["results"]] == [view["id"], later["id"]]
    assert as_curator.post(f"{base}/views/{view['id']}/unpin").json()["pinned"] is False
    assert [each["id"] for each in as_curator.get(f"{base}/views").json()["results"]] == [later["id"], view["id"]]


def test_the_data_of_a_view_is_ready_to_be_drawn(view, base, as_viewer):
    found = as_viewer.get(f"{base}/views/{view['id']}/data").json()
    assert found["reading"]["q"] == "split:train"
    assert found["plot"]["labels"] == [each["label"] for each in found["reading"]["figures"]["bars"]]
    assert (
        sum(found["plot"]["series"][0]["values"]) + found["reading"]["figures"]["missing"]["count"]
        == (found["reading"]["figures"]["total"])
    )
    for form in ("csv", "svg", "png"):
        assert as_viewer.get(f"{base}/views/{view['id']}/file/{form}").status_code == 200


def test_shares_and_limits_are_obeyed(base, as_curator):
    drawing = {"metric": "origin", "options": {"percent": True, "limit": 1, "title": "Who"}}
    made = as_curator.post(f"{base}/views", {**GOOD, "visualization": drawing}).json()
    plot = as_curator.get(f"{base}/views/{made['id']}/data").json()["plot"]
    assert plot["title"] == "Who"
    assert len(plot["labels"]) == 1
    assert 50 <= plot["series"][0]["values"][0] <= 100


def test_views_go_with_their_project_and_figures_too(view, project, base, as_viewer):
    as_viewer.get(f"{base}/dashboard")
    assert MetricResult.objects.filter(project=project).count() == len(METRICS)
    project.delete()
    assert not MetricResult.objects.exists()


# --- Comparison -----------------------------------------------------------------------------------------------------


def test_two_splits_are_compared(project, as_viewer):
    small, large = {"width": 640, "height": 480}, {"width": 1920, "height": 1080}
    store(
        project,
        [Picture(split="train", **small, things=[Thing(category=0)]) for _ in range(3)]
        + [Picture(split="val", **large, things=[Thing(category=0)])],
    )
    url = f"/api/v1/projects/{project.pk}/insights/compare"
    found = as_viewer.get(url, {"a": "split:train", "b": "split:val"}).json()["metrics"]
    by_name = {each["metric"]: each for each in found}
    assert by_name["resolution"]["distance"] == 1
    assert by_name["classes"]["distance"] == 0
    assert by_name["classes"]["stands_out"] == []
    assert by_name["tags"]["distance"] == 0
    difference = by_name["resolution"]["stands_out"][0]
    assert difference["q_a"] is None or difference["q_b"] is None
    known = [each["distance"] for each in found if each["distance"] is not None]
    assert known == sorted(known, reverse=True)
    assert all(each["distance"] is None for each in found[len(known) :]), "what cannot be compared comes last"
    same = as_viewer.get(url, {"a": "split:train", "b": "split:train"}).json()["metrics"]
    assert {each["distance"] for each in same} <= {0, None}
    assert {each["distance"] for each in as_viewer.get(url, {"a": "", "b": "tag:no"}).json()["metrics"]} == {None}
    assert set(as_viewer.get(url).json()["fieldErrors"]) == {"a", "b"}


def test_a_stale_change_of_a_view_is_refused(base, view, as_curator, as_owner):
    one = f"{base}/views/{view['id']}"
    seen = as_curator.get(one)["ETag"]
    assert as_curator.get(one, HTTP_IF_NONE_MATCH=seen).status_code == 304
    newer = as_owner.patch(one, {"name": "Other"}, HTTP_IF_MATCH=seen)
    assert newer.status_code == 200
    assert as_curator.patch(one, {"name": "Mine"}, HTTP_IF_MATCH=seen).status_code == 412
    assert as_curator.post(f"{one}/pin", HTTP_IF_MATCH=seen).status_code == 412
    assert as_curator.delete(one, HTTP_IF_MATCH=seen).status_code == 412
    assert InsightView.objects.get().name == "Other"
    assert as_curator.delete(one, HTTP_IF_MATCH=newer["ETag"]).status_code == 204
