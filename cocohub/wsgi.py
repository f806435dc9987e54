"""The WSGI application that production servers run."""

import os

import django
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
django.setup(set_prefix=False)

from cocohub import tracing  # noqa: E402 - Django must be set up first
from cocohub.middleware import wsgi_with_text_charsets  # noqa: E402
from cocohub.warming import warm_up  # noqa: E402

tracing.start("web")
application = wsgi_with_text_charsets(get_wsgi_application())
warm_up()
