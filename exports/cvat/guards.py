"""What CVAT would take without a word and keep wrong: found before it is sent.

Each check returns what is wrong in words, with the field; nothing is sent while there is any.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from exports.cvat import masks
from exports.cvat.records import Attribute, Frame, Label
from exports.cvat.shapes import Shape, Values

MAX_INT = 2**31 - 1  # beyond it CVAT answers 500
MAX_VALUE = 4096  # characters of an attribute's value
MAX_SOURCE = 16
LEAST = {"rectangle": 4, "ellipse": 4, "polygon": 6, "polyline": 4, "points": 2, "mask": masks.BOX + 1, "skeleton": 0}
EXACT = ("rectangle", "ellipse", "skeleton")
ANY = "any"


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that must not be sent: which field, and why."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def flaws_of(shape: Shape, labels: Mapping[int, Label], frames: Sequence[Frame]) -> list[Flaw]:
    """Everything that keeps a new shape from being stored as it is meant; empty if it may be sent.

    `labels` are the project's by id, `frames` the task's as data/meta tells them.
    """
    label = labels.get(shape.label_id)
    if label is None:
        return [Flaw("label_id", f"the project has no label {shape.label_id}")]
    if not 0 <= shape.frame < len(frames):
        return [Flaw("frame", f"{shape.frame} is not among the {len(frames)} frames: CVAT would drop the shape")]
    found = _numbers(shape)
    if shape.id is not None:
        found.append(Flaw("id", "a new shape has none"))
    found += _types(shape, label)
    found += values_flaws(shape.attributes, label)
    if not found:
        frame = frames[shape.frame]
        found += _drawing(shape, frame)
        found += _elements(shape, label, frame)
    return found


def clipped(shape: Shape, frame: Frame) -> Shape:
    """The shape with every point inside of the image (0..width, 0..height). Masks and turned boxes stay as they are."""
    if shape.elements:
        return replace(shape, elements=tuple(clipped(element, frame) for element in shape.elements))
    if shape.type in ("mask", "ellipse") or shape.rotation or not frame.width or not frame.height:
        return shape
    if _inside(shape.points, frame):
        return shape
    limits = (frame.width, frame.height)
    points = tuple(min(max(value, 0), limits[index % 2]) for index, value in enumerate(shape.points))
    return replace(shape, points=points)


def has_area(points: Sequence[float]) -> bool:
    """Whether a polygon x, y, x, y... has points that are not on one line. (By its area a figure of eight is flat.)"""
    several = list(zip(points[::2], points[1::2], strict=True))
    return len(set(several)) > 2 and not _is_line(several)


def values_flaws(values: Values, label: Label) -> list[Flaw]:
    """What is wrong with attribute values: CVAT checks none of them against the label."""
    specs = {attribute.id: attribute for attribute in label.attributes}
    found: list[Flaw] = []
    seen: set[int] = set()
    for spec_id, value in values:
        attribute = specs.get(spec_id)
        if attribute is None:
            found.append(Flaw("attributes", f"the label {label.name!r} has no attribute {spec_id}"))
            continue
        if spec_id in seen:
            found.append(Flaw(attribute.name, "it is given twice, and CVAT would keep both"))
        seen.add(spec_id)
        wrong = value_flaw(value, attribute)
        if wrong:
            found.append(Flaw(attribute.name, wrong))
    return found


def value_flaw(value: object, attribute: Attribute) -> str | None:
    """What is wrong with one value of an attribute; None if nothing is."""
    if not isinstance(value, str):
        return f"{value!r} is no text, and CVAT would store what Python calls it"
    if value != value.strip():
        return "it has blanks around, and CVAT would cut them"
    if len(value) > MAX_VALUE or "\0" in value:
        return f"it has more than {MAX_VALUE} characters, or a NUL"
    match attribute.input_type:
        case "checkbox" if value not in ("true", "false"):
            return f"{value!r} is neither 'true' nor 'false'"
        case "select" | "radio" if value not in attribute.values:
            return f"{value!r} is not offered ({', '.join(attribute.values)})"
        case "number":
            return _number_flaw(value, attribute)
    return None


def with_defaults(values: Values, label: Label) -> Values:
    """The values with the label's defaults for what is left out, in the label's order: so CVAT shows them too.

    Values of attributes that the label does not have stay at the end, for the checks to find.
    """
    known = {attribute.id for attribute in label.attributes}
    given = [spec for spec, _ in values]
    whole = list(values) + [(item.id, item.default_value) for item in label.attributes if item.id not in given]
    order = {attribute.id: index for index, attribute in enumerate(label.attributes)}
    return tuple(sorted(whole, key=lambda pair: order.get(pair[0], len(known))))


def frames_differ(frames: Sequence[Frame], expected: Mapping[str, tuple[int, int]]) -> list[str]:
    """Where a task's frames are not the images that were sent: names missing, unknown, twice, or of another size.

    `expected` has width and height after turning by EXIF. Empty if they agree; then names may be turned into frames.
    """
    found: list[str] = []
    seen: set[str] = set()
    for number, frame in enumerate(frames):
        if frame.name in seen:
            found.append(f"{frame.name!r} is there twice (frame {number})")
        elif frame.name not in expected:
            found.append(f"{frame.name!r} was not sent (frame {number})")
        elif frame.width and frame.height and (frame.width, frame.height) != expected[frame.name]:
            width, height = expected[frame.name]
            found.append(f"{frame.name!r} is {frame.width} x {frame.height}, expected {width} x {height}")
        seen.add(frame.name)
    return found + [f"{name!r} is missing" for name in expected if name not in seen]


def frame_numbers(frames: Iterable[Frame]) -> dict[str, int]:
    """The frame number of each name, as CVAT has ordered them; never computed from an order of ours."""
    return {frame.name: number for number, frame in enumerate(frames)}


# --- Inside of a shape ------------------------------------------------------------------------------------------------


def _numbers(shape: Shape) -> list[Flaw]:
    found = []
    if not all(map(math.isfinite, shape.points)) or not math.isfinite(shape.rotation):
        found.append(Flaw("points", "a number is not finite: CVAT could not read the task any more"))
    if not 0 <= shape.rotation <= 360:
        found.append(Flaw("rotation", f"{shape.rotation} is not between 0 and 360"))
    if not 0 <= shape.group <= MAX_INT:
        found.append(Flaw("group", f"{shape.group} is not between 0 and {MAX_INT}"))
    if not -MAX_INT <= shape.z_order <= MAX_INT:
        found.append(Flaw("z_order", f"{shape.z_order} has more than 32 bits"))
    if len(shape.source) > MAX_SOURCE:
        found.append(Flaw("source", f"it has more than {MAX_SOURCE} characters"))
    return found


def _types(shape: Shape, label: Label) -> list[Flaw]:
    least = LEAST.get(shape.type)
    if least is None:
        return [Flaw("type", f"CVAT has no shape {shape.type!r}")]
    count = len(shape.points)
    if count < least or (shape.type in EXACT and count != least) or (shape.type != "mask" and count % 2):
        return [Flaw("points", f"a {shape.type} cannot have {count} numbers")]
    if (shape.type == "skeleton") != (label.type == "skeleton") or label.type not in (ANY, shape.type):
        return [Flaw("type", f"a {shape.type} does not fit the label {label.name!r}, which is for {label.type}")]
    if shape.elements and shape.type != "skeleton":
        return [Flaw("elements", f"a {shape.type} has none")]
    return []


def _drawing(shape: Shape, frame: Frame) -> list[Flaw]:
    if shape.type == "mask":
        return _mask(shape, frame)
    points = list(zip(shape.points[::2], shape.points[1::2], strict=True))
    sized = bool(frame.width and frame.height)
    if shape.type not in ("ellipse", "skeleton") and not shape.rotation and sized and not _inside(shape.points, frame):
        for x, y in points:
            if not (0 <= x <= frame.width and 0 <= y <= frame.height):
                return [Flaw("points", f"({x}, {y}) is outside of the image of {frame.width} x {frame.height}")]
    if shape.type == "rectangle":
        (x1, y1), (x2, y2) = points
        if x2 <= x1 or y2 <= y1:
            return [Flaw("points", "the corners are swapped, or the box has no area")]
    if shape.type == "polygon" and not has_area(shape.points):
        return [Flaw("points", "the polygon has no area: its points are on one line")]
    if shape.type == "polyline" and len(set(points)) < 2:
        return [Flaw("points", "all points are equal")]
    return []


def _inside(points: Sequence[float], frame: Frame) -> bool:
    """Whether all points x, y, x, y... are in the image, its edges included."""
    if not points:
        return True
    across, down = points[::2], points[1::2]
    return min(points) >= 0 and max(across) <= frame.width and max(down) <= frame.height


def _mask(shape: Shape, frame: Frame) -> list[Flaw]:
    wrong = masks.flaw(shape.points)
    if wrong is None:
        left, top, right, bottom = shape.points[-masks.BOX :]
        if left < 0 or top < 0 or (frame.width and right >= frame.width) or (frame.height and bottom >= frame.height):
            wrong = f"its box ({left}, {top}, {right}, {bottom}) leaves the image of {frame.width} x {frame.height}"
        elif not masks.area(shape.points):
            wrong = masks.EMPTY
    return [Flaw("points", wrong)] if wrong else []


def _elements(shape: Shape, label: Label, frame: Frame) -> list[Flaw]:
    if shape.type != "skeleton":
        return []
    found: list[Flaw] = []
    sublabels = {sublabel.id: sublabel for sublabel in label.sublabels}
    given = [element.label_id for element in shape.elements]
    if sorted(given) != sorted(sublabels):
        found.append(Flaw("elements", f"expected each of the {len(sublabels)} points of {label.name!r} once"))
    for index, element in enumerate(shape.elements):
        at = f"elements[{index}]"
        if element.frame != shape.frame:
            found.append(Flaw(f"{at}.frame", "it is on another frame than its skeleton: the task could not be read"))
        if element.type != "points" or len(element.points) != 2:
            found.append(Flaw(f"{at}.points", "expected one point"))
        elif not element.outside:
            found += [Flaw(f"{at}.{flaw.field}", flaw.message) for flaw in _drawing(element, frame)]
        if element.label_id in sublabels:
            wrong = values_flaws(element.attributes, sublabels[element.label_id])
            found += [Flaw(f"{at}.{flaw.field}", flaw.message) for flaw in wrong]
        found += [Flaw(f"{at}.{flaw.field}", flaw.message) for flaw in _numbers(element)]
    return found


def _is_line(points: Sequence[tuple[float, float]]) -> bool:
    """Whether no point is beside the line of the first two that differ."""
    x0, y0 = points[0]
    x1, y1 = next(point for point in points if point != points[0])
    return all((x1 - x0) * (y - y0) == (y1 - y0) * (x - x0) for x, y in points)


def _number_flaw(value: str, attribute: Attribute) -> str | None:
    try:
        number = float(value)
        limits = [float(limit) for limit in attribute.values[:2]] if len(attribute.values) >= 2 else []
    except ValueError:
        return f"{value!r} is no number"
    if not math.isfinite(number):
        return f"{value!r} is not finite"
    if limits and not limits[0] <= number <= limits[1]:
        return f"{value} is not between {attribute.values[0]} and {attribute.values[1]}"
    return None
