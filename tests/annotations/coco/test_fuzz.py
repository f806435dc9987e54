"""Whatever bytes come: records and problems, or CocoFileError. Nothing else ever leaves the reader."""

import gzip
import json
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotations import rows
from annotations.coco.problems import CocoFileError
from annotations.coco.rle import encode_counts
from tests.annotations.coco.reading import annotation, good, read, text_of

VALID = {
    **good(),
    "licenses": [{"id": 1, "name": "é🙂"}],
    "annotations": [
        *good()["annotations"],
        annotation(14, 1, segmentation={"size": [4, 4], "counts": [5, 6, 5]}, iscrowd=1),
        annotation(
            15,
            1,
            segmentation={"size": [480, 640], "counts": encode_counts([100, 9, 307_091])},
            keypoints=[1, 2, 2],
            num_keypoints=1,
        ),
        annotation("key", 2, attributes={"a": [True, None, 1.5e-3]}, score=0.25, whatever={"b": {}}),
        {"id": 1, "image_id": 3, "caption": 'a "cat" \\ on\na mat'},
        {"image_id": 2, "segments_info": [{"id": 7}], "file_name": "p.png"},
    ],
}
TEXT = text_of(VALID)
TOKENS = [
    *(b"NaN", b"-Infinity", b"1e999", b"1e-99999", b"9" * 500, b"null", b"true", b"{}", b"[]", b'""', b"[[[[", b"-"),
    *(b'"\\ud800"', b'"\\u0000"', b"\xff", b"\\", b'"', b",", b":", b"{", b"}", b"[", b"]", b"0", b"\x00", b"\x7f"),
    b"\xed\xa0\x80",
]


def lines_of(content: bytes) -> int:
    """Read the file and make its rows; how many there are."""
    try:
        found = read(content)
    except CocoFileError:
        return 0
    for problem in found.problems:
        json.dumps(problem.as_dict()).encode()
    lines = [rows.image_row(record, 0, None, "missing", ()) for record in found.images]
    lines += [rows.annotation_row(record) for record in found.annotations]
    assert all(b"\n" not in line and b"\xff" not in line for line in lines)
    assert all(line.count(b"\t") == 13 for line in lines)
    return len(lines)


def test_the_valid_file_is_read_without_problems_worth_a_record():
    assert lines_of(TEXT) == 3 + 8


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
@example(b"\x1f\x8b")
@example(b"\x1f\x8b\x08\x00")
@example(b"{}")
def test_any_bytes(content):
    lines_of(content)


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 40), st.sampled_from(TOKENS) | st.binary(max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_change_of_a_valid_file(at, length, token):
    lines_of(TEXT[:at] + token + TEXT[at + length :])


@given(st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_many_changes_of_a_valid_file(chance: random.Random):
    content = bytearray(TEXT)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(content))
        match chance.randrange(3):
            case 0:
                content[at] ^= 1 << chance.randrange(8)
            case 1:
                content[at:at] = chance.choice(TOKENS)
            case 2:
                del content[at : at + chance.randint(1, 30)]
    lines_of(bytes(content))


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_any_change_of_a_packed_file(at, byte):
    content = bytearray(gzip.compress(TEXT, mtime=0))
    content[at % len(content)] = byte
    lines_of(bytes(content))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["1", "2.0", "\0", "\ud800", "o01", 1, 2, 11, 12]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
RECORDS = [record for section in ("images", "annotations", "categories") for record in VALID[section]]
names = st.sampled_from(sorted({name for record in RECORDS for name in record}))


@given(st.sampled_from(["images", "annotations", "categories"]), names, anything)
@settings(max_examples=300, deadline=None)
def test_any_value_of_any_field(section, name, value):
    document = json.loads(json.dumps(VALID))
    document[section][1][name] = value
    lines_of(json.dumps(document).encode())


def test_every_truncation_is_refused():
    for end in range(0, len(TEXT), 7):
        assert lines_of(TEXT[:end]) == 0
