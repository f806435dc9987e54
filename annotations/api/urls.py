"""Addresses of images, annotations, categories and imports, all below a project."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from annotations.api import views

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("assets", views.AssetViewSet, basename="project-asset")
of_project.register("categories", views.CategoryViewSet, basename="project-category")
of_project.register("annotations", views.AnnotationViewSet, basename="project-annotation")
of_project.register("coco", views.ImportJobViewSet, basename="project-coco")

urlpatterns = [path("projects/<int:project_pk>/", include(of_project.urls))]
