"""`make demo` on a folder of one's own: nothing is drawn, so nothing has made the demo's own folder before."""

import json
import zipfile

import pytest
from django.core.management import call_command

from projects.models import Project
from tests.annotations.coco.reading import good
from tests.assets.drawings import file_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_demo_of_a_folder_of_ones_own(tmp_path, settings, capsys):
    settings.HOME = tmp_path / "home"
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "instances.json").write_text(json.dumps(good()))
    (folder / "a.jpg").write_bytes(file_of("JPEG", 640, 480))
    call_command("demo", "--data", str(folder), "--no-serve")
    project = Project.objects.get(name="mine")
    assert project.assets.count() == len(good()["images"])
    assert "export.zip" in capsys.readouterr().out
    assert zipfile.is_zipfile(tmp_path / "home" / "demo" / "export.zip")
