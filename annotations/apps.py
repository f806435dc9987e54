from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AnnotationsConfig(AppConfig):
    name = "annotations"
    verbose_name = _("Annotations")

    def ready(self) -> None:
        """Have unfinished uploads of deleted projects given up too."""
        from annotations import drafts  # models can be imported only once all apps are loaded
        from projects import deletion

        deletion.register_cleanup(drafts.forget_project)
