from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = _("Webhooks")

    def ready(self) -> None:
        """Hear of every piece of long work that ends."""
        from projects import jobs  # models can be imported only once all apps are loaded
        from webhooks import events

        jobs.listen(events.note)
