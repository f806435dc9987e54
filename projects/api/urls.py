"""Addresses of projects and what belongs to every project."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from projects.api import events, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("projects", views.ProjectViewSet, basename="project")
router.register("tasks", views.TaskViewSet, basename="task")

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("members", views.MemberViewSet, basename="project-member")
of_project.register("tasks", views.ProjectTaskViewSet, basename="project-task")
of_project.register("audit", views.AuditLogViewSet, basename="project-audit")

urlpatterns = [
    path("", include(router.urls)),
    path("tasks/<uuid:pk>/events", events.TaskEventsView.as_view(), name="task-events"),
    path("projects/<int:project_pk>/", include(of_project.urls)),
]
