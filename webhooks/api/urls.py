"""Addresses of webhooks."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from webhooks.api import views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("webhooks", views.WebhookViewSet, basename="project-webhook")
deliveries = SimpleRouter(trailing_slash=False, use_regex_path=False)
deliveries.register("deliveries", views.DeliveryViewSet, basename="project-webhook-delivery")

urlpatterns = [
    path("projects/<int:project_pk>/", include(router.urls)),
    path("projects/<int:project_pk>/webhooks/<int:webhook_pk>/", include(deliveries.urls)),
]
