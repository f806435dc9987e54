"""Addresses of our own pages, for CVAT to link back to. A worker has no use for the URLconf and all that it loads."""

from django.conf import settings


def page_of_project(project_id: int) -> str:
    """The project's images."""
    return f"{settings.PUBLIC_URL}/admin/work/{project_id}/images"


def page_of_export(project_id: int, export_id: int) -> str:
    """An export."""
    return f"{settings.PUBLIC_URL}/admin/work/{project_id}/exports/{export_id}"
