"""What a team needs around its images: members and roles, the audit trail, tokens, and data that lies in storage."""

import csv
import shutil
from pathlib import Path

from django.core.files.storage import default_storage
from playwright.sync_api import expect

from accounts.models import PersonalToken
from annotations import tasks as imports
from annotations.models import ImportJob
from assets.models import ImageAsset
from projects.models import Membership, Role
from tests import factories
from tests.workplace.browsing import staff


def test_a_member_is_taken_in_and_given_another_role(open_as, street):
    newcomer = factories.make_user("nora@example.com", name="Nora New")
    page = open_as(staff(street, Role.MANAGER), f"/admin/projects/membership/add/?project={street.pk}")
    page.locator("#id_email").fill("nora@example.com")
    page.locator("#id_role").select_option("curator")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/membership/")
    member = Membership.objects.get(project=street, user=newcomer)
    assert member.role == Role.CURATOR
    page.get_by_role("link", name="nora@example.com").first.click()
    page.locator("#id_role").select_option("viewer")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/membership/")
    member.refresh_from_db()
    assert member.role == Role.VIEWER


def test_the_audit_trail_is_filtered_and_taken_away(open_as, street):
    page = open_as(street.owner, "/admin/projects/auditlog/?q=import")
    expect(page.get_by_text("import finished")).to_be_visible()
    expect(page.get_by_text("thumbnails started")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        assert [line["action"] for line in csv.DictReader(file)] == ["import.finished", "import.started"]


def test_a_token_that_is_revoked_does_not_work(open_as, curator):
    page = open_as(curator, "/admin/work/tokens")
    page.get_by_label("Name").fill("nightly")
    page.get_by_role("button", name="Make a token").click()
    secret = page.locator("#new-token").inner_text()
    ask = {"headers": {"Authorization": f"Bearer {secret}"}}
    me = page.url.split("/admin/")[0] + "/api/v1/auth/me"
    assert page.request.get(me, **ask).json()["email"] == curator.email
    page.locator("#tokens button").click()
    expect(page.get_by_text("The token is revoked")).to_be_visible()
    assert page.request.get(me, **ask).status == 401
    assert not PersonalToken.objects.filter(user=curator).exists()


def test_a_data_set_that_lies_in_storage_is_imported_by_its_prefix(open_as, street, drawn, curator):
    shutil.copytree(drawn, Path(default_storage.path("incoming/spring")))
    page = open_as(curator, f"/admin/work/{street.pk}/imports")
    page.get_by_text("It lies in storage already").click()
    page.locator("#prefix").fill("incoming/spring")
    page.get_by_role("button", name="Start import").click()
    page.wait_for_url(f"**/{street.pk}/imports/*")
    job = ImportJob.objects.latest("pk")
    imports.run_import(str(job.task_id))
    page.reload()
    expect(page.locator("body")).to_contain_text("succeeded")
    assert job.upload_uri == "incoming/spring/"
    assert ImageAsset.objects.filter(project=street).count() == 48  # the same data set: nothing new
