"""Files that real tools wrote (../shared/data, not part of this repository): each is read or refused, none breaks."""

import json
from pathlib import Path

import pytest

from annotations.coco.problems import CocoFileError
from annotations.models import Kind
from tests.annotations.documents import (
    contents_of,
    export_document,
    import_document,
    rows_of,
    silently_changed,
    typed,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = sorted(path.relative_to(DATA).as_posix() for path in DATA.rglob("*.json")) if DATA.is_dir() else []
# Valid files, which come out as they came but for what is noted.
DETECTIONS = "mmpose_fixtures/coco/test_coco_det_AP_H_56.json"  # a list of results
LOSSLESS = (
    "coco_mini/annotations/",
    "rbc_roboflow/",
    "cvat_teeth/",
    "mmpose_fixtures/coco/test_coco",
    "mmpose_fixtures/coco/test_keypoint_partition_metric.json",
    "panoptic_sample/panoptic_coco_detection_format.json",
)

pytestmark = pytest.mark.skipif(not FILES, reason=f"there are no sample data sets in {DATA}")


def test_there_is_no_sample_without_its_test():
    assert all(any(name.startswith(start) for name in FILES) for start in LOSSLESS)


@pytest.mark.parametrize("name", FILES)
def test_file_is_imported_or_refused_and_again_changes_nothing(project, name):
    content = (DATA / name).read_bytes()
    try:
        outcome, report = import_document(project, content)
    except CocoFileError as error:
        refused = error.code
    else:
        refused = ""
    if refused:
        assert refused in ("not_an_object", "no_images", "not_an_array", "wrong_keys", "bad_json")
        assert not any(contents_of(project).values())
        return
    stored = rows_of(project)
    exported = [export_document(project, kind=kind) for kind in Kind]
    assert sum(len(written["annotations"]) for written in exported if "annotations" in written) == (
        outcome.total.annotations
    )
    assert silently_changed(json.loads(content), report, exported) == []

    again, _ = import_document(project, content)

    assert rows_of(project) == stored
    assert again.total.changed is False


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(LOSSLESS) and name != DETECTIONS])
def test_valid_file_comes_out_as_it_went_in(project, name):
    document = json.loads((DATA / name).read_bytes())

    outcome, report = import_document(project, (DATA / name).read_bytes())

    assert report.quarantined == 0, report.table()
    kind = Kind.CAPTION if outcome.total.families == ["caption"] else Kind.OBJECT
    assert typed(export_document(project, kind=kind)) == typed(document)
