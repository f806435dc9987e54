from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProjectsConfig(AppConfig):
    name = "projects"
    verbose_name = _("Projects")

    def ready(self) -> None:
        """Keep the audit lines of the accounts, a room below that cannot reach up to ours."""
        from accounts import trail  # models can be imported only once all apps are loaded
        from projects import audit

        trail.keep_with(audit.record_account_event)
