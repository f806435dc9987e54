from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssetsConfig(AppConfig):
    name = "assets"
    verbose_name = _("Images")

    def ready(self) -> None:
        """Have the pictures of deleted projects deleted too."""
        from assets import storage  # models can be imported only once all apps are loaded
        from projects import deletion

        deletion.register_cleanup(storage.forget_project)
