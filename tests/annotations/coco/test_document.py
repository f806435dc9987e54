"""The top level of a file: cut into records, odd tokens marked."""

import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotations.coco.document import opened
from annotations.coco.problems import CocoFileError
from tests.annotations.coco.reading import read

pieces = st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "-1", "7", '"NaN"', r'"a\"NaN"', r'"\\"', r'"\ud83d\ude00"', r'"x\\ud800"']
)
odd_strings = st.sampled_from([r'"\ud800"', r'"\udc00x"', r'"\ud83d\ud83d\ude00"', r'"\\\ud800"', r'"\ud800\n"'])


@given(st.lists(pieces | odd_strings, min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_constants_and_half_pairs_cost_their_record_only(tokens):
    records = [f'{{"id": {number}, "x": {token}}}' for number, token in enumerate(tokens)]

    found = read(f'{{"images": [{", ".join(records)}]}}'.encode())

    good = {number for number, token in enumerate(tokens) if _is_good(token)}
    assert {record.coco_id for record in found.images} == good
    assert {record.coco_id: json.loads(record.metadata)["x"] for record in found.images} == {
        number: json.loads(tokens[number]) for number in good
    }


def _is_good(token: str) -> bool:
    """Whether the token is JSON whose strings are text."""
    if re.fullmatch(r"-?Infinity|NaN", token):
        return False
    try:
        str(json.loads(token)).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_the_file_itself_never_changes(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"images": [{"id": 1, "x": NaN}]}')
    path.chmod(0o444)

    with opened(path) as document:
        assert b"NaN" not in bytes(document.images[0])

    assert path.read_bytes() == b'{"images": [{"id": 1, "x": NaN}]}'


def test_one_constant_in_a_large_file_does_not_copy_it(tmp_path):
    path = tmp_path / "a.json"
    records = b",".join(b'{"id": %d, "file_name": "%s"}' % (number, b"x" * 1_000) for number in range(20_000))
    path.write_bytes(b'{"images": [' + records + b', {"id": -1, "x": NaN}]}')
    tracemalloc.start()
    try:
        with opened(path) as document:
            assert len(document.images) == 20_001
            assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", '"', "images2", "é", "x:y"]), st.sampled_from(["[]", '"]"', "7", "{}"])
        ),
        max_size=6,
    ),
    st.sampled_from(["", " ", "\n\t"]),
)
@settings(max_examples=200, deadline=None)
def test_repeated_sections_are_always_found(sections, space):
    names = [name for name, _ in sections]
    text = "".join(f"{json.dumps(name)}{space}:{space}{value}{space},{space}" for name, value in sections)
    content = f'{{{space}{text}"images"{space}:{space}[]{space}}}'.encode()

    if len(set(names)) == len(names):
        assert read(content).layout == [*names, "images"]
        return
    with pytest.raises(CocoFileError) as caught:
        read(content)
    assert caught.value.code == "repeated_section"


def test_sections_are_kept_to_the_letter():
    text = '{"a" : 1.50 , "b":[1E5, "\\u00e9\\/"],\n"c": 12345678901234567890123}'

    found = read(f'{{"images": [], "info": {text}}}'.encode())

    assert found.sections == {"info": text}


def test_records_may_be_read_after_the_file_is_closed(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b'{"images": [{"id": 1}]}')
    with opened(path) as document:
        records = document.images

    assert bytes(records[0]) == b'{"id": 1}'
