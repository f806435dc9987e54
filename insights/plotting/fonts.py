"""A font for pictures that has Hangul too: the one that is set, a usual one, or whatever the system calls Korean.

Pillow's own font, which is what is left, has Latin letters only: then a picture says that letters are missing.
"""

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache

from django.conf import settings
from PIL import ImageFont

# Looked for in the system's folders of fonts, in this order.
USUAL = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.otf",
    "NotoSansKR-Regular.ttf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
)
SAMPLE = "한"
NOWHERE = "\U0010ffff"  # in no font
MATCH = ("fc-match", "-f", "%{file}", "sans:lang=ko")
SECONDS = 5

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """The font in this size, in pixels."""
    name = with_hangul()
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


@cache
def with_hangul() -> str | None:
    """A file, or a name that Pillow finds, of a font with Hangul; None if there is none."""
    for name in _candidates():
        try:
            found = ImageFont.truetype(name, 16)
        except OSError:
            continue
        if has_letters(found, SAMPLE):
            return name
    return None


def has_letters(found: Font, text: Iterable[str]) -> bool:
    """Whether the font can draw all of this; what it cannot, it draws as a box or not at all."""
    absent = _drawn(found, NOWHERE)
    return all(letter.isspace() or _drawn(found, letter) != absent for letter in set(text))


def _candidates() -> Iterator[str]:
    if settings.CHART_FONT:
        yield settings.CHART_FONT
    yield from USUAL
    try:
        yield subprocess.run(MATCH, capture_output=True, text=True, timeout=SECONDS, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return


def _drawn(found: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = found.getmask(letter)
    return mask.size, bytes(mask)
