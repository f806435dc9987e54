"""Webhooks of a project: made, changed, tried out and taken away. For managers."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts import outbound, sealing
from accounts.errors import Conflict, NotFound, ServiceError
from accounts.models import User
from projects import audit, policies
from projects.models import Project, Role
from webhooks import events as messages
from webhooks import sending, signing
from webhooks.models import Delivery, Event, Webhook

MAX_WEBHOOKS = 20  # of a project
MAX_URL = 500  # characters


@transaction.atomic
def create(
    *, user: User, project: Project, url: str, events: Iterable[str], active: bool = True
) -> tuple[Webhook, str]:
    """Make a webhook; the second of the answer is its secret, which is nowhere to be had afterwards.

    Raises ServiceError for an address that this installation does not allow or an event that there is not, Conflict
    for one webhook too many.
    """
    policies.require(user, Role.MANAGER, project)
    url, wanted = _checked_url(url), _checked_events(events)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two at once would both find room for one more
    if Webhook.objects.filter(project=project).count() >= MAX_WEBHOOKS:
        raise Conflict(_("A project has %(number)d webhooks at most. Delete one first.") % {"number": MAX_WEBHOOKS})
    secret = signing.new_secret()
    webhook = Webhook.objects.create(
        project=project, url=url, events=wanted, active=active, secret_sealed=sealing.seal(secret), created_by=user
    )
    audit.record(user, project, "webhook.created", webhook=webhook.pk, url=url, events=wanted)
    return webhook, secret


@transaction.atomic
def change(
    *,
    user: User,
    webhook: Webhook,
    url: str | None = None,
    events: Iterable[str] | None = None,
    active: bool | None = None,
) -> Webhook:
    """Change what is given. To make it active again forgets that it failed. Raises as `create` does."""
    policies.require(user, Role.MANAGER, webhook.project)
    webhook = Webhook.objects.select_for_update(of=("self",)).select_related("project").get(pk=webhook.pk)
    changed: dict[str, Any] = {}
    if url is not None and (url := _checked_url(url)) != webhook.url:
        webhook.url = changed["url"] = url
    if events is not None and (wanted := _checked_events(events)) != webhook.events:
        webhook.events = changed["events"] = wanted
    if active is not None and active != webhook.active:
        webhook.active = changed["active"] = active
    if changed:
        webhook.failing_since, webhook.gave_up = None, ""
        webhook.save()
        audit.record(user, webhook.project, "webhook.changed", webhook=webhook.pk, **changed)
    return webhook


@transaction.atomic
def replace_secret(*, user: User, webhook: Webhook) -> str:
    """Give the webhook a new secret, which counts from the next attempt on; the old one is void."""
    policies.require(user, Role.MANAGER, webhook.project)
    secret = signing.new_secret()
    Webhook.objects.filter(pk=webhook.pk).update(secret_sealed=sealing.seal(secret))
    audit.record(user, webhook.project, "webhook.secret_replaced", webhook=webhook.pk)
    return secret


@transaction.atomic
def delete(*, user: User, webhook: Webhook) -> None:
    """Take the webhook away, with the log of its deliveries."""
    policies.require(user, Role.MANAGER, webhook.project)
    audit.record(user, webhook.project, "webhook.deleted", webhook=webhook.pk, url=webhook.url)
    webhook.delete()


@transaction.atomic
def try_out(*, user: User, webhook: Webhook) -> Delivery:
    """Send a message that tells of nothing. Raises Conflict where the webhook is not active."""
    policies.require(user, Role.MANAGER, webhook.project)
    if not webhook.active:
        raise Conflict(_("This webhook is not active: activate it first."))
    audit.record(user, webhook.project, "webhook.tested", webhook=webhook.pk)
    return messages.test_of(webhook)


@transaction.atomic
def redeliver(*, user: User, webhook: Webhook, delivery_id: UUID) -> Delivery:
    """Send a message once more, with the id that it had. Raises NotFound, or Conflict while it is on its way."""
    policies.require(user, Role.MANAGER, webhook.project)
    rows = Delivery.objects.select_for_update().filter(webhook=webhook, pk=delivery_id)
    delivery = rows.first()
    if delivery is None:
        raise NotFound(_("There is no delivery %(pk)s of this webhook.") % {"pk": delivery_id})
    if delivery.status == Delivery.Status.WAITING:
        raise Conflict(_("This delivery is on its way already."))
    if not webhook.active:
        raise Conflict(_("This webhook is not active: activate it first."))
    rows.update(status=Delivery.Status.WAITING, attempts=0, due_at=Now())
    audit.record(user, webhook.project, "webhook.redelivered", webhook=webhook.pk, delivery=delivery.pk)
    transaction.on_commit(lambda: sending.ring([delivery.pk]))
    delivery.refresh_from_db()
    return delivery


def _checked_url(url: str) -> str:
    url = url.strip()
    fault = ""
    if not settings.WEBHOOK_ALLOWED_HOSTS:
        fault = _("This installation allows no hosts for webhooks: who runs it can name them in WEBHOOK_ALLOWED_HOSTS.")
    elif len(url) > MAX_URL:
        fault = _("The address has more than %(number)d characters.") % {"number": MAX_URL}
    elif told := outbound.fault_of(url, settings.WEBHOOK_ALLOWED_HOSTS):
        fault = told[0].upper() + told[1:]
    if fault:
        raise ServiceError(fault, fields={"url": [fault]})
    return url


def _checked_events(events: Iterable[str]) -> list[str]:
    wanted = set(events)
    known = ", ".join(Event.values)
    fault = ""
    if not wanted:
        fault = _("Name at least one event: %(known)s.") % {"known": known}
    elif unknown := sorted(wanted - set(Event.values)):
        fault = _("There is no event %(name)s; there are %(known)s.") % {"name": repr(unknown[0]), "known": known}
    if fault:
        raise ServiceError(fault, fields={"events": [fault]})
    return [event for event in Event.values if event in wanted]
