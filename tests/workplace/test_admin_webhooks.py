"""Webhooks in the workplace."""

import pytest

from projects.models import Role
from tests.webhooks.receiver import listening
from tests.workplace.browsing import browser_of, staff
from webhooks import sending
from webhooks.models import Delivery, Webhook


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    with listening() as found:
        yield found


@pytest.fixture
def by_manager(project):
    return browser_of(staff(project, Role.MANAGER))


@pytest.fixture
def page(project):
    return f"/admin/work/{project.pk}/webhooks"


def test_a_webhook_is_made_tried_out_and_deleted(by_manager, page, receiver, project):
    form = {"url": receiver.url, "events": ["import.succeeded", "export.failed"]}
    answer = by_manager.post(page, form)
    webhook = Webhook.objects.get()
    assert (answer.status_code, answer.context_data["secret"] in answer.content.decode()) == (200, True)
    assert webhook.events == ["import.succeeded", "export.failed"]
    assert "whsec_" not in by_manager.get(page).content.decode()

    by_manager.post(f"{page}/{webhook.pk}/test")
    delivery = Delivery.objects.get()
    sending.deliver(delivery.pk)
    text = by_manager.get(page).content.decode()
    assert "204 ·" in text
    by_manager.post(f"{page}/{webhook.pk}/deliveries/{delivery.pk}")
    delivery.refresh_from_db()
    assert delivery.status == "waiting"

    by_manager.post(f"{page}/{webhook.pk}/deactivate")
    assert Webhook.objects.get().active is False
    assert by_manager.post(f"{page}/{webhook.pk}/test", follow=True).content.decode().count("not active") == 1
    by_manager.post(f"{page}/{webhook.pk}/activate")
    before = Webhook.objects.get().secret_sealed
    assert by_manager.post(f"{page}/{webhook.pk}/secret").context_data["secret"].startswith("whsec_")
    assert Webhook.objects.get().secret_sealed != before
    by_manager.post(f"{page}/{webhook.pk}/delete")
    assert not Webhook.objects.exists()


def test_what_will_not_do_is_told_and_kept_in_the_form(by_manager, page, receiver):
    answer = by_manager.post(page, {"url": "https://elsewhere.example", "events": ["import.failed"]})
    assert answer.status_code == 400
    assert "is not among those that this installation allows" in answer.content.decode()
    assert 'value="https://elsewhere.example"' in answer.content.decode()
    assert by_manager.post(page, {"url": receiver.url}).status_code == 400
    assert not Webhook.objects.exists()


def test_without_allowed_hosts_the_page_says_so(by_manager, page, settings):
    settings.WEBHOOK_ALLOWED_HOSTS = []
    text = by_manager.get(page).content.decode()
    assert ("WEBHOOK_ALLOWED_HOSTS" in text, "new-webhook" in text) == (True, False)


@pytest.mark.parametrize("role", [Role.CURATOR, Role.VIEWER])
def test_the_page_is_for_managers(project, page, role):
    client = browser_of(staff(project, role))
    assert client.get(page).status_code == 403
    assert page not in client.get(f"/admin/work/{project.pk}/images").content.decode()


def test_there_is_nothing_else_to_do_and_nothing_of_others(by_manager, page, receiver, project, stranger):
    foreign = Webhook.objects.create(
        project=stranger.owned_projects.get(), url=receiver.url, events=["import.failed"], secret_sealed="x"
    )
    for address in (f"{page}/{foreign.pk}/delete", f"{page}/{foreign.pk}/explode"):
        assert by_manager.post(address).status_code == 404
    assert Webhook.objects.filter(pk=foreign.pk).exists()
