"""COCO's RLE and CVAT's masks: runs down the columns of the whole image, and runs along the rows of a box."""

from collections.abc import Sequence

from annotations.coco import rle

EMPTY = "the mask has no pixels, and CVAT has no way to say so"
BOX = 4  # numbers at the end of a mask: left, top, right, bottom


def from_rle(counts: Sequence[int] | str, height: int, width: int) -> list[int]:
    """CVAT's mask of a COCO RLE (list of runs, or the compressed string) of an image of this size in pixels.

    Raises ValueError for an RLE that does not cover the image, and for an empty one.
    """
    runs = rle.decode_counts(counts) if isinstance(counts, str) else list(counts)
    wrong = rle.flaw(runs, height, width)
    if wrong:
        raise ValueError(f"the RLE cannot be used: {wrong}")
    left, top, box_width, box_height = rle.bounds(runs, height)
    if not box_width:
        raise ValueError(EMPTY)
    # The columns of the box only: an image may have half a billion pixels, of which the mask has a corner.
    columns = bytearray(box_width * height)
    start = -left * height
    for index, count in enumerate(runs):
        if index % 2 and count:
            columns[start : start + count] = b"\1" * count
        start += count
    rows = b"".join(columns[row::height] for row in range(top, top + box_height))
    return [*_runs(rows), left, top, left + box_width - 1, top + box_height - 1]


def to_rle(points: Sequence[float], height: int, width: int) -> list[int]:
    """COCO's runs (columns of the whole image, first zeros) of a CVAT mask.

    A mask that an annotator drew over the edge is cut there. Raises ValueError for one that is no mask.
    """
    wrong = flaw(points)
    if wrong:
        raise ValueError(wrong)
    left, top, right, bottom = (int(value) for value in points[-BOX:])
    box_width, box_height = right - left + 1, bottom - top + 1
    rows = bytearray(box_width * box_height)
    start = 0
    for index, value in enumerate(points[:-BOX]):
        count = int(value)
        if index % 2:
            rows[start : start + count] = b"\1" * count
        start += count
    first, last = max(left, 0), min(right, width - 1)
    above, below = max(top, 0), min(bottom, height - 1)
    if first > last or above > below:
        return [height * width]
    columns = bytearray((last - first + 1) * height)
    for column in range(first, last + 1):
        pixels = rows[column - left :: box_width][above - top : below - top + 1]
        at = (column - first) * height + above
        columns[at : at + len(pixels)] = pixels
    runs = _runs(columns)
    runs[0] += first * height
    behind = (width - 1 - last) * height
    if behind and len(runs) % 2:
        runs[-1] += behind
    elif behind:
        runs.append(behind)
    return runs


def flaw(points: Sequence[float]) -> str | None:
    """What is wrong with a mask in itself, None if nothing. CVAT stores a wrong one, then cannot export the task."""
    if len(points) <= BOX:
        return f"it has {len(points)} numbers; runs and a box of 4 are needed"
    if any(value != int(value) for value in points):
        return "a number is not whole"
    left, top, right, bottom = (int(value) for value in points[-BOX:])
    if right < left or bottom < top:
        return f"its box ends before it begins ({left}, {top}, {right}, {bottom})"
    if any(value < 0 for value in points[:-BOX]):
        return "a run is negative"
    total, area = int(sum(points[:-BOX])), (right - left + 1) * (bottom - top + 1)
    if total != area:
        return f"its runs cover {total:,} pixels, its box has {area:,}"
    return None


def area(points: Sequence[float]) -> int:
    """How many pixels a CVAT mask has."""
    return int(sum(points[1:-BOX:2]))


def _runs(bits: bytes | bytearray) -> list[int]:
    """Run lengths, the first of zeros."""
    runs: list[int] = []
    at, value, end = 0, 0, len(bits)
    while at < end:
        change = bits.find(1 - value, at)
        change = end if change < 0 else change
        runs.append(change - at)
        at, value = change, 1 - value
    return runs or [0]
