"""The `segmentation` of an annotation: polygons in pixels, or an RLE; checked before any decoder sees it."""

import msgspec

from annotations.coco import rle, values
from annotations.coco.problems import Action, Problem, Quarantine, Reporter, excerpt

FAR = 10_000_000.0  # pixels: no image is that wide
MIN_POLYGON = 6  # numbers: three points

_polygons = msgspec.json.Decoder(list[list[float]])
_flat = msgspec.json.Decoder(list[float])
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_loose = msgspec.json.Decoder(list[list[msgspec.Raw]])


class Rle(msgspec.Struct):
    """COCO's RLE: runs as a list or a compressed string, size as [height, width]."""

    size: tuple[int, int]
    counts: list[int] | str


_rle = msgspec.json.Decoder(Rle)
Bounds = tuple[float, float, float, float]


class Segmentation(msgspec.Struct, gc=False):
    """What was found: the text to store, and its left, top, right and bottom in pixels, if there are any."""

    text: bytes
    bounds: Bounds | None = None


def read_segmentation(raw: bytes, width: int, height: int, path: str, report: Reporter) -> Segmentation:
    """Check a segmentation of an image of this size (0 = unknown); Quarantine where it would break a decoder."""
    if raw in (b"[]", b"null"):
        return Segmentation(raw)
    if raw[:1] == b"[":
        try:
            parts = _polygons.decode(raw)
        except msgspec.DecodeError:
            return _odd_polygons(raw, path, report)
        if values.has_long_number(raw):
            raise Quarantine("number_too_long", "A coordinate has too many digits.", at=".segmentation")
        return _checked(raw, parts, path, report)
    if raw[:1] == b"{":
        return _read_rle(raw, width, height, path, report)
    report(
        Problem(
            "segmentation_invalid",
            Action.KEPT,
            path,
            f"'segmentation' is {excerpt(raw[:60])}: kept as it is.",
        )
    )
    _fit(raw)
    return Segmentation(raw)


def _fit(raw: bytes) -> None:
    try:
        values.check(raw)
    except values.Unfit as unfit:
        raise Quarantine(unfit.code, f"In 'segmentation', {unfit}.", "Correct the value.", at=".segmentation") from None


def _checked(raw: bytes, parts: list[list[float]], path: str, report: Reporter) -> Segmentation:
    good, left, top, right, bottom = 0, FAR, FAR, -FAR, -FAR
    for part in parts:
        if len(part) >= MIN_POLYGON and not len(part) & 1:
            across, down = part[::2], part[1::2]
            x, y, x2, y2 = min(across), min(down), max(across), max(down)
            if x2 > FAR or y2 > FAR or x < -FAR or y < -FAR:
                raise Quarantine(
                    "polygon_far_out",
                    f"A point lies beyond {FAR:,.0f} pixels.",
                    "Correct the polygon.",
                    at=".segmentation",
                )
            good += 1
            left, top = (x if x < left else left), (y if y < top else top)
            right, bottom = (x2 if x2 > right else right), (y2 if y2 > bottom else bottom)
    bounds = (left, top, right, bottom) if good else None
    if good == len(parts):
        return Segmentation(raw, bounds)
    kept = []
    for index, text in enumerate(_parts.decode(raw)):
        numbers = len(parts[index])
        if numbers >= MIN_POLYGON and not numbers & 1:
            kept.append(bytes(text))
            continue
        report(
            Problem(
                "polygon_invalid",
                Action.QUARANTINED,
                f"{path}[{index}]",
                f"A polygon of {numbers} numbers was left out; expected pairs, {MIN_POLYGON} numbers or more.",
                "Draw it again, or delete it.",
                excerpt(bytes(text)),
            )
        )
    return Segmentation(b"[" + b",".join(kept) + b"]", bounds)


def _odd_polygons(raw: bytes, path: str, report: Reporter) -> Segmentation:
    """A flat list, numbers in strings, or something else that is no list of lists of numbers."""
    if values.BAD in raw:
        raise Quarantine(*values.flaw_of_file(raw), "Correct the polygon.", at=".segmentation")
    if values.LONG_NUMBER.search(raw):
        raise Quarantine("number_too_long", "A coordinate has too many digits.", at=".segmentation")
    try:
        numbers = _flat.decode(raw)
    except msgspec.DecodeError:
        pass
    else:
        report(
            Problem(
                "flat_polygon",
                Action.REPAIRED,
                path,
                "The polygon was a flat list: put into a list of polygons.",
            )
        )
        return _checked(b"[" + raw + b"]", [numbers], path, report)
    try:
        rows = _loose.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        raise Quarantine(
            "segmentation_invalid",
            f"'segmentation' is {excerpt(raw[:80])}; expected lists of numbers or an RLE.",
            "Correct the segmentation.",
            at=".segmentation",
        ) from None
    texts = []
    for row in rows:
        tokens = [values.as_number(bytes(item)) for item in row]
        if None in tokens:
            raise Quarantine("segmentation_invalid", "A coordinate is a text that is no number.", at=".segmentation")
        texts.append(b"[" + b",".join(token for token in tokens if token) + b"]")
    report(Problem("numbers_as_text", Action.REPAIRED, path, "Coordinates stood in strings: read as numbers."))
    fixed = b"[" + b",".join(texts) + b"]"
    return _checked(fixed, _polygons.decode(fixed), path, report)


def _read_rle(raw: bytes, width: int, height: int, path: str, report: Reporter) -> Segmentation:
    _fit(raw)
    try:
        mask = _rle.decode(raw)
        if mask.size[0] * mask.size[1] > rle.MAX_PIXELS:
            counts: list[int] = []
        else:
            counts = rle.decode_counts(mask.counts) if isinstance(mask.counts, str) else mask.counts
    except (msgspec.DecodeError, ValueError) as error:
        raise Quarantine(
            "rle_invalid",
            f"The RLE cannot be read: {error}.",
            "Expected {'size': [height, width], 'counts': runs or COCO's compressed string}.",
            at=".segmentation",
        ) from None
    wrong = rle.flaw(counts, mask.size[0], mask.size[1])
    if wrong:
        raise Quarantine(
            "rle_invalid", f"The RLE cannot be used: {wrong}.", "Encode the mask again.", at=".segmentation"
        )
    if width and height and (mask.size[0], mask.size[1]) != (height, width):
        report(
            Problem(
                "rle_size_mismatch",
                Action.KEPT,
                path,
                f"The RLE is {mask.size[0]} x {mask.size[1]} (height x width), its image {height} x {width}.",
            )
        )
    x, y, w, h = rle.bounds(counts, mask.size[0])
    return Segmentation(raw, (x, y, x + w, y + h) if w else None)
