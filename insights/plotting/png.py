"""A picture as PNG, at twice its size so that it is sharp on paper and on fine screens."""

import io

from PIL import Image, ImageDraw

from insights.plotting import fonts
from insights.plotting.shapes import INK, Box, Path, Picture, Text

SCALE = 2
BACKGROUND = "#FFFFFF"
MAX_HEIGHT = 6_000  # pixels before scaling
LACKING = "Some letters need a font that the server does not have (CHART_FONT). The SVG shows them all."
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def png(picture: Picture) -> bytes:
    """The file."""
    size = picture.width * SCALE, min(picture.height, MAX_HEIGHT) * SCALE
    image = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(image)
    for shape in [*picture.shapes, *_warning(picture)]:
        match shape:
            case Box(x=x, y=y, width=width, height=height, color=color):
                if width > 0 and height > 0:
                    corners = [(x * SCALE, y * SCALE), ((x + width) * SCALE - 1, (y + height) * SCALE - 1)]
                    pen.rectangle([corners[0], tuple(map(max, *corners))], fill=color)
            case Path(points=points, color=color, width=width):
                pen.line([(x * SCALE, y * SCALE) for x, y in points], fill=color, width=max(1, round(width * SCALE)))
            case Text(x=x, y=y, text=text, size=size_of_text, anchor=anchor):
                place = (x * SCALE, y * SCALE)
                one_line = text.replace("\n", " ").replace("\r", " ")
                pen.text(place, one_line, fill=INK, font=fonts.font(size_of_text * SCALE), anchor=_ANCHORS[anchor])
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True)
    return target.getvalue()


def _warning(picture: Picture) -> list[Text]:
    """A line at the bottom if there are letters that the font does not have."""
    letters = {letter for shape in picture.shapes if isinstance(shape, Text) for letter in shape.text}
    if fonts.has_letters(fonts.font(12 * SCALE), letters):
        return []
    return [Text(8, min(picture.height, MAX_HEIGHT) - 6, LACKING, size=10)]
