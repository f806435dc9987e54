"""The metrics in the words of the reader's language, and the rooms that the dashboard puts them in."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from annotations import problem_words
from assets.models import ImageAsset
from insights.metrics import METRICS

GROUPS: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("classes", _("Classes"), ("classes", "supercategories", "co_occurrence", "imbalance")),
    (
        "images",
        _("Images"),
        (
            "annotations_per_image", "splits", "statuses", "tags", "resolution", "megapixels", "aspect_ratios",
            "formats", "file_sizes",
        ),
    ),
    (
        "objects",
        _("Objects"),
        (
            "object_sizes", "object_areas", "box_centres", "box_sizes", "box_widths", "box_heights", "box_aspects",
            "attribute_keys", "attributes", "keypoints",
        ),
    ),
    ("quality", _("Quality"), ("image_issues", "annotation_issues", "split_leakage", "origin", "sources", "scores")),
    ("time", _("Time"), ("image_activity", "label_activity")),
)  # fmt: skip

TITLES: dict[str, Any] = {
    "classes": _("Classes"),
    "supercategories": _("Supercategories"),
    "co_occurrence": _("Classes that occur together"),
    "imbalance": _("Class imbalance"),
    "splits": _("Images by split"),
    "statuses": _("Images by status"),
    "resolution": _("Resolution"),
    "megapixels": _("Megapixels"),
    "aspect_ratios": _("Aspect ratios"),
    "annotations_per_image": _("Annotations per image"),
    "formats": _("File formats"),
    "file_sizes": _("File sizes"),
    "object_sizes": _("Object sizes, as COCO counts them"),
    "object_areas": _("Object sizes"),
    "origin": _("Made by people and by machines"),
    "sources": _("Sources"),
    "scores": _("Scores"),
    "box_sizes": _("Box sizes"),
    "box_widths": _("Box widths"),
    "box_heights": _("Box heights"),
    "box_aspects": _("Box shapes"),
    "box_centres": _("Where objects are"),
    "tags": _("Tags"),
    "image_issues": _("Issues of images"),
    "annotation_issues": _("Issues of annotations"),
    "attribute_keys": _("Attributes"),
    "attributes": _("Attributes' values"),
    "keypoints": _("Keypoints"),
    "image_activity": _("Images by day"),
    "label_activity": _("Annotations by day"),
    "split_leakage": _("Pictures in more than one split"),
}

# Words that the figures themselves use.
LABELS: dict[str, Any] = {
    "images": _("images"),
    "annotations": _("annotations"),
    "created": _("added"),
    "updated": _("changed"),
    "human": _("people"),
    "machine": _("machines"),
    "not said (human)": _("not said (people)"),
    "not said (machine)": _("not said (machines)"),
    "small": _("small"),
    "medium": _("medium"),
    "large": _("large"),
    "visible": _("visible"),
    "hidden": _("hidden"),
    "not labelled": _("not labelled"),
    "class": _("class"),
    "width (pixels)": _("width (pixels)"),
    "height (pixels)": _("height (pixels)"),
    "width / height": _("width / height"),
    "annotations of an image": _("annotations of an image"),
    "megapixels": _("megapixels"),
    "pixels": _("pixels"),
    "score": _("score"),
    "square root of the area (pixels)": _("square root of the area (pixels)"),
    "square root of the box's area (pixels)": _("square root of the box's area (pixels)"),
    "from the left (share of the width)": _("from the left (share of the width)"),
    "from the top (share of the height)": _("from the top (share of the height)"),
    "(other)": _("(other)"),
    "(no value)": _("(no value)"),
}
NUMBERS: dict[str, tuple[Any, Any]] = {
    "classes": (_("classes"), _("Classes of the project.")),
    "used": (_("in use"), _("Classes with annotations.")),
    "ratio": (_("most to rarest"), _("Annotations of the most frequent class over those of the rarest that has any.")),
    "gini": (_("Gini"), _("0: all classes have equally many annotations; near 1: one class has nearly all.")),
    "entropy": (_("entropy (bits)"), _("Shannon entropy of the classes, in bits.")),
    "evenness": (_("evenness"), _("Entropy over its greatest value: 1 is even.")),
    "effective": (_("effective classes"), _("So many equally frequent classes would have the same entropy.")),
}
# Metrics whose labels are our own words; those of others are names out of the data and stay as they are.
OWN_LABELS = frozenset(["origin", "sources", "object_sizes", "keypoints", "image_activity", "label_activity"])
OF_ISSUES = frozenset(["image_issues", "annotation_issues"])
_STATUSES = dict(ImageAsset.Status.choices)


def title(name: str) -> str:
    """What the metric is called; a new one by the name that it brings."""
    return str(TITLES.get(name) or METRICS[name].title)


def label(metric: str, text: str) -> str:
    """A bar's label."""
    if metric == "statuses":
        return str(_STATUSES.get(text, text))
    if metric in OF_ISSUES and text in problem_words.CODES:
        return problem_words.name_of(text)
    return word(text) if metric in OWN_LABELS or text in ("(other)", "(no value)") else text or str(_("(none)"))


def word(text: str) -> str:
    """A word of the figures: a unit, the title of an axis, the name of a part."""
    return str(LABELS.get(text, text))


def number(name: str, told: str) -> tuple[str, str]:
    """Name and explanation of a single figure."""
    known = NUMBERS.get(name, (name, told))
    return str(known[0]), str(known[1])


def groups() -> list[tuple[str, Any, list[str]]]:
    """Key, title and metrics of each group; metrics that nobody has put anywhere are in the last one."""
    placed = {name for _, _, names in GROUPS for name in names}
    rest = [name for name in METRICS if name not in placed]
    found = [(key, told, [name for name in names if name in METRICS]) for key, told, names in GROUPS]
    return [*found, ("other", _("Other"), rest)] if rest else found
