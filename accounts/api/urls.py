"""Addresses of logins, tokens and users."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from accounts.api import views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("auth/tokens", views.PersonalTokenViewSet, basename="personal-token")
router.register("users", views.UserViewSet, basename="user")

urlpatterns = [
    path("auth/login", views.LoginView.as_view(), name="login"),
    path("auth/refresh", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout", views.LogoutView.as_view(), name="logout"),
    path("auth/password", views.PasswordView.as_view(), name="password"),
    path("auth/me", views.MeView.as_view(), name="me"),
    path("", include(router.urls)),
]
