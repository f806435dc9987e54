from django.apps import AppConfig


class CocohubConfig(AppConfig):
    name = "cocohub"
    verbose_name = "CocoHub"

    def ready(self) -> None:
        """Whoever queues work must know which Celery task does it: each room's tasks say so when imported."""
        import annotations.tasks  # noqa: F401
        import exports.tasks  # noqa: F401
        import insights.tasks  # noqa: F401
        import projects.tasks  # noqa: F401
