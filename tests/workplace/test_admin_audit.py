"""The audit log as a file: what the list shows, for whoever may see it."""

import re

from projects import audit
from projects.models import Role
from tests import factories
from tests.workplace.browsing import browser_of, staff


def test_the_audit_log_is_a_file_as_it_is_filtered(project):
    manager = staff(project, Role.MANAGER)
    other = factories.make_project()
    for each, action in ((project, "assets.updated"), (project, "member.added"), (other, "assets.updated")):
        audit.record(each.owner, each, action)
    client = browser_of(manager)
    page = client.get(f"/admin/projects/auditlog/?project={project.pk}&q=assets").content.decode()
    link = re.search(r'id="csv-of-list" href="([^"]+)"', page)[1].replace("&amp;", "&")
    assert link == f"/admin/projects/auditlog/csv?project={project.pk}&q=assets"
    answer = client.get(link)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert [line.split(",")[2] for line in lines] == ["action", "assets.updated"]
    assert project.name in lines[1]


def test_the_audit_log_as_a_file_is_for_managers(project):
    for user in (staff(project, Role.CURATOR), staff(None, None)):
        assert browser_of(user).get("/admin/projects/auditlog/csv").status_code == 403
    assert browser_of(None).get("/admin/projects/auditlog/csv").status_code == 302


def test_a_filter_that_there_is_not_leads_back_to_the_list(project):
    answer = browser_of(staff(project, Role.MANAGER)).get("/admin/projects/auditlog/csv?created_at__gte=x")
    assert answer["Location"].startswith("/admin/projects/auditlog/")
