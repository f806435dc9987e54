"""`health/live`, `health/ready` and `health`: is the process there, can it serve, and how is everything."""

import platform
from typing import Any

import django
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.schema import ApiSchema
from accounts.api.views import IsGlobalAdmin
from cocohub.health import parts
from cocohub.health.looking import Watch

ready_parts = dict(parts.READY)
if settings.CVAT_NEEDED_FOR_READINESS:
    ready_parts["cvat"] = parts.cvat
is_ready, everything = Watch(ready_parts), Watch(parts.ALL)


@extend_schema(tags=["health"])
class LiveView(APIView):
    """The process answers. It asks nobody else: a restart would mend nothing of theirs."""

    schema = ApiSchema()
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    @extend_schema(auth=[], responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "It answers.")})
    def get(self, request: Request) -> Response:
        """For a supervisor that restarts what hangs."""
        return Response({"status": "live"})


@extend_schema(tags=["health"])
class ReadyView(APIView):
    """Whether requests can be served here: PostgreSQL with all migrations, Redis and storage answer."""

    schema = ApiSchema()
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    @extend_schema(
        auth=[],
        responses={
            200: OpenApiResponse(OpenApiTypes.OBJECT, "All parts answer."),
            503: OpenApiResponse(OpenApiTypes.OBJECT, "Some part does not; which one."),
        },
    )
    def get(self, request: Request) -> Response:
        """For load balancers. Says which part is unwell, and nothing of how it is set up."""
        found = is_ready.look()
        ok = all(part.ok for part in found.values())
        told: dict[str, Any] = {"status": "ready" if ok else "not ready"}
        told["parts"] = {name: "ok" if part.ok else "unwell" for name, part in found.items()}
        if not ok:
            unwell = [name for name, part in found.items() if not part.ok]
            told = {"message": f"Not ready: {', '.join(unwell)} unwell.", "detail": told}
        return Response(told, status=200 if ok else 503, headers={"Cache-Control": "no-store"})


@extend_schema(tags=["health"])
class HealthView(APIView):
    """How everything is, in words. For global admins."""

    schema = ApiSchema()
    permission_classes = (IsGlobalAdmin,)

    @extend_schema(responses={200: OpenApiResponse(OpenApiTypes.OBJECT, "Each part: whether it is ok, and facts.")})
    def get(self, request: Request) -> Response:
        """PostgreSQL, Redis, storage, workers, queues and CVAT, and what runs here."""
        found = everything.look()
        told = {
            "status": "ok" if all(part.ok for part in found.values()) else "unwell",
            "parts": {name: part.as_dict() for name, part in found.items()},
            "versions": {
                "cocohub": settings.VERSION,
                "django": django.get_version(),
                "python": platform.python_version(),
            },
        }
        return Response(told, headers={"Cache-Control": "no-store"})
