"""The way back from CVAT: pull, look at what is different, decide, take over, undo; and CVAT's webhooks."""

from collections.abc import Sequence
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from accounts.api.schema import ApiSchema
from accounts.errors import NotFound, TooLarge
from exports.api import pulling_serializers as shapes
from exports.cvat.webhooks import SIGNATURE_HEADER
from exports.models.jobs import ExportJob
from exports.pulling import loading, services, watching
from exports.pulling.models import CvatDifference, CvatPull, CvatRemark
from projects.api.base import ProjectScoped
from projects.models import Role


class OfExport(ProjectScoped):
    """What hangs on one export to CVAT: 404 where the project has no such export."""

    job: ExportJob

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find the export after the project."""
        super().initial(request, *args, **kwargs)
        number = int(kwargs.get("export_pk") or 0)
        job = ExportJob.objects.to_cvat().filter(project=self.project, pk=number).select_related("project").first()
        if job is None:
            raise NotFound(f"There is no export {number} to CVAT in this project.")
        self.job = job

    def get_queryset(self) -> QuerySet[Any]:
        """The rows of this export."""
        rows = super().get_queryset()
        return rows if getattr(self, "swagger_fake_view", False) else rows.filter(job=self.job)


@extend_schema(tags=["pulls from CVAT"])
class CvatPullViewSet(OfExport, ListModelMixin, RetrieveModelMixin, GenericViewSet[CvatPull]):
    """Pulls of an export, newest first: readings, takings over and undos. Members see them; curators start them."""

    queryset = CvatPull.objects.select_related("task", "task__project")
    serializer_class = shapes.CvatPullSerializer
    ordering = ("-id",)
    lookup_value_converter = "int"

    @extend_schema(request=shapes.StartPullSerializer, responses={202: shapes.CvatPullSerializer})
    def create(self, request: Request, project_pk: int, export_pk: int) -> Response:
        """Read what people did in CVAT and compare it with what was sent and with what is here. For curators."""
        form = shapes.StartPullSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        return self._started(services.start_pull(user=self.user, job=self.job, **form.validated_data))

    @extend_schema(request=None, responses={202: shapes.CvatPullSerializer})
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, project_pk: int, export_pk: int, pk: int) -> Response:
        """Put back what this has taken over; its differences are open again then. What was changed since is left."""
        return self._started(services.start_undo(user=self.user, pull=self.get_object()))

    def _started(self, pull: CvatPull) -> Response:
        location = reverse(
            "project-cvat-pull-detail", args=[pull.project_id, pull.job_id, pull.pk], request=self.request
        )
        return Response(self.get_serializer(pull).data, status=202, headers={"Location": location})


class DifferenceFilter(django_filters.FilterSet):
    """Narrows differences."""

    decision = django_filters.ChoiceFilter(choices=CvatDifference.Decision.choices)
    kind = django_filters.ChoiceFilter(choices=CvatDifference.Kind.choices)
    subject = django_filters.ChoiceFilter(choices=CvatDifference.Subject.choices)
    aspect = django_filters.CharFilter(
        field_name="aspects", lookup_expr="contains", method="with_aspect",
        help_text="geometry, keypoints, label, crowd or attributes.",
    )  # fmt: skip
    conflict = django_filters.BooleanFilter(method="in_conflict", help_text="Whether it was changed here, too.")
    problem = django_filters.BooleanFilter(method="impossible", help_text="Whether it cannot be taken over.")
    frame = django_filters.NumberFilter(field_name="frame", min_value=0, max_value=2**31 - 1, decimal_places=0)
    image = django_filters.NumberFilter(field_name="image_id", min_value=1, max_value=2**63 - 1, decimal_places=0)
    task = django_filters.NumberFilter(
        field_name="cvat_task__number", min_value=1, max_value=2**31 - 1, decimal_places=0
    )
    pull = django_filters.NumberFilter(field_name="pull_id", min_value=1, max_value=2**63 - 1, decimal_places=0)
    user = django_filters.CharFilter(field_name="cvat_user", max_length=200)

    class Meta:
        model = CvatDifference
        fields = (
            "decision",
            "kind",
            "subject",
            "aspect",
            "conflict",
            "problem",
            "frame",
            "image",
            "task",
            "pull",
            "user",
        )

    def with_aspect(self, rows: QuerySet[CvatDifference], name: str, value: str) -> QuerySet[CvatDifference]:
        """Those in which it changed."""
        return rows.filter(aspects__contains=[value[:12]])

    def in_conflict(self, rows: QuerySet[CvatDifference], name: str, value: bool) -> QuerySet[CvatDifference]:
        """With or without."""
        return rows.exclude(conflict="") if value else rows.filter(conflict="")

    def impossible(self, rows: QuerySet[CvatDifference], name: str, value: bool) -> QuerySet[CvatDifference]:
        """With or without."""
        return rows.exclude(problem="") if value else rows.filter(problem="")


@extend_schema(tags=["pulls from CVAT"])
class CvatDifferenceViewSet(OfExport, ListModelMixin, RetrieveModelMixin, GenericViewSet[CvatDifference]):
    """What is different in CVAT, with the record as it went out, as it is here and as it would be."""

    queryset = CvatDifference.objects.select_related("cvat_task", "cvat_task__cvat_project")
    serializer_class = shapes.CvatDifferenceSerializer
    filterset_class = DifferenceFilter
    ordering = ("id",)
    lookup_value_converter = "int"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of them."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        rows = list(page or [])
        return self.get_paginated_response(self._shown(rows))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of them."""
        return Response(self._shown([self.get_object()])[0])

    @extend_schema(request=shapes.DecideSerializer, responses=shapes.CvatDifferenceSerializer(many=True), filters=False)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def decide(self, request: Request, project_pk: int, export_pk: int) -> Response:
        """Take a few over, whatever was changed here since, or refuse them: now, all or none. For curators."""
        form = shapes.DecideSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        decided = services.decide(user=self.user, job=self.job, **form.validated_data)
        rows = self.get_queryset().filter(pk__in=[row.pk for row in decided]).order_by("pk")
        return Response(self._shown(list(rows)))

    @extend_schema(request=shapes.ApplySerializer, responses={202: shapes.CvatPullSerializer}, filters=False)
    @action(detail=False, methods=["post"], pagination_class=None, filterset_class=None)
    def apply(self, request: Request, project_pk: int, export_pk: int) -> Response:
        """Deal with all that are open, or with some, by a policy: as a task. For curators."""
        form = shapes.ApplySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        pull = services.start_apply(user=self.user, job=self.job, **form.validated_data)
        location = reverse("project-cvat-pull-detail", args=[pull.project_id, pull.job_id, pull.pk], request=request)
        data = shapes.CvatPullSerializer(pull, context={"request": request}).data
        return Response(data, status=202, headers={"Location": location})

    def _shown(self, rows: Sequence[CvatDifference]) -> Sequence[Any]:
        keys = [row.annotation_id for row in rows if row.annotation_id is not None]
        context = {**self.get_serializer_context(), "now": loading.fields_of(self.project, keys)}
        return list(shapes.CvatDifferenceSerializer(rows, many=True, context=context).data)


class RemarkFilter(django_filters.FilterSet):
    """Narrows remarks."""

    frame = django_filters.NumberFilter(field_name="frame", min_value=0, max_value=2**31 - 1, decimal_places=0)
    image = django_filters.NumberFilter(field_name="image_id", min_value=1, max_value=2**63 - 1, decimal_places=0)
    task = django_filters.NumberFilter(
        field_name="cvat_task__number", min_value=1, max_value=2**31 - 1, decimal_places=0
    )
    author = django_filters.CharFilter(field_name="author", max_length=200)

    class Meta:
        model = CvatRemark
        fields = ("resolved", "frame", "image", "task", "author")


@extend_schema(tags=["pulls from CVAT"])
@extend_schema_view(
    list=extend_schema(summary="Remarks that people left on frames in CVAT, as they were last read"),
    retrieve=extend_schema(summary="One remark with its answers"),
)
class CvatRemarkViewSet(OfExport, ListModelMixin, RetrieveModelMixin, GenericViewSet[CvatRemark]):
    """What reviewers wrote about frames, open or resolved. Each pull reads them anew; they are answered in CVAT."""

    queryset = CvatRemark.objects.select_related("cvat_task", "cvat_task__cvat_project")
    serializer_class = shapes.CvatRemarkSerializer
    filterset_class = RemarkFilter
    ordering = ("id",)
    lookup_value_converter = "int"


@extend_schema(tags=["pulls from CVAT"])
class CvatProgressView(OfExport, ListAPIView[Any]):
    """How far people in CVAT are with each task of an export, as last seen."""

    queryset = CvatPull.objects.all()
    serializer_class = shapes.ProgressSerializer
    pagination_class = None  # type: ignore[assignment]

    @extend_schema(responses=shapes.ProgressSerializer(many=True), filters=False)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Frames and jobs that are done, and differences that wait for a decision."""
        return Response(shapes.ProgressSerializer(services.progress_of(self.job), many=True).data)


@extend_schema(tags=["pulls from CVAT"])
class CvatListeningView(ProjectScoped):
    """CVAT's webhook: with it, what is saved there is read soon after; without it, every few minutes. For managers."""

    serializer_class = shapes.ListeningSerializer
    required_roles = dict.fromkeys(("put", "delete"), Role.MANAGER)
    token_scopes = dict.fromkeys(("put", "delete"), "manage")

    @extend_schema(request=None, responses=shapes.ListeningSerializer)
    def put(self, request: Request, project_pk: int) -> Response:
        """Have CVAT tell of what is saved in the project's exports."""
        rows = watching.start_listening(user=self.user, project=self.project)
        told = {"listening": True, "cvat_projects": [row.cvat_id for row in rows]}
        return Response(shapes.ListeningSerializer(told).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project_pk: int) -> Response:
        """Take the webhook out of CVAT."""
        watching.stop_listening(user=self.user, project=self.project)
        return Response(status=204)


class AnyBody(BaseParser):
    """Leaves the body as it is: the signature is of its bytes."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The bytes, as far as a delivery may go."""
        body: bytes = stream.read(watching.MAX_BODY + 1)
        if len(body) > watching.MAX_BODY:
            raise TooLarge(f"A delivery has at most {watching.MAX_BODY:,} bytes.")
        return body


class CvatDeliveryView(GenericAPIView[Any]):
    """Where CVAT delivers its webhooks. The signature over the body is the permission."""

    schema = ApiSchema()
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (AnyBody,)
    pagination_class = None

    @extend_schema(
        tags=["pulls from CVAT"],
        request={"application/json": OpenApiTypes.OBJECT},
        responses={202: None, 204: None},
        parameters=[OpenApiParameter(SIGNATURE_HEADER, str, OpenApiParameter.HEADER, required=True)],
        auth=[],
    )
    def post(self, request: Request, cvat_project: int) -> Response:
        """Take a delivery: 202 if a reading was queued, 204 if one waits already or there is nothing to read."""
        body = request.data if isinstance(request.data, bytes) else b""
        heard = watching.hear(cvat_project, body, request.headers.get(SIGNATURE_HEADER))
        return Response(status=202 if heard else 204)
