"""The `segmentation` of an annotation: polygons in pixels, or an RLE; checked before any decoder sees it."""

import msgspec

from annotations.coco import rle, values
from annotations.coco.problems import Action, Problem, Quarantine, Reporter, excerpt

FAR = 10_000_000.0  # pixels: no image is that wide
MIN_POLYGON = 6  # numbers: three points

_polygons = msgspec.json.Decoder(list[list[float]])
_flat = msgspec.json.Decoder(list[float])
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_loose = msgspec.json.Decoder(list[list[float | str]])


class Rle(msgspec.Struct):
    """COCO's RLE: runs as a list or a compressed string, size as [height, width]."""

    size: tuple[int, int]
    counts: list[int] | str


_rle = msgspec.json.Decoder(Rle)
Bounds = tuple[float, float, float, float]


class Segmentation(msgspec.Struct, gc=False):
    """What was found: the text to store, the bounds (left, top, right, bottom) in pixels if there are any."""

    text: bytes
    bounds: Bounds | None = None


def bounds_of(parts: list[list[float]]) -> Bounds:
    """Left, top, right, bottom of polygons."""
    return (
        min(min(part[::2]) for part in parts),
        min(min(part[1::2]) for part in parts),
        max(max(part[::2]) for part in parts),
        max(max(part[1::2]) for part in parts),
    )


def read_segmentation(raw: bytes, width: int, height: int, path: str, report: Reporter) -> Segmentation:
    """Check a segmentation of an image of this size (0 = unknown); Quarantine where it would break a decoder."""
    if raw in (b"[]", b"null"):
        return Segmentation(raw)
    if raw[:1] == b"[":
        try:
            parts = _polygons.decode(raw)
        except msgspec.DecodeError:
            return _odd_polygons(raw, path, report)
        if len(raw) > 40 * sum(map(len, parts)) + 1024 and values.LONG_NUMBER.search(raw):
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
    good: list[list[float]] = []
    for part in parts:
        if len(part) >= MIN_POLYGON and not len(part) & 1:
            if max(part) > FAR or min(part) < -FAR:
                raise Quarantine(
                    "polygon_far_out",
                    f"A point lies beyond {FAR:,.0f} pixels.",
                    "Correct the polygon.",
                    at=".segmentation",
                )
            good.append(part)
    if (b"e" in raw or b"E" in raw) and values.LONG_NUMBER.search(raw):
        raise Quarantine("number_too_long", "A coordinate has an exponent beyond any use.", at=".segmentation")
    if len(good) == len(parts):
        return Segmentation(raw, bounds_of(good) if good else None)
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
    return Segmentation(b"[" + b",".join(kept) + b"]", bounds_of(good) if good else None)


def _odd_polygons(raw: bytes, path: str, report: Reporter) -> Segmentation:
    """A flat list, numbers in strings, or something else that is no list of lists of numbers."""
    if values.NOT_A_NUMBER in raw or values.LONG_NUMBER.search(raw):
        raise Quarantine(
            "not_a_number", "A coordinate is no finite number.", "Correct the polygon.", at=".segmentation"
        )
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
    except msgspec.DecodeError:
        raise Quarantine(
            "segmentation_invalid",
            f"'segmentation' is {excerpt(raw[:80])}; expected lists of numbers or an RLE.",
            "Correct the segmentation.",
            at=".segmentation",
        ) from None
    texts = []
    for row in rows:
        tokens = [values.as_number(str(item).encode()) for item in row]
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
