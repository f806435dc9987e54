"""Flaws of one annotation that are valid COCO but look like mistakes. They are issues of the row, not problems."""

from annotations.coco.segmentation import Bounds

TINY = 2.0  # pixels: a box with a shorter side
BEYOND = 1  # pixels: a box may reach so far over the right and the lower edge; tools round, and some count from 1
AGREEMENT = 0.5  # of the box and the outline's bounds: intersection over union


def box_issue(x: float, y: float, w: float, h: float, bounds: Bounds | None) -> str:
    """`bbox_tiny`, `bbox_mismatch` (the outline lies elsewhere), or nothing; all in pixels, the box not empty.

    What the two have in common says nothing of a tiny box: see `strays`.
    """
    if w < TINY or h < TINY:
        return "bbox_tiny"
    if bounds is None:
        return ""
    left, top, right, bottom = bounds
    across = (right if right < x + w else x + w) - (left if left > x else x)
    down = (bottom if bottom < y + h else y + h) - (top if top > y else y)
    if across <= 0 or down <= 0:
        return "bbox_mismatch"
    shared = across * down
    return "bbox_mismatch" if shared < AGREEMENT * (w * h + (right - left) * (bottom - top) - shared) else ""


def strays(x: float, y: float, w: float, h: float, bounds: Bounds | None) -> bool:
    """Whether the outline of a tiny or empty box reaches further from it than tools round."""
    if bounds is None:
        return False
    left, top, right, bottom = bounds
    return left < x - TINY or top < y - TINY or right > x + w + TINY or bottom > y + h + TINY
