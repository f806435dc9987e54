"""The WSGI application that production servers run."""

import os

from django.core.wsgi import get_wsgi_application

from cocohub.middleware import wsgi_with_text_charsets

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
application = wsgi_with_text_charsets(get_wsgi_application())
