"""From the problems of an import's report to the images that they are about, as far as those were stored."""

import re
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

from annotations import query
from annotations.layouts import split_of
from annotations.models import ImportJob
from assets.models import ImageAsset

# `$.images[3]` or, of one file among several, `annotations/instances_val.json: $.annotations[3].bbox`.
PATH = re.compile(r"(?:(?P<file>.+): )?\$\.(?P<section>images|annotations)\[(?P<place>\d{1,15})\]", re.DOTALL)
# The record itself may have been cut, so it is no JSON to be read.
IDS = {
    "images": re.compile(r'"id"\s*:\s*(-?\d{1,18})\s*[,}]'),
    "annotations": re.compile(r'"image_id"\s*:\s*(-?\d{1,18})\s*[,}]'),
}


def add_links(job: ImportJob, problems: list[dict[str, Any]]) -> None:
    """Give each problem `image`, the key of its image, where there is one. Two queries for each split."""
    by_id: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    by_place: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for problem in problems:
        found = PATH.match(problem.get("path", ""))
        if found is None:
            continue
        split = job.split or _split(job, found["file"])
        number = IDS[found["section"]].search(problem.get("raw", ""))
        if number is not None:
            by_id[split][int(number[1])].append(problem)
        elif found["section"] == "images":
            by_place[split][int(found["place"])].append(problem)
    for split, wanted in by_id.items():
        _link(job, split, "coco_id", wanted)
    for split, wanted in by_place.items():
        _link(job, split, "position", wanted)


def _split(job: ImportJob, file: str | None) -> str:
    """Split of a COCO file; paths do not name one that came alone, and the job's own name may be that of its zip."""
    if file is None and job.task_id is not None and (split := job.task.result.get("split")):
        return str(split)
    file = file or job.file_name
    return job.splits.get(file, "") or split_of(PurePosixPath(file))


def _link(job: ImportJob, split: str, field: str, wanted: dict[int, list[dict[str, Any]]]) -> None:
    rows = ImageAsset.objects.filter(project=job.project_id, split__name=split, **{f"{field}__in": list(wanted)})
    try:
        with query.statement_timeout():  # places have no index
            found = dict(rows.values_list(field, "pk"))
    except query.QueryError:
        return
    for value, key in found.items():
        for problem in wanted[value]:
            problem["image"] = key
