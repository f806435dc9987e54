"""What a process loads before it has any work: what few need is loaded by those who do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOADED = "import sys, django; django.setup(); print(*{name.partition('.')[0] for name in sys.modules})"


@pytest.fixture(scope="module")
def loaded():
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "cocohub.settings", "STORAGE": "local"}
    run = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("library", ["boto3", "botocore", "cvat_sdk", "faster_coco_eval", "numpy"])
def test_a_process_does_not_load_what_few_need(loaded, library):
    assert "annotations" in loaded
    assert library not in loaded
