"""A source against people: every class, what it means together, and where the mistakes are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from annotations.models import Category
from annotations.query.tree import Is, Term
from insights.metrics.selection import Selection
from insights.predictions import scoring
from insights.predictions.figures import KINDS, AtIou, ClassSummary, Evaluation, Kind, LeftOut, OfKind, Progress
from insights.predictions.keeping import splits_of
from insights.predictions.mistakes import mistakes
from insights.predictions.records import Source
from insights.predictions.scoring import IOUS, Score

# Of the seventeen keypoints of COCO's people (pycocotools.cocoeval.Params).
COCO_SIGMAS = tuple(
    tenths / 10
    for tenths in (0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89)
)


@dataclass
class _Class:
    """Categories of one name: what people made of it, and the source, by kind."""

    name: str
    ids: list[int] = field(default_factory=list)
    meta: Any = None
    truths: Counter[Kind] = field(default_factory=Counter)
    detections: Counter[Kind] = field(default_factory=Counter)


def evaluate(selection: Selection, source: str, *, progress: Progress = lambda done, total: None) -> Evaluation:
    """Judge what the source has predicted, on the images that are selected; inside a transaction."""
    splits = splits_of(selection.project, source)
    judged = Source(selection, source, list(splits))
    classes, left_out = _classes(judged)
    kinds = [
        kind
        for kind in KINDS
        if any(each.truths[kind] for each in classes) and any(each.detections[kind] for each in classes)
    ]
    turns = [(kind, each) for kind in kinds for each in classes if each.truths[kind] or each.detections[kind]]
    scores: dict[Kind, list[tuple[_Class, Score]]] = {kind: [] for kind in kinds}
    for done, (kind, each) in enumerate(turns):
        progress(done, len(turns))
        refused: Counter[tuple[str, bool]] = Counter()
        found = scoring.score(
            kind, judged.parts(kind, each.ids, refused), sigmas=_sigmas(each), with_matches=kind == kinds[0]
        )
        scores[kind].append((each, found))
        for (reason, machine), number in refused.items():
            left_out[kind, reason, machine] += number
    return {
        "splits": sorted(splits.values()),
        "images": judged.images(),
        "kinds": [_of_kind(selection, kind, scores[kind]) for kind in kinds],
        "mistakes": mistakes(selection, kinds[0], [(each.name, found) for each, found in scores[kinds[0]]])
        if kinds
        else None,
        "left_out": _listed(left_out),
    }


def _classes(judged: Source) -> tuple[list[_Class], Counter[tuple[Kind, str, bool]]]:
    """Classes with anything in them, by name, and what is of none."""
    named = {
        pk: (name, meta)
        for pk, name, meta in Category.objects.filter(project=judged.selection.project).values_list(
            "pk", "name", "meta"
        )
    }
    found: dict[str, _Class] = {}
    left_out: Counter[tuple[Kind, str, bool]] = Counter()
    for category, machine, *numbers in judged.counts():
        if category is None or category not in named:
            left_out["bbox", "It has no category.", machine] += numbers[0]
            continue
        name, meta = named[category]
        each = found.setdefault(name, _Class(name))
        each.ids += [category] if category not in each.ids else []
        each.meta = each.meta or meta
        counts = each.detections if machine else each.truths
        counts.update(dict(zip(KINDS, numbers, strict=True)))
    return [found[name] for name in sorted(found)], left_out


def _sigmas(each: _Class) -> Sequence[float]:
    """How far off a keypoint may be: what the category says, COCO's of its people, or one over their number."""
    meta = each.meta if isinstance(each.meta, dict) else {}
    names, said = meta.get("keypoints"), meta.get("sigmas")
    number = len(names) if isinstance(names, list) and names else len(COCO_SIGMAS)
    if isinstance(said, list) and len(said) == number and all(type(s) in (int, float) and s > 0 for s in said):
        return [float(sigma) for sigma in said]
    return COCO_SIGMAS if number == len(COCO_SIGMAS) else [1 / number] * number


def _of_kind(selection: Selection, kind: Kind, scores: Sequence[tuple[_Class, Score]]) -> OfKind:
    precision = scoring.mean([found.precision for _, found in scores])
    recall = scoring.mean([found.recall for _, found in scores])
    by_iou: list[AtIou] = [{"iou": iou, "ap": scoring.defined(precision[place, 0])} for place, iou in enumerate(IOUS)]
    classes: list[ClassSummary] = [
        {
            "category": each.name,
            "truths": found.truths,
            "detections": found.detections,
            "q": selection.narrowed(Term("category", Is(each.name))),
            **found.summary(),
        }
        for each, found in scores
    ]
    return {
        "kind": kind,
        "truths": sum(each["truths"] for each in classes),
        "detections": sum(each["detections"] for each in classes),
        "by_iou": by_iou,
        "classes": classes,
        **scoring.summary(kind, precision, recall),
    }


def _listed(left_out: Counter[tuple[Kind, str, bool]]) -> list[LeftOut]:
    reasons = sorted({(kind, reason) for (kind, reason, _), number in left_out.items() if number})
    return [
        {
            "kind": kind,
            "reason": reason,
            "truths": left_out[kind, reason, False],
            "detections": left_out[kind, reason, True],
        }
        for kind, reason in reasons
    ]
