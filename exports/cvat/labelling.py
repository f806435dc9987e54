"""Labels as they are sent: colours, attributes with input types, and skeletons that people can draw."""

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from exports.cvat.naming import label_names
from exports.cvat.shapes import COCO_ID, IS_CROWD

COLOR = re.compile(r"#[0-9a-fA-F]{6}")
MAX_DEFAULT = 128  # characters
MAX_VALUE = 200
MAX_VALUES = 4096  # characters of all values together; beyond them CVAT answers 500
SKELETON_SUFFIX = "_keypoints"


def attribute(
    name: str, input_type: str, default: str = "", values: Iterable[str] = (), *, mutable: bool = False
) -> dict[str, Any]:
    """An attribute of a label; raises ValueError for values that CVAT would tear apart, cut or fail over."""
    offered = list(values)
    for value in [*offered, default]:
        if value != value.strip() or "\n" in value or "\r" in value or len(value) > MAX_VALUE:
            raise ValueError(
                f"The value {value[:50]!r} of the attribute {name!r} has line breaks or blanks, or is long."
            )
    if len(default) > MAX_DEFAULT or sum(len(value) + 1 for value in offered) > MAX_VALUES:
        raise ValueError(f"The values of the attribute {name!r} are too long for CVAT.")
    if input_type in ("select", "radio") and default not in offered:
        raise ValueError(f"The attribute {name!r} has the default {default!r}, which is not among its values.")
    return {
        "name": name,
        "mutable": mutable,
        "input_type": input_type,
        "default_value": default,
        "values": offered,
    }


def own_attributes() -> list[dict[str, Any]]:
    """What ties a shape to its annotation, on every label."""
    return [attribute(COCO_ID, "text"), attribute(IS_CROWD, "checkbox", "false")]


def label(name: str, *, color: str | None = None, attributes: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A label for boxes, polygons and masks."""
    made: dict[str, Any] = {"name": name, "type": "any", "attributes": [*own_attributes(), *attributes]}
    if color and COLOR.fullmatch(color):  # anything else is stored as it is, or a 500
        made["color"] = color
    return made


def skeleton(
    name: str, keypoints: Sequence[str], edges: Iterable[tuple[int, int]] = (), *, color: str | None = None
) -> dict[str, Any]:
    """A label for keypoints: one sublabel each, in their order. `edges` are COCO's pairs, counted from 1.

    Keypoints that CVAT cannot name as they are get the name that `naming.label_names` gives them.
    """
    numbered = [f"{point} {index}" if keypoints.count(point) > 1 else point for index, point in enumerate(keypoints, 1)]
    names = list(label_names(numbered).values())
    made = label(name, color=color)
    made["type"] = "skeleton"
    made["sublabels"] = [{"name": point, "type": "points", "attributes": []} for point in names]
    made["svg"] = svg(names, edges)
    return made


def svg(names: Sequence[str], edges: Iterable[tuple[int, int]]) -> str:
    """The picture that CVAT needs to draw a skeleton: its points on a circle, percent of the canvas."""
    count = len(names)
    places = [
        (50 + 40 * math.sin(2 * math.pi * index / count), 50 - 40 * math.cos(2 * math.pi * index / count))
        for index in range(count)
    ]
    lines = [
        f'<line x1="{places[start - 1][0]:.2f}" y1="{places[start - 1][1]:.2f}" x2="{places[end - 1][0]:.2f}" '
        f'y2="{places[end - 1][1]:.2f}" data-type="edge" data-node-from="{start}" data-node-to="{end}"></line>'
        for start, end in edges
        if 1 <= start <= count and 1 <= end <= count and start != end
    ]
    circles = [
        f'<circle r="0.75" cx="{x:.2f}" cy="{y:.2f}" data-type="element node" data-element-id="{index}" '
        f'data-node-id="{index}" data-label-name="{html.escape(name)}"></circle>'
        for index, (name, (x, y)) in enumerate(zip(names, places, strict=True), 1)
    ]
    return "".join(lines + circles)
