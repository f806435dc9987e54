"""Addresses of images, annotations, categories, bulk edits and imports, all below a project."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from annotations.api import annotations, assets, bulk, categories, imports, queries, uploads

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("assets", queries.QueryViewSet, basename="project-query")
of_project.register("assets", bulk.AssetBulkViewSet, basename="project-asset-bulk")
of_project.register("assets", assets.AssetViewSet, basename="project-asset")
of_project.register("bulk-edits", bulk.BulkEditViewSet, basename="project-bulk-edit")
of_project.register("categories", categories.CategoryViewSet, basename="project-category")
of_project.register("annotations", annotations.AnnotationViewSet, basename="project-annotation")
of_project.register("uploads", uploads.UploadViewSet, basename="project-upload")
of_project.register("coco", imports.ImportJobViewSet, basename="project-coco")
of_project.register("sources", imports.SourceViewSet, basename="project-source")

urlpatterns = [path("projects/<int:project_pk>/", include(of_project.urls))]
