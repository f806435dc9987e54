"""One class through COCO's evaluation (faster-coco-eval, which gives pycocotools' figures)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCOeval_faster
from faster_coco_eval.core.coco import COCO
from numpy.typing import NDArray

from insights.predictions.figures import Kind, Summary
from insights.predictions.records import MOST, Part, Record

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

HIT = 0.5  # the overlap from which a detection is a hit, where mistakes are counted
IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
_SIZES: dict[Kind, tuple[str, ...]] = {
    "bbox": ("all", "small", "medium", "large"),
    "segm": ("all", "small", "medium", "large"),
    "keypoints": ("all", "medium", "large"),
}
_ALL_SIZES = [[0, 1e5**2]]
NEVER = -np.inf  # the score at which an object is found that never is


@dataclass(frozen=True)
class Matches:
    """Hits and misses at an overlap of HIT; crowds, and what lies in them, count neither way.

    For each detection its image, its score and whether it is a hit; for each of people's objects its image and the
    score of what found it.
    """

    detection_images: Ids
    scores: Floats
    hits: NDArray[np.bool_]
    truth_images: Ids
    found_at: Floats


@dataclass(frozen=True)
class Score:
    """`precision` is the average precision by (IoU, size), `recall` the average recall by (size, detections).

    NaN where there are no objects of that size.
    """

    kind: Kind
    truths: int
    detections: int
    precision: Floats
    recall: Floats
    matches: Matches | None

    def summary(self) -> Summary:
        """COCO's twelve figures."""
        return summary(self.kind, self.precision, self.recall)


def score(kind: Kind, parts: Iterable[Part], *, sigmas: Sequence[float] = (), with_matches: bool = False) -> Score:
    """Judge one class. `sigmas` are the falloffs of keypoints in object keypoint similarity."""
    judged: list[tuple[int, list[Any]]] = []
    matches: list[Matches] = []
    truths = detections = 0
    last = _evaluation(kind, Part(), sigmas)
    for part in parts:
        truths += len(part.truths)
        detections += len(part.detections)
        last = _evaluation(kind, part, sigmas)
        last.evaluate()
        judged.append((len(last.params.imgIds), last._evalImgs_cpp))
        if with_matches:
            matches.append(_matches(kind, part, sigmas))
    if not truths:
        sizes = len(_SIZES[kind])
        precision = np.full((len(IOUS), sizes), np.nan)
        recall = np.full((sizes, len(last.params.maxDets)), np.nan)
    else:
        precision, recall = _accumulated(last, judged, len(_SIZES[kind]))
    return Score(kind, truths, detections, precision, recall, _joined(matches) if with_matches else None)


def summary(kind: Kind, precision: Floats, recall: Floats) -> Summary:
    """The twelve figures of (IoU, size) and (size, detections)."""
    place = {name: number for number, name in enumerate(_SIZES[kind])}
    few = kind != "keypoints"

    def of_size(values: Floats, name: str) -> float | None:
        return _mean(values[..., place[name]]) if name in place else None

    by_size = recall[:, -1]
    return {
        "ap": of_size(precision, "all"),
        "ap50": _mean(precision[IOUS.index(0.5), 0]),
        "ap75": _mean(precision[IOUS.index(0.75), 0]),
        "ap_small": of_size(precision, "small"),
        "ap_medium": of_size(precision, "medium"),
        "ap_large": of_size(precision, "large"),
        "ar_1": _mean(recall[0, 0]) if few else None,
        "ar_10": _mean(recall[0, 1]) if few else None,
        "ar": of_size(by_size, "all"),
        "ar_small": of_size(by_size, "small"),
        "ar_medium": of_size(by_size, "medium"),
        "ar_large": of_size(by_size, "large"),
    }


def mean(arrays: Sequence[Floats]) -> Floats:
    """The mean over classes, without those that have no such objects."""
    stacked = np.stack(arrays)
    there = ~np.isnan(stacked)
    with np.errstate(invalid="ignore"):
        found: Floats = np.where(there, stacked, 0).sum(axis=0) / there.sum(axis=0)
    return found


def defined(value: Any) -> float | None:
    """A share, or None where it is not defined."""
    return None if np.isnan(value) else float(value)


def _mean(values: Any) -> float | None:
    there = np.asarray(values, dtype=float)
    there = there[~np.isnan(there)]
    return float(there.mean()) if there.size else None


def _evaluation(kind: Kind, part: Part, sigmas: Sequence[float], *, apart: bool = True) -> COCOeval_faster:
    sides = (_dataset(part, part.truths), _dataset(part, part.detections))
    given = {"kpt_oks_sigmas": list(sigmas)} if kind == "keypoints" else {}
    evaluation = COCOeval_faster(*sides, kind, separate_eval=apart, print_function=_silently, **given)
    evaluation.params.imgIds = sorted(part.images)
    evaluation.params.catIds = [1]
    return evaluation


def _silently(text: str) -> None:
    """The library says a line for every step of every class."""


def _dataset(part: Part, records: list[Record]) -> COCO:
    images = [{"id": key, "width": width or 0, "height": height or 0} for key, (width, height) in part.images.items()]
    numbered = [{**record, "id": number} for number, record in enumerate(records, 1)]
    return COCO({"images": images, "categories": [{"id": 1, "name": "it"}], "annotations": numbered})


def _accumulated(last: COCOeval_faster, judged: list[tuple[int, list[Any]]], sizes: int) -> tuple[Floats, Floats]:
    """Of all parts together. The library keeps its findings image by image for each size."""
    if len(judged) > 1:
        last._evalImgs_cpp = [
            each for size in range(sizes) for images, found in judged for each in found[size * images :][:images]
        ]
        # Only their number is looked at.
        last._paramsEval.imgIds = list(range(1, sum(images for images, _ in judged) + 1))
    last.accumulate()
    # (IoU, recall, class, size, detections) and (IoU, class, size, detections); -1 where there are no objects.
    precision, recall = last.eval["precision"][:, :, 0, :, -1], last.eval["recall"][:, 0, :, :]
    return (
        np.where(precision > -1, precision, np.nan).mean(axis=1),
        np.where(recall > -1, recall, np.nan).mean(axis=0),
    )


def _matches(kind: Kind, part: Part, sigmas: Sequence[float]) -> Matches:
    """By one overlap and one size, for which the library's pairs are without ambiguity."""
    evaluation = _evaluation(kind, part, sigmas, apart=False)
    evaluation.params.iouThrs = np.array([HIT])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = _ALL_SIZES, ["all"]
    evaluation.params.maxDets = [MOST[kind]]
    evaluation.evaluate()
    evaluation.accumulate()
    found_by = np.full(len(part.truths), NEVER)
    hits = np.zeros(len(part.detections), dtype=bool)
    counted = np.ones(len(part.detections), dtype=bool)
    passed_over = np.array([_is_passed_over(kind, record) for record in part.truths], dtype=bool)
    for pair in evaluation.eval["matched"]:
        detection, truth = (int(number) - 1 for number in pair.split("_"))
        if passed_over[truth]:
            counted[detection] = False
        else:
            hits[detection] = True
            found_by[truth] = part.detections[detection]["score"]
    images = np.array([record["image_id"] for record in part.detections], dtype=np.int64)
    scores = np.array([record["score"] for record in part.detections], dtype=float)
    looked_for = np.array([record["image_id"] for record in part.truths], dtype=np.int64)
    return Matches(images[counted], scores[counted], hits[counted], looked_for[~passed_over], found_by[~passed_over])


def _is_passed_over(kind: Kind, truth: Record) -> bool:
    return bool(truth["iscrowd"]) or (kind == "keypoints" and not truth["num_keypoints"])


def _joined(matches: Sequence[Matches]) -> Matches:
    def joined(name: str, kind: Any) -> Any:
        return np.concatenate([np.empty(0, kind), *(getattr(each, name) for each in matches)]).astype(kind)

    return Matches(
        joined("detection_images", np.int64),
        joined("scores", np.float64),
        joined("hits", np.bool_),
        joined("truth_images", np.int64),
        joined("found_at", np.float64),
    )
