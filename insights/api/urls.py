"""Addresses of insights, all below a project."""

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from insights.api import views

of_project = SimpleRouter(trailing_slash=False, use_regex_path=False)
of_project.register("views", views.InsightViewViewSet, basename="project-insight-view")

insights: list[URLPattern | URLResolver] = [
    path("metrics", views.MetricListView.as_view(), name="project-metric-list"),
    path("metrics/<str:name>", views.MetricView.as_view(), name="project-metric"),
    path("metrics/<str:name>/<str:form>", views.MetricFileView.as_view(), name="project-metric-file"),
    path("dashboard", views.DashboardView.as_view(), name="project-dashboard"),
    path("compare", views.CompareView.as_view(), name="project-compare"),
    path("predictions", views.PredictionsView.as_view(), name="project-prediction-evaluation"),
    path("", include(of_project.urls)),
]

urlpatterns = [path("projects/<int:project_pk>/insights/", include(insights))]
