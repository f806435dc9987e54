"""Webhooks of a project."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.errors import NotFound
from projects.api.base import ProjectScoped
from projects.models import Role
from webhooks import services
from webhooks.api import serializers
from webhooks.models import Delivery, Webhook

ACTIONS = ("list", "retrieve", "create", "partial_update", "destroy", "secret", "test", "redeliver")


@extend_schema(tags=["webhooks"])
@extend_schema_view(list=extend_schema(summary="The project's webhooks"), retrieve=extend_schema(summary="One webhook"))
class WebhookViewSet(ProjectScoped, ListModelMixin, RetrieveModelMixin, GenericViewSet[Webhook]):
    """Addresses that are told when an import, an export, a pull or a bulk edit has ended. For managers."""

    queryset = Webhook.objects.select_related("project")
    serializer_class = serializers.WebhookSerializer
    ordering = ("id",)
    lookup_value_converter = "int"
    required_roles = dict.fromkeys(ACTIONS, Role.MANAGER)
    token_scopes = dict.fromkeys(ACTIONS, "manage")
    secret_answers = ("create", "secret")

    @extend_schema(request=serializers.NewWebhookSerializer, responses={201: serializers.WebhookWithSecretSerializer})
    def create(self, request: Request, project_pk: int) -> Response:
        """Make a webhook. The answer has the secret that signs its deliveries, this once."""
        form = serializers.NewWebhookSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        webhook, secret = services.create(user=self.user, project=self.project, **form.validated_data)
        return Response({**self.get_serializer(webhook).data, "secret": secret}, status=201)

    @extend_schema(request=serializers.ChangedWebhookSerializer, responses=serializers.WebhookSerializer)
    def partial_update(self, request: Request, project_pk: int, pk: int) -> Response:
        """Change its address or its events, or switch it off and on. On again, it is as if it had never failed."""
        webhook = self.get_object()
        form = serializers.ChangedWebhookSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        webhook = services.change(user=self.user, webhook=webhook, **form.validated_data)
        return Response(self.get_serializer(webhook).data)

    def destroy(self, request: Request, project_pk: int, pk: int) -> Response:
        """Take it away, with the log of its deliveries."""
        services.delete(user=self.user, webhook=self.get_object())
        return Response(status=204)

    @extend_schema(request=None, responses=serializers.SecretSerializer)
    @action(detail=True, methods=["post"])
    def secret(self, request: Request, project_pk: int, pk: int) -> Response:
        """Give it a new secret; the old one is void at once."""
        return Response({"secret": services.replace_secret(user=self.user, webhook=self.get_object())})

    @extend_schema(request=None, responses={202: serializers.DeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, project_pk: int, pk: int) -> Response:
        """Send a message (`webhook.test`) that tells of nothing. Its fate is in the deliveries a moment later."""
        delivery = services.try_out(user=self.user, webhook=self.get_object())
        return Response(serializers.DeliverySerializer(delivery).data, status=202)


@extend_schema(tags=["webhooks"])
@extend_schema_view(list=extend_schema(summary="What was sent to a webhook, newest first"))
class DeliveryViewSet(ProjectScoped, ListModelMixin, GenericViewSet[Delivery]):
    """The log of a webhook's deliveries; kept for WEBHOOK_LOG_DAYS. For managers."""

    queryset = Delivery.objects.all()
    serializer_class = serializers.DeliverySerializer
    ordering = ("-created_at", "-id")
    lookup_value_converter = "uuid"
    required_roles = dict.fromkeys(ACTIONS, Role.MANAGER)
    token_scopes = dict.fromkeys(ACTIONS, "manage")

    def get_queryset(self) -> QuerySet[Delivery]:
        """Those of the webhook; NotFound if the project has none of this number."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        return rows.filter(webhook=self._webhook())

    @extend_schema(request=None, responses={202: serializers.DeliverySerializer})
    @action(detail=True, methods=["post"])
    def redeliver(self, request: Request, project_pk: int, webhook_pk: int, pk: UUID) -> Response:
        """Send it once more, with the same id and body."""
        delivery = services.redeliver(user=self.user, webhook=self._webhook(), delivery_id=pk)
        return Response(serializers.DeliverySerializer(delivery).data, status=202)

    def _webhook(self) -> Webhook:
        key = self.kwargs["webhook_pk"]
        webhook = Webhook.objects.select_related("project").filter(project=self.project, pk=key).first()
        if webhook is None:
            raise NotFound(f"There is no webhook {key} in this project.")
        return webhook
