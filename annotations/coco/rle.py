"""COCO run-length encodings: pixels column by column, first run of zeros (pycocotools' maskApi.c)."""

MAX_PIXELS = 500_000_000


def decode_counts(text: str) -> list[int]:
    """Runs of a compressed RLE string: 5 bits a character, least first, from the third run on as differences.

    Raises ValueError if the text ends inside a number or has characters that the encoding does not use.
    """
    counts: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the character {char!r} is not used by COCO's RLE")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            if len(counts) > 2:
                value += counts[-2]
            counts.append(value)
            value = shift = 0
        elif shift > 60:
            raise ValueError("a run has more than 60 bits")
    if shift:
        raise ValueError("the text ends inside a number")
    return counts


def encode_counts(counts: list[int]) -> str:
    """The compressed string of these runs."""
    chars: list[str] = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            chars.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(chars)


def flaw(counts: list[int], height: int, width: int) -> str | None:
    """What is wrong with runs that should cover height x width pixels; None if nothing is."""
    if height < 1 or width < 1:
        return f"its size is {height} x {width}"
    if height * width > MAX_PIXELS:
        return f"its size {height} x {width} is more than {MAX_PIXELS:,} pixels"
    if counts and min(counts) < 0:
        return "a run is negative"
    total = sum(counts)
    if total != height * width:
        return f"its runs cover {total:,} pixels, its size has {height * width:,}"
    return None


def area(counts: list[int]) -> int:
    """How many pixels the mask has."""
    return sum(counts[1::2])


def bounds(counts: list[int], height: int) -> tuple[int, int, int, int]:
    """The mask's box (x, y, width, height) in pixels; zeros if it is empty."""
    left, top, right, bottom = -1, height, -1, -1
    start = 0
    for index, count in enumerate(counts):
        end = start + count
        if index % 2 and count:
            first_column, first_row = divmod(start, height)
            last_column, last_row = divmod(end - 1, height)
            left = first_column if left < 0 else left
            right = last_column
            if first_column == last_column:
                top, bottom = min(top, first_row), max(bottom, last_row)
            else:  # the run goes round a column's end: it touches the bottom and the top
                top, bottom = 0, height - 1
        start = end
    return (left, top, right - left + 1, bottom - top + 1) if left >= 0 else (0, 0, 0, 0)
