"""Addresses of exports, all below a project."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from exports.api import views

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("exports", views.ExportJobViewSet, basename="project-export")

urlpatterns = [path("projects/<int:project_pk>/", include(of_project.urls))]
