"""Where a source is wrong: how often for each class, and the images with most mistakes, as queries to open."""

from collections.abc import Sequence

import numpy as np

from assets.models import ImageAsset
from insights.metrics.selection import Selection
from insights.predictions.figures import ClassMistakes, Hits, ImageCount, Kind, Mistakes, WorstImages
from insights.predictions.scoring import HIT, Ids, Matches, Score

WORST = 50  # images; of a class, fewer
WORST_OF_CLASS = 20


def mistakes(selection: Selection, kind: Kind, scores: Sequence[tuple[str, Score]]) -> Mistakes:
    """The mistakes of all classes, at the score that serves them best."""
    of_classes = [(name, each.matches) for name, each in scores if each.matches is not None]
    least = best_score([each for _, each in of_classes])
    bar = np.inf if least is None else least
    false = [each.detection_images[(each.scores >= bar) & ~each.hits] for _, each in of_classes]
    missed = [each.truth_images[each.found_at < bar] for _, each in of_classes]
    hits = [int(((each.scores >= bar) & each.hits).sum()) for _, each in of_classes]
    classes: list[ClassMistakes] = [
        {
            "category": name,
            **_numbers(hit, len(wrong), len(absent)),
            "q_false_positives": _of_all([key for key, _ in _most(wrong, WORST_OF_CLASS)]),
            "q_false_negatives": _of_all([key for key, _ in _most(absent, WORST_OF_CLASS)]),
        }
        for (name, _), hit, wrong, absent in zip(of_classes, hits, false, missed, strict=True)
    ]
    all_false, all_missed = (np.concatenate([np.empty(0, np.int64), *each]) for each in (false, missed))
    return {
        "kind": kind,
        "iou": HIT,
        "score": least,
        **_numbers(sum(hits), len(all_false), len(all_missed)),
        "most_false_positives": _worst(selection, all_false),
        "most_false_negatives": _worst(selection, all_missed),
        "classes": classes,
    }


def best_score(matches: Sequence[Matches]) -> float | None:
    """The score from which on F1, the harmonic mean of precision and recall over all classes, is greatest.

    F1 = 2 TP / (detections + objects). The highest such score, of several.
    """
    scores = np.concatenate([np.empty(0), *(each.scores for each in matches)])
    hits = np.concatenate([np.empty(0, np.bool_), *(each.hits for each in matches)])
    objects = sum(each.truth_images.size for each in matches)
    if not scores.size:
        return None
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, scores.size + 1) + objects)
    # Detections of one score are taken all together, or not at all.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    return float(scores[int(np.argmax(f1))])


def _numbers(hits: int, false: int, missed: int) -> Hits:
    return {
        "true_positives": hits,
        "false_positives": false,
        "false_negatives": missed,
        "precision": hits / (hits + false) if hits + false else None,
        "recall": hits / (hits + missed) if hits + missed else None,
    }


def _most(images: Ids, limit: int) -> list[tuple[int, int]]:
    """(image, how often) of the most frequent ones; ties by their keys."""
    keys, numbers = np.unique(images, return_counts=True)
    order = np.lexsort((keys, -numbers))[:limit]
    return [(int(keys[place]), int(numbers[place])) for place in order]


def _worst(selection: Selection, images: Ids) -> WorstImages:
    most = _most(images, WORST)
    keys = [key for key, _ in most]
    files = dict(ImageAsset.objects.filter(project=selection.project, pk__in=keys).values_list("pk", "file_name"))
    listed: list[ImageCount] = [
        {"id": key, "file": files.get(key) or "", "count": number, "q": f"id:{key}"} for key, number in most
    ]
    return {"q": _of_all(keys), "images": listed}


def _of_all(keys: Sequence[int]) -> str | None:
    if not keys:
        return None
    return f"id:{keys[0]}" if len(keys) == 1 else f"id:({' OR '.join(map(str, keys))})"
