"""Shapes of webhooks and their deliveries."""

from typing import Any

from rest_framework import serializers

from accounts.api.forms import Form
from webhooks.models import Delivery, Event, Webhook
from webhooks.services import MAX_URL


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    """A webhook, without its secret."""

    class Meta:
        model = Webhook
        fields = ("id", "url", "events", "active", "failing_since", "gave_up", "created_at", "updated_at")
        read_only_fields = fields


class NewWebhookSerializer(Form):
    """What makes a webhook."""

    url = serializers.CharField(max_length=MAX_URL, help_text="http(s), at a host of WEBHOOK_ALLOWED_HOSTS.")
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices), min_length=1, max_length=len(Event.values)
    )
    active = serializers.BooleanField(default=True)


class ChangedWebhookSerializer(Form):
    """What can be changed of it."""

    url = serializers.CharField(max_length=MAX_URL, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices),
        min_length=1,
        max_length=len(Event.values),
        required=False,
    )
    active = serializers.BooleanField(required=False)


class WebhookWithSecretSerializer(WebhookSerializer):
    """A webhook as it is answered once, when it is made."""

    secret = serializers.CharField(help_text="Signs the deliveries. Keep it now: it is shown this once.")

    class Meta(WebhookSerializer.Meta):
        fields = (*WebhookSerializer.Meta.fields, "secret")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]


class SecretSerializer(serializers.Serializer[Any]):
    """A new secret."""

    secret = serializers.CharField(help_text="Signs the deliveries from now on. It is shown this once.")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message, and how it went the last time."""

    body = serializers.JSONField(source="told", help_text="What was sent.")

    class Meta:
        model = Delivery
        fields = (
            "id", "event", "status", "attempts", "due_at", "answered", "answer", "error", "milliseconds", "created_at",
            "tried_at", "body",
        )  # fmt: skip
        read_only_fields = fields
