"""Webhooks over the API: managers make, change, try out and follow them."""

import pytest

from projects.models import AuditLog
from webhooks import sending
from webhooks.models import Delivery, Webhook

GOOD = ["import.succeeded", "export.failed"]


@pytest.fixture
def base(project):
    return f"/api/v1/projects/{project.pk}/webhooks"


def test_a_webhook_is_made_and_its_secret_shown_once(base, as_manager, receiver, project, manager):
    answer = as_manager.post(base, {"url": receiver.url, "events": list(reversed(GOOD))})

    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["active"], made["failing_since"]) == (GOOD, True, None)
    assert made["secret"] not in Webhook.objects.get().secret_sealed
    again = as_manager.get(f"{base}/{made['id']}").json()
    assert "secret" not in again
    assert as_manager.get(base).json()["results"] == [again]
    line = AuditLog.objects.get(action="webhook.created")
    assert (line.user, line.project, line.detail["url"]) == (manager, project, receiver.url)
    assert made["secret"] not in str(line.detail)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://example.org/", "is not among those"),
        ("ftp://127.0.0.1/", "xpected http"),
        ("http://me:secret@127.0.0.1/", "user name or password"),
        ("http://127.0.0.1/?a=b", "query"),
        ("nonsense", "xpected http"),
        ("http://127.0.0.1/" + "x" * 600, "characters"),
    ],
)
def test_an_address_that_will_not_do_is_refused(base, as_manager, receiver, url, told):
    answer = as_manager.post(base, {"url": url, "events": GOOD})
    assert answer.status_code == 400
    assert told in answer.json()["fieldErrors"]["url"][0]
    assert not Webhook.objects.exists()


def test_without_allowed_hosts_there_are_no_webhooks(base, as_manager, settings):
    settings.WEBHOOK_ALLOWED_HOSTS = []
    answer = as_manager.post(base, {"url": "https://hooks.example.org", "events": GOOD})
    assert "WEBHOOK_ALLOWED_HOSTS" in answer.json()["fieldErrors"]["url"][0]


@pytest.mark.parametrize("events", [[], ["import.done"], "import.succeeded", None])
def test_events_that_there_are_not_are_refused(base, as_manager, receiver, events):
    answer = as_manager.post(base, {"url": receiver.url, "events": events})
    assert answer.status_code == 400
    assert any(name.startswith("events") for name in answer.json()["fieldErrors"])


def test_there_are_only_so_many(base, as_manager, receiver, monkeypatch):
    monkeypatch.setattr("webhooks.services.MAX_WEBHOOKS", 1)
    assert as_manager.post(base, {"url": receiver.url, "events": GOOD}).status_code == 201
    assert as_manager.post(base, {"url": receiver.url, "events": GOOD}).status_code == 409


def test_a_webhook_is_changed_and_taken_away(base, as_manager, webhook):
    Webhook.objects.update(active=False, gave_up="for a reason")
    changed = as_manager.patch(f"{base}/{webhook.pk}", {"active": True, "events": ["bulk_edit.failed"]}).json()
    assert (changed["active"], changed["gave_up"], changed["events"]) == (True, "", ["bulk_edit.failed"])
    assert AuditLog.objects.get(action="webhook.changed").detail["active"] is True
    assert as_manager.patch(f"{base}/{webhook.pk}", {"url": "http://example.org"}).status_code == 400
    assert as_manager.delete(f"{base}/{webhook.pk}").status_code == 204
    assert not Webhook.objects.exists()
    assert AuditLog.objects.filter(action="webhook.deleted").count() == 1


def test_a_new_secret_signs_from_then_on(base, as_manager, made):
    webhook, first = made
    secret = as_manager.post(f"{base}/{webhook.pk}/secret").json()["secret"]
    before = webhook.secret_sealed
    webhook.refresh_from_db()
    assert secret.startswith("whsec_")
    assert (secret != first, webhook.secret_sealed != before) == (True, True)


def test_a_secret_is_not_kept_for_a_repeated_call(base, as_manager, receiver):
    given = {"url": receiver.url, "events": GOOD}
    first = as_manager.post(base, given, HTTP_IDEMPOTENCY_KEY="one")
    again = as_manager.post(base, given, HTTP_IDEMPOTENCY_KEY="one")
    assert first.status_code == 201
    assert first.json()["secret"] not in again.content.decode()
    assert Webhook.objects.count() == 1


def test_a_test_is_sent_followed_and_sent_again(base, as_manager, webhook, receiver):
    begun = as_manager.post(f"{base}/{webhook.pk}/test")
    assert begun.status_code == 202
    delivery = begun.json()
    assert (delivery["event"], delivery["status"], delivery["body"]["type"]) == (
        "webhook.test",
        "waiting",
        "webhook.test",
    )
    assert as_manager.post(f"{base}/{webhook.pk}/deliveries/{delivery['id']}/redeliver").status_code == 409
    sending.deliver(delivery["id"])
    [listed] = as_manager.get(f"{base}/{webhook.pk}/deliveries").json()["results"]
    assert (listed["status"], listed["answered"], listed["attempts"]) == ("delivered", 204, 1)
    again = as_manager.post(f"{base}/{webhook.pk}/deliveries/{delivery['id']}/redeliver")
    assert (again.status_code, again.json()["status"]) == (202, "waiting")
    sending.deliver(delivery["id"])
    assert [headers["webhook-id"] for headers, _ in receiver.came] == [delivery["id"]] * 2
    assert receiver.came[0][1] == receiver.came[1][1]


def test_an_inactive_webhook_is_not_tried_out(base, as_manager, webhook):
    Webhook.objects.update(active=False)
    assert as_manager.post(f"{base}/{webhook.pk}/test").status_code == 409
    assert not Delivery.objects.exists()


def test_webhooks_are_for_managers(base, as_curator, as_viewer, as_stranger, webhook):
    for caller, status in ((as_curator, 403), (as_viewer, 403), (as_stranger, 404)):
        for place in ("", f"/{webhook.pk}", f"/{webhook.pk}/deliveries"):
            assert caller.get(f"{base}{place}").status_code == status


def test_a_webhook_of_another_project_is_not_there(as_stranger, stranger, webhook):
    elsewhere = f"/api/v1/projects/{stranger.owned_projects.get().pk}/webhooks/{webhook.pk}"
    for call in (
        as_stranger.get(elsewhere),
        as_stranger.get(f"{elsewhere}/deliveries"),
        as_stranger.post(f"{elsewhere}/test"),
        as_stranger.delete(elsewhere),
    ):
        assert call.status_code == 404
    assert Webhook.objects.filter(pk=webhook.pk).exists()


def test_deliveries_cost_few_queries_however_many(base, as_manager, webhook, django_assert_max_num_queries):
    for _ in range(30):
        as_manager.post(f"{base}/{webhook.pk}/test")
    with django_assert_max_num_queries(6):
        assert len(as_manager.get(f"{base}/{webhook.pk}/deliveries").json()["results"]) == 30
