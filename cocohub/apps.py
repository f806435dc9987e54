from django.apps import AppConfig


class CocohubConfig(AppConfig):
    name = "cocohub"
    verbose_name = "CocoHub"
