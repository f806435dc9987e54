"""A picture as SVG 1.1, with nothing to load and nothing to run, and no background, so that it fits light and dark."""

import re
from xml.sax.saxutils import escape, quoteattr

from insights.plotting.shapes import INK, Box, Path, Picture, Shape, Text

# XML 1.0 has no way to write these.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(picture: Picture) -> str:
    """The document."""
    size = f'width="{picture.width}" height="{picture.height}" viewBox="0 0 {picture.width} {picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" fill="{INK}">',
        f"<title>{_text(picture.title)}</title>",
        *map(_shape, picture.shapes),
        "</svg>",
    ]
    return "\n".join(lines)


def _shape(shape: Shape) -> str:
    match shape:
        case Box(x=x, y=y, width=width, height=height, color=color, tip=tip):
            inner = f"><title>{_text(tip)}</title></rect>" if tip else "/>"
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"{inner}'
        case Path(points=points, color=color, width=width):
            listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            return f'<polyline points="{listed}" fill="none" stroke="{color}" stroke-width="{width:g}"/>'
        case Text(x=x, y=y, text=text, size=size, anchor=anchor, bold=bold):
            weight = ' font-weight="bold"' if bold else ""
            anchored = quoteattr(anchor)
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor={anchored}{weight}>{_text(text)}</text>'
            )
    raise TypeError(f"{shape!r} is no shape")


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
