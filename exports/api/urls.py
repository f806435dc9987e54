"""Addresses of exports, all below a project."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from exports.api import cvat, pulling, views

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("exports/cvat", cvat.CvatExportViewSet, basename="project-cvat-export")
of_project.register("exports/cvat/<int:export_pk>/pulls", pulling.CvatPullViewSet, basename="project-cvat-pull")
of_project.register(
    "exports/cvat/<int:export_pk>/differences", pulling.CvatDifferenceViewSet, basename="project-cvat-difference"
)
of_project.register("exports/cvat/<int:export_pk>/remarks", pulling.CvatRemarkViewSet, basename="project-cvat-remark")
of_project.register("exports", views.ExportJobViewSet, basename="project-export")

exports: list[URLPattern | URLResolver] = [
    path("exports/cvat/<int:pk>/images", cvat.CvatImageListView.as_view(), name="project-cvat-export-images"),
    path(
        "exports/cvat/<int:export_pk>/progress", pulling.CvatProgressView.as_view(), name="project-cvat-progress-list"
    ),
    path("cvat-webhook", pulling.CvatListeningView.as_view(), name="project-cvat-webhook"),
    path("cvat-connection", cvat.CvatConnectionView.as_view(), name="project-cvat-connection"),
    path("cvat-connection/check", cvat.CvatCheckView.as_view(), name="project-cvat-connection-check"),
    path("", include(of_project.urls)),
]

urlpatterns = [
    path("projects/<int:project_pk>/", include(exports)),
    path("cvat-deliveries/<int:cvat_project>", pulling.CvatDeliveryView.as_view(), name="cvat-delivery"),
]
