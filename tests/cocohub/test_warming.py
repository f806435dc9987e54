"""The first requests of a process, when several come at once."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOGETHER = """
import threading, django
django.setup()
from drf_spectacular.settings import spectacular_settings
start, found = threading.Barrier(8), []
def read():
    start.wait()
    found.append(len(spectacular_settings.DEFAULT_GENERATOR_CLASS().get_schema(request=None, public=True)["paths"]))
threads = [threading.Thread(target=read) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(found), len(set(found)))
"""
FROZEN = """
import gc
import cocohub.asgi
from accounts.api import parameters
print(gc.get_freeze_count() > 100_000, parameters._known.cache_info().currsize)
"""


def run(text):
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "cocohub.settings"}
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_threads_that_need_the_openapi_document_first_all_get_it():
    told, errors = run(TOGETHER)

    assert told == ["8", "1"], errors[-2000:]


def test_a_web_process_has_read_the_document_before_its_first_request():
    assert run(FROZEN)[0] == ["True", "1"]
