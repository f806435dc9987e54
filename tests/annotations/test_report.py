"""The report of an import."""

import io
import json

import pytest

from annotations.coco.problems import Action, Problem
from annotations.report import EXAMPLES, Report


def problem(code="code", action=Action.KEPT, path="$.images[0]", **more):
    """A problem with the least that it needs."""
    return Problem(code, action, path, more.pop("message", "Told."), **more)


@pytest.fixture
def report():
    """An empty report."""
    report = Report()
    yield report
    report.close()


def written(report, head=None):
    """The report as it is stored, parsed."""
    target = io.BytesIO()
    report.write(target, head or {})
    return json.loads(target.getvalue())


def test_report_without_problems_is_written(report):
    assert written(report, {"status": "succeeded"}) == {
        "status": "succeeded", "totals": {}, "by_code": [], "problems": [],
    }  # fmt: skip


def test_every_problem_is_written_and_counted(report):
    for number in range(20):
        report(problem("a", Action.KEPT, f"$.images[{number}]"))
    report(problem("b", Action.QUARANTINED, raw="{}", fix="Do."))
    report(problem("c", Action.REPAIRED))

    found = written(report)

    assert found["totals"] == {"kept": 20, "quarantined": 1, "repaired": 1}
    assert len(found["problems"]) == 22
    assert found["problems"][20]["raw"] == "{}"
    assert [(row["code"], row["count"], len(row["examples"])) for row in found["by_code"]] == [
        ("b", 1, 1), ("c", 1, 1), ("a", 20, EXAMPLES),
    ]  # fmt: skip
    assert (report.quarantined, report.repaired) == (1, 1)


def test_examples_are_of_what_was_done(report):
    report(problem("width_invalid", Action.KEPT, "$.images[0]"))
    report(problem("width_invalid", Action.QUARANTINED, "$.images[1]"))

    rows = report.table()

    assert [(row["action"], row["examples"][0]["path"]) for row in rows] == [
        ("quarantined", "$.images[1]"), ("kept", "$.images[0]"),
    ]  # fmt: skip


def test_report_may_be_written_twice_and_go_on(report):
    report(problem())
    assert len(written(report)["problems"]) == 1
    report(problem())

    assert len(written(report)["problems"]) == 2


def test_label_names_the_file(report):
    report.labelled("val.json")(problem(path="$.images[3]"))
    report.labelled("")(problem(path="$.images[4]"))

    assert [line["path"] for line in written(report)["problems"]] == ["val.json: $.images[3]", "$.images[4]"]


def test_name_of_a_file_that_is_no_text_is_told_all_the_same(report):
    report(problem(path=b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), message="이미지"))

    (line,) = written(report)["problems"]
    assert line["path"] == r"caf\udce9.jpg"
    assert line["message"] == "이미지"


def test_many_problems_are_not_held_in_memory(report):
    for _ in range(20_000):
        report(problem())

    assert report._spool._rolled
    assert len(report.examples["code", "kept"]) == EXAMPLES
