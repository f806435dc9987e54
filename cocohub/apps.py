from django.apps import AppConfig


class CocohubConfig(AppConfig):
    name = "cocohub"
    verbose_name = "CocoHub"

    def ready(self) -> None:
        """Every process that queues work must know which Celery task does it: each room's tasks say so when imported."""
        import annotations.tasks
        import exports.tasks
        import projects.tasks  # noqa: F401
