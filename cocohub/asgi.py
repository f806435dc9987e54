"""The ASGI application that production servers run."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cocohub.settings")
django.setup(set_prefix=False)

from cocohub import tracing  # noqa: E402 - Django must be set up first
from cocohub.bodies import Handler, in_pieces  # noqa: E402
from cocohub.pool import pool_connections  # noqa: E402
from cocohub.warming import warm_up  # noqa: E402

tracing.start("web")
pool_connections()
application = in_pieces(Handler())
warm_up()
