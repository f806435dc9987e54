"""Whole data sets of real tools (../shared/data, not part of this repository): what the report counts is what is there.

INDEX.tsv was made by looking at the files with other tools; its quirks are held against our reports.
"""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from accounts.errors import ServiceError
from annotations import material
from annotations.importing import import_files
from annotations.report import Report

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
INDEX = DATA / "INDEX.tsv"
ROWS = list(csv.DictReader(INDEX.open(newline=""), delimiter="\t")) if INDEX.is_file() else []
# What INDEX.tsv calls it: what we call it.
PROBLEMS = {
    "dangling category_id": "dangling_category_id",
    "dangling image_id": "dangling_image_id",
    "annotation id missing": "id_missing",
    "area missing": "area_missing",
    "iscrowd missing": "iscrowd_missing",
    "segmentation flat list": "flat_polygon",
    "file_name missing": "file_name_missing",
    "bbox zero w/h": "bbox_empty",
}
# Where the index counts otherwise than we do, and why.
OTHERWISE = {
    # A panoptic record is known by its image and needs no id.
    ("panoptic_sample", "annotation id missing"): 0,
    # One of them is no list of numbers: its record is left out.
    ("via_exports/dogs55", "segmentation flat list"): 113,
    # A picture is looked for by its name; without one there is none.
    ("quirks/no_file_name", "image file missing"): 7582,
    # A record that is left out is told of once, with its first flaw; 24 of 42 land.
    ("quirks/malformed_fixtures", "annotation id missing"): 24,
    ("quirks/malformed_fixtures", "area missing"): 24,
    ("quirks/malformed_fixtures", "iscrowd missing"): 24,
    ("quirks/malformed_fixtures", "dangling image_id"): 1,
    ("quirks/malformed_fixtures", "dangling category_id"): 10,
}
pytestmark = pytest.mark.skipif(not ROWS, reason=f"there are no sample data sets in {DATA}")


def quirks(row):
    """{what: how often}."""
    found = Counter()
    for text in row["quirks"].split(";"):
        if match := re.fullmatch(r"(.*) (\d+)", text.strip()):
            found[match[1]] = int(match[2])
    # Ids that are the same but for their type are no flaw to us.
    found["dangling category_id"] -= found["category_id only matches after str()"]
    found["dangling image_id"] -= found["image_id only matches after int()"]
    return found


REFUSED = {
    "quirks/camelcase": "'fileName'",
    "quirks/image_id_key": "'image_id'",
    "datumaro_fixtures": "another data set",
}


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_report_counts_what_the_index_counts(project, row):
    report, name = Report(), row["name"]
    found = material.in_folder(DATA / name, "", {})
    if name in REFUSED:
        with pytest.raises(ServiceError, match=REFUSED[name]):
            import_files(project=project, files=found.files, report=report, pictures=found.pictures)
        return

    total = import_files(project=project, files=found.files, report=report, pictures=found.pictures).total

    told = Counter({line["code"]: line["count"] for line in report.table()})
    told = {each: told[code] for each, code in PROBLEMS.items()} | {
        "image file missing": total.images_missing,
        "bbox disagrees with polygon (IoU<.5)": total.issues.get("bbox_mismatch", 0),
    }
    known = quirks(row)
    assert told == {each: OTHERWISE.get((name, each), known[each]) for each in told}
