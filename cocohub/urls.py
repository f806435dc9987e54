"""All addresses: the admin, the API under /api/v1 and its documentation."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

from assets.views import media
from cocohub import errors, metrics
from cocohub.health.views import HealthView, LiveView, ReadyView
from cocohub.workplace import account

api: list[URLPattern | URLResolver] = [
    path("", include("accounts.api.urls")),
    path("", include("projects.api.urls")),
    path("", include("assets.api.urls")),
    path("", include("annotations.api.urls")),
    path("", include("insights.api.urls")),
    path("", include("exports.api.urls")),
    path("", include("webhooks.api.urls")),
    path("health", HealthView.as_view(), name="health"),
    path("health/live", LiveView.as_view(), name="health-live"),
    path("health/ready", ReadyView.as_view(), name="health-ready"),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/work/", include("cocohub.workplace.urls")),
    path("admin/password_change/", account.own_password),  # its name is the admin's own
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
    path("metrics", metrics.of_process, name="metrics"),
    path("metrics/installation", metrics.of_installation, name="metrics-installation"),
    path("media/<str:signed>", media, name="media"),
    re_path(r"^api/(?P<path>.*)$", errors.no_such_address),
]

handler400 = "cocohub.errors.bad_request"
handler403 = "cocohub.errors.forbidden"
handler404 = "cocohub.errors.not_found"
handler500 = "cocohub.errors.server_error"
