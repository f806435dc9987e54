"""The shape of an evaluation. Shares lie between 0 and 1 and are null where they are not defined."""

from collections.abc import Callable
from typing import Literal, TypedDict

# Raised when an evaluation is made otherwise than before: those kept from an older version are then not used.
VERSION = 1

Progress = Callable[[int, int], None]  # objects done, and all of them

Kind = Literal["bbox", "segm", "keypoints"]
KINDS: tuple[Kind, ...] = ("bbox", "segm", "keypoints")


class Summary(TypedDict):
    """COCO's figures: `ap` and `ar` over the IoU 0.50, 0.55 ... 0.95, with 100 detections of a class per image at most.

    Sizes are those of the objects: small below 32 x 32 square pixels, large above 96 x 96. Keypoints are counted with
    20 detections at most, and know no small ones.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar_1: float | None
    ar_10: float | None
    ar: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None


class AtIou(TypedDict):
    """The average precision where a hit takes so great an overlap."""

    iou: float
    ap: float | None


class ClassSummary(Summary):
    """One class; `q` selects the images with an object of it, whoever made that."""

    category: str
    truths: int
    detections: int
    q: str | None


class OfKind(Summary):
    """Boxes, masks or keypoints: the mean over the classes that people have annotated, and each class."""

    kind: Kind
    truths: int
    detections: int
    by_iou: list[AtIou]
    classes: list[ClassSummary]


class LeftOut(TypedDict):
    """What could not be judged, and why."""

    kind: Kind
    reason: str
    truths: int
    detections: int


class ImageCount(TypedDict):
    """An image and how many mistakes there are on it; `q` selects it."""

    id: int
    file: str
    count: int
    q: str


class WorstImages(TypedDict):
    """The images with most mistakes of one sort; `q` selects them all."""

    q: str | None
    images: list[ImageCount]


class Hits(TypedDict):
    """Precision is the share of the detections that hit something, recall the share of the objects that were found."""

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float | None
    recall: float | None


class ClassMistakes(Hits):
    """Mistakes of one class; the queries select the images with most of them."""

    category: str
    q_false_positives: str | None
    q_false_negatives: str | None


class Mistakes(Hits):
    """Detections that hit nothing, and objects that were not found, at an overlap of `iou` and from `score` upwards.

    `score` is where the harmonic mean of precision and recall (F1) over all classes is greatest; null where there are
    no detections.
    """

    kind: Kind
    iou: float
    score: float | None
    most_false_positives: WorstImages
    most_false_negatives: WorstImages
    classes: list[ClassMistakes]


class Evaluation(TypedDict):
    """A source against people, on the images of the splits that it has predicted anything for."""

    splits: list[str]
    images: int
    kinds: list[OfKind]
    mistakes: Mistakes | None
    left_out: list[LeftOut]
