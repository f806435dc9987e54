"""Every bad input of the catalogue (BAD_INPUTS, 1-29): what becomes of it, and that all else lands."""

import codecs
import gzip
import json
import tracemalloc

import pytest

from annotations.coco.problems import CocoFileError
from tests.annotations.coco.reading import (
    KEPT,
    QUARANTINED,
    RAW,
    REPAIRED,
    annotation,
    good,
    read,
    spoiled,
    text_of,
    with_annotation,
    with_image,
)

NUL = RAW + r'"x\u0000"'
HALF = RAW + r'"\ud83d"'
DEEP = RAW + "[" * 70 + "]" * 70
SPOILED = "$.annotations[1]"


def refusal(content) -> CocoFileError:
    """The error that reading ends in."""
    with pytest.raises(CocoFileError) as caught:
        read(content)
    return caught.value


# --- the file as a whole: refused (1-3, 8, 28) or read all the same (2, 24, 27) -------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "offset"),
    [
        (b"", "empty", 0),
        (b" \n", "bad_json", 2),
        (text_of(good())[:-40], "bad_json", len(text_of(good())) - 40),
        (text_of(good()) + b" {}", "bad_json", len(text_of(good())) + 1),
        (b'{"images": [], }', "bad_json", 15),
        (b"\xef\xbb\xbf" + b'{"images": [}', "bad_json", 15),
        (text_of(good()).replace(b'"a.jpg"', b'"\xe9.jpg"'), "bad_encoding", text_of(good()).index(b'"a.jpg"') + 1),
        (json.dumps(good()).encode("utf-16"), "bad_encoding", 0),
        (json.dumps(good()).encode("utf-16-be"), "bad_json", 0),
        (codecs.BOM_UTF32_LE + json.dumps(good()).encode("utf-32-le"), "bad_encoding", 0),
    ],
    ids=["empty", "blank", "truncated", "trailing", "comma", "after-bom", "latin1", "utf16", "utf16-bare", "utf32"],
)
def test_unreadable_file_is_refused_with_its_byte(content, code, offset):
    error = refusal(content)

    assert (error.code, error.offset) == (code, offset)


def test_invalid_utf8_is_found_at_its_byte_across_chunks(monkeypatch):
    monkeypatch.setattr("annotations.coco.document.CHUNK", 7)
    text = text_of({"images": [], "info": "åäö" * 10 + "@"}).decode("unicode_escape").encode()
    assert read(text).problems == []

    assert refusal(text.replace(b"@", b"\xc3")).offset == text.index(b"@")


def test_byte_order_mark_is_left_out_and_told():
    found = read(codecs.BOM_UTF8 + text_of(good()))

    assert found.told == [("byte_order_mark", REPAIRED, "$")]
    assert len(found.annotations) == 3


def test_gzip_is_read():
    assert len(read(gzip.compress(text_of(good()))).annotations) == 3


@pytest.mark.parametrize(
    "spoil", [lambda packed: packed[:-9], lambda packed: packed[:15] + b"\xff" + packed[16:], lambda packed: packed[:2]]
)
def test_damaged_gzip_is_refused(spoil):
    assert refusal(spoil(gzip.compress(text_of(good())))).code == "bad_gzip"


def test_gzip_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("annotations.coco.document.MAX_UNPACKED", 100)

    assert refusal(gzip.compress(text_of(good()))).code == "gzip_bomb"


def test_full_disk_is_not_blamed_on_the_file(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr("annotations.coco.document.tempfile.TemporaryFile", Full)

    with pytest.raises(OSError, match="No space left"):
        read(gzip.compress(text_of(good())))


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("images", "meta"),
        ("images", "width"),
        ("annotations", "attributes"),
        ("annotations", "segmentation"),
        ("annotations", "bbox"),
        ("annotations", "id"),
        ("annotations", "keypoints"),
        ("annotations", "caption"),
        ("categories", "skeleton"),
        ("categories", "name"),
    ],
)
def test_deep_nesting_is_refused_wherever_it_is(section, field):
    document = good()
    document[section][1][field] = DEEP

    error = refusal(document)

    assert error.code == "too_deep"
    assert error.path.startswith(f"$.{section}[1]")


def test_deep_nesting_of_other_sections_is_refused():
    assert refusal({**good(), "notes": DEEP}).code == "too_deep"
    assert refusal({**good(), "notes": RAW + "[" * 100_000 + "]" * 100_000}).code == "too_deep"


def test_nesting_of_64_levels_is_taken():
    found = spoiled(lambda document: document["images"][1].update(meta=RAW + "[" * 62 + "]" * 62))

    assert found.problems == []


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (b"[]", "not_an_object", "an array"),
        (b'"text"', "not_an_object", "a string"),
        (b"7", "not_an_object", "no object"),
        (b"null", "not_an_object", "no object"),
        (b"{}", "no_images", "Found at the top level: nothing"),
        (b'{"shapes": [], "imagePath": ""}', "no_images", "'shapes', 'imagePath'"),
        (b'{"images": {}}', "not_an_array", "an object"),
        (b'{"images": [], "annotations": null}', "not_an_array", "null"),
        (b'{"images": [], "categories": {"1": "cat"}}', "not_an_array", "an object"),
    ],
)
def test_other_shapes_are_refused_naming_what_was_found(content, code, told):
    error = refusal(content)

    assert error.code == code
    assert told in error.message


@pytest.mark.parametrize(
    ("section", "old", "new"),
    [
        ("images", "file_name", "fileName"),
        ("images", "id", "image_id"),
        ("annotations", "image_id", "imageId"),
        ("annotations", "category_id", "categoryId"),
        ("categories", "id", "category_id"),
    ],
)
def test_keys_that_are_almost_right_are_refused_naming_both(section, old, new):
    document = good()
    for record in document[section]:
        record[new] = record.pop(old)

    error = refusal(document)

    assert (error.code, error.path) == ("wrong_keys", f"$.{section}")
    assert repr(old) in error.message
    assert repr(new) in error.message


@pytest.mark.parametrize("text", ['"info": {}, ', '"images": [{"id": 9}], ', '"annotations": [], '])
def test_section_that_stands_twice_is_refused_however_small(text):
    content = text_of(good()).replace(b"{", b"{" + text.encode(), 1)

    assert refusal(content).code == "repeated_section"


def test_section_that_stands_twice_in_a_large_file_is_refused():
    many = {**good(), "annotations": [annotation(number, 1) for number in range(2_000)]}
    content = text_of(many).replace(b"{", b'{"annotations": [{"id": 1, "x": "]}"}], ', 1)

    assert refusal(content).code == "repeated_section"


def test_annotations_may_come_before_images_and_unknown_sections_are_kept():
    document = good()
    turned = {"annotations": document["annotations"], "notes": {"by": ["me"]}, **document}

    found = read(turned)

    assert found.problems == []
    assert found.layout == ["annotations", "notes", "info", "images", "categories"]
    assert json.loads(found.sections["notes"]) == {"by": ["me"]}
    assert len(found.annotations) == 3


def test_file_without_annotations_is_taken():
    found = read({"images": good()["images"]})

    assert (found.problems, len(found.images), found.annotations) == ([], 3, [])


def test_captions_need_no_categories():
    found = read({"images": good()["images"], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]})

    assert (found.problems, len(found.annotations)) == ([], 1)


@pytest.mark.parametrize(("given", "read_as", "extra"), [(1, 1, None), (77, None, b'{"category_id":77}')])
def test_caption_with_a_category_keeps_it_listed_or_not(given, read_as, extra):
    caption = {"id": 1, "image_id": 1, "caption": "a cat", "category_id": given}
    found = read({**good(), "annotations": [caption]})

    assert found.problems == []
    assert [one.category_id for one in found.annotations] == [read_as]
    assert extra is None or extra[1:-1] in found.annotations[0].extra


def test_section_of_almost_the_right_name_is_kept_and_told():
    document = good()
    document["annotation"] = document.pop("annotations")

    assert read(document).told == [("section_lookalike", KEPT, "$.annotation")]


# --- annotations: quarantined (4-7, 10-13, 17, 22) ------------------------------------------------------------------

LONG = RAW + "1" * 5_000
HIDDEN = RAW + "[[" + "1," * 400 + "0." + "1" * 5_000 + "]]"  # one long number among many short ones


@pytest.mark.parametrize(
    ("fields", "code", "at"),
    [
        # 4: numbers beyond any use, also hidden among others and in exponents
        ({"area": LONG}, "number_too_long", ".area"),
        ({"score": LONG}, "number_too_long", ".score"),
        ({"id": LONG}, "id_invalid", ".id"),
        ({"num_keypoints": LONG}, "number_too_long", ".num_keypoints"),
        ({"iscrowd": LONG}, "number_too_long", ".iscrowd"),
        ({"image_id": LONG}, "image_id_invalid", ".image_id"),
        ({"attributes": {"a": LONG}}, "number_too_long", ".attributes"),
        ({"whatever": [LONG]}, "number_too_long", ".whatever"),
        ({"segmentation": HIDDEN}, "number_too_long", ".segmentation"),
        ({"segmentation": RAW + "[[1,2,3,4,5,1e-99999]]"}, "number_too_long", ".segmentation"),
        ({"keypoints": RAW + HIDDEN[len(RAW) + 1 : -1]}, "number_too_long", ".keypoints"),
        ({"keypoints": RAW + "[1, 1e-99999, 2]"}, "number_too_long", ".keypoints"),
        ({"bbox": RAW + "[1, 1e-99999, 2, 2]"}, "number_too_long", ".bbox"),
        ({"bbox": RAW + f"[1, 0.{'1' * 20_000}, 2, 2]"}, "number_too_long", ".bbox"),
        ({"area": RAW + "1e-99999"}, "number_too_long", ".area"),
        ({"whatever": RAW + "1e-99999"}, "number_too_long", ".whatever"),
        # 5: no numbers at all
        ({"area": RAW + "NaN"}, "not_a_number", ".area"),
        ({"area": RAW + "-Infinity"}, "not_a_number", ".area"),
        ({"area": RAW + "1e999"}, "not_a_number", ".area"),
        ({"bbox": RAW + "[NaN, 1, 2, 3]"}, "not_a_number", ".bbox"),
        ({"bbox": RAW + "[1, 2, -Infinity, 3]"}, "not_a_number", ".bbox"),
        ({"bbox": RAW + "[1e999, 1, 2, 3]"}, "not_a_number", ".bbox"),
        ({"bbox": RAW + "[NaN, 1, 2, 3]", "segmentation": []}, "not_a_number", ".bbox"),
        ({"segmentation": RAW + "[[1, 2, 3, 4, Infinity, 6]]"}, "not_a_number", ".segmentation"),
        ({"segmentation": RAW + "[[1, 2, 3, 4, 1e999, 6]]"}, "segmentation_invalid", ".segmentation"),
        ({"keypoints": RAW + "[1, NaN, 2]"}, "not_a_number", ".keypoints"),
        ({"attributes": {"a": RAW + "NaN"}}, "not_a_number", ".attributes"),
        ({"whatever": RAW + "[Infinity]"}, "not_a_number", ".whatever"),
        ({"id": RAW + "NaN"}, "id_invalid", ".id"),
        # 6
        ({"id": 2**63}, "id_invalid", ".id"),
        ({"id": -(2**63) - 1}, "id_invalid", ".id"),
        # 7: also in depth, and where a key is written in two ways
        ({RAW: RAW + '"a": 1, "a": 2'}, "duplicate_key", ""),
        ({RAW: RAW + r'"\u003a": 1, "a": 2, "a": 3'}, "duplicate_key", ""),
        ({RAW: RAW + r'"a": 1, "\u0061": 1'}, "duplicate_key", ""),
        ({"attributes": RAW + '{"a": 1, "a": 1}'}, "duplicate_key", ".attributes"),
        ({"segmentation": RAW + '{"size": [1, 1], "counts": [1], "size": [1, 1]}'}, "duplicate_key", ".segmentation"),
        # 10
        ({"image_id": 99}, "dangling_image_id", ".image_id"),
        ({"image_id": 2**70}, "dangling_image_id", ".image_id"),
        ({"image_id": None}, "image_id_missing", ""),
        ({"category_id": 99}, "dangling_category_id", ".category_id"),
        ({"category_id": "cat"}, "dangling_category_id", ".category_id"),
        # 11
        ({"id": 12.5}, "id_invalid", ".id"),
        ({"id": "12.5"}, "id_invalid", ".id"),
        ({"id": True}, "id_invalid", ".id"),
        ({"id": " "}, "id_invalid", ".id"),
        ({"id": [12]}, "id_invalid", ".id"),
        # 13
        ({"bbox": RAW + "null", "segmentation": []}, "bbox_invalid", ".bbox"),
        ({"bbox": [1, 2, 3], "segmentation": None}, "bbox_invalid", ".bbox"),
        ({"bbox": {"x": 1}, "segmentation": []}, "bbox_invalid", ".bbox"),
        ({"bbox": ["a", 1, 2, 3], "segmentation": []}, "bbox_invalid", ".bbox"),
        # 17
        ({"segmentation": [[0, 0, 1e9, 0, 1e9, 1e9]]}, "polygon_far_out", ".segmentation"),
        ({"segmentation": {"size": [100_000, 100_000], "counts": [10**10]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": [15]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": [17]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": [-1, 17]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [0, 4], "counts": []}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [-4, -4], "counts": [16]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": "~"}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4], "counts": "P" * 40}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {"size": [4, 4]}}, "rle_invalid", ".segmentation"),
        ({"segmentation": {}}, "rle_invalid", ".segmentation"),
        ({"segmentation": [["a", 1, 2, 3, 4, 5]]}, "segmentation_invalid", ".segmentation"),
        ({"segmentation": [[[1, 2], [3, 4], [5, 6]]]}, "segmentation_invalid", ".segmentation"),
        # 22
        ({"attributes": {"a": NUL}}, "nul_character", ".attributes"),
        ({"whatever": NUL}, "nul_character", ".whatever"),
        ({"segmentation": NUL}, "nul_character", ".segmentation"),
        ({"id": NUL}, "nul_character", ""),
        ({RAW: RAW + r'"a\u0000": 1'}, "nul_character", ""),
        ({"attributes": {"a": HALF}}, "lone_surrogate", ".attributes"),
        ({"whatever": HALF}, "lone_surrogate", ".whatever"),
        ({"segmentation": HALF}, "lone_surrogate", ".segmentation"),
        ({"segmentation": {"size": [1, 1], "counts": HALF}}, "lone_surrogate", ".segmentation"),
        ({"id": HALF}, "lone_surrogate", ""),
        ({"whatever": RAW + r'"\udc00\ud800"'}, "lone_surrogate", ".whatever"),
        ({RAW: RAW + r'"\ud800": 1'}, "lone_surrogate", ""),
    ],
)
def test_unusable_annotation_is_left_out_and_all_else_lands(fields, code, at):
    if RAW in fields:  # more text inside of the record
        content = text_of(good()).replace(b'"id": 12,', b'"id": 12, ' + fields[RAW][len(RAW) :].encode() + b",")
        found = read(content)
    else:
        found = with_annotation(**fields)

    assert found.told == [
        (code, QUARANTINED, SPOILED + (at if code != "nul_character" or RAW not in fields else r".a" + "\0"))
    ]
    assert [record.coco_id for record in found.annotations] == [11, 13]
    assert (len(found.images), len(found.categories)) == (3, 2)


@pytest.mark.parametrize("record", ["null", "7", '"text"', "[]", "true"])
@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_record_that_is_no_object_is_left_out(section, record):
    document = good()
    document[section].append(RAW + record)

    found = read(document)

    number = len(document[section]) - 1
    assert found.told == [("not_an_object", QUARANTINED, f"$.{section}[{number}]")]
    assert [len(found.images), len(found.annotations), len(found.categories)] == [3, 3, 2]


def test_report_shows_the_record_as_it_stood_in_the_file():
    raw = r'{"id": 1, "a": [NaN, -Infinity, Infinity], "b": "\ud800"}'

    (problem,) = read({**good(), "annotations": [RAW + raw]}).problems

    assert problem.raw == raw


def test_long_record_is_cut_in_the_report():
    whole = with_annotation(whatever=NUL, more="x" * 100_000).problems[0].raw
    cut = with_annotation(whatever=NUL, more="x" * 2_000_000).problems[0].raw

    assert (whole[-1], len(whole) > 100_000) == ("}", True), "what is left out can be taken from the report and mended"
    assert (cut[-1], len(cut)) == ("…", 1024 * 1024)


def test_report_shows_the_start_of_a_record_that_is_taken_all_the_same():
    (problem,) = with_annotation(bbox=[10, 20, 30, 40], area=1300, more="x" * 1_000).problems

    assert problem.raw.startswith('{"id": 12')
    assert len(problem.raw) == 500


def test_words_that_look_like_constants_are_left_alone_in_strings():
    found = with_annotation(area=RAW + "NaN", whatever=0)
    words = 'NaN, Infinity "NaN" \\ -Infinity: [NaN]'
    document = good()
    document["annotations"][1]["area"] = RAW + "NaN"
    document["annotations"][2]["note"] = words
    document["images"][0]["file_name"] = words + "é🙂"

    found = read(document)

    assert json.loads(found.annotations[-1].extra)["note"] == words
    assert found.images[0].file_name == words + "é🙂"


# --- annotations: repaired (9, 11, 12, 13, 16, 18, 25) --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "at", "name", "value"),
    [
        ({"id": "12"}, "id_not_integer", ".id", "coco_id", 12),
        ({"id": 12.0}, "id_not_integer", ".id", "coco_id", 12),
        ({"id": "box-12"}, "id_not_integer", ".id", "coco_key", "box-12"),
        ({"image_id": "2"}, "image_id_not_integer", ".image_id", "image", 1),
        ({"image_id": 2.0}, "image_id_not_integer", ".image_id", "image", 1),
        ({"category_id": "1"}, "category_id_not_integer", ".category_id", "category_id", 1),
        ({"id": None}, "id_missing", ".id", "coco_id", 14),
        ({"bbox": ["10", 20, "30.5", 40]}, "numbers_as_text", ".bbox", "bbox", b"[10,20,30.5,40]"),
        ({"area": "63.6583"}, "numbers_as_text", ".area", "area", b"63.6583"),
        ({"score": "0.5"}, "numbers_as_text", ".score", "score", b"0.5"),
        (
            {"segmentation": [["10", 20, 40, "20", 40, "60"]]},
            "numbers_as_text",
            ".segmentation",
            "segmentation",
            b"[[10,20,40,20,40,60]]",
        ),
        ({"bbox": RAW + "null"}, "bbox_invalid", ".bbox", "bbox", b"[10.0,20.0,30.0,40.0]"),
        ({"bbox": []}, "bbox_invalid", ".bbox", "bbox", b"[10.0,20.0,30.0,40.0]"),
        ({"bbox": [1, 2, 3, 4, 5]}, "bbox_invalid", ".bbox", "bbox", b"[10.0,20.0,30.0,40.0]"),
        (
            {"segmentation": [10, 20, 40, 20, 40, 60]},
            "flat_polygon",
            ".segmentation",
            "segmentation",
            b"[[10, 20, 40, 20, 40, 60]]",
        ),
        ({"iscrowd": None}, "iscrowd_missing", ".iscrowd", "iscrowd", None),
        ({"iscrowd": True}, "iscrowd_not_integer", ".iscrowd", "iscrowd", 1),
        ({"iscrowd": 1.0}, "iscrowd_not_integer", ".iscrowd", "iscrowd", 1),
        ({"iscrowd": "0"}, "iscrowd_not_integer", ".iscrowd", "iscrowd", 0),
    ],
)
def test_repairable_annotation_is_repaired_and_told(fields, code, at, name, value):
    found = with_annotation(**fields)

    assert found.told == [(code, REPAIRED, SPOILED + at)]
    assert getattr(found.annotation, name) == value
    assert len(found.annotations) == 3


@pytest.mark.parametrize("polygon", [[1, 2, 3, 4, 5], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7], []])
def test_part_of_a_polygon_that_cannot_be_is_left_out_and_the_box_stays(polygon):
    found = with_annotation(segmentation=[polygon, [10, 20, 40, 20, 40, 60]])

    assert found.told == [("polygon_invalid", QUARANTINED, f"{SPOILED}.segmentation[0]")]
    assert found.annotation.segmentation == b"[[10, 20, 40, 20, 40, 60]]"
    assert found.annotation.bbox == b"[10, 20, 30, 40]"


def test_all_parts_of_a_polygon_may_be_left_out():
    found = with_annotation(segmentation=[[1, 2], [3]])

    assert [path for _, _, path in found.told] == [f"{SPOILED}.segmentation[0]", f"{SPOILED}.segmentation[1]"]
    assert found.annotation.segmentation == b"[]"


def test_same_annotation_twice_is_taken_once():
    found = spoiled(lambda document: document["annotations"].append(dict(reversed(annotation(12, 2).items()))))

    assert found.told == [("duplicate_annotation", REPAIRED, "$.annotations[3].id")]
    assert [record.coco_id for record in found.annotations] == [11, 12, 13]


def test_same_annotation_twice_is_taken_once_also_if_its_id_is_a_text():
    found = spoiled(lambda document: document["annotations"].extend([annotation("x", 2), annotation("x", 2)]))

    assert [code for code, _, _ in found.told] == ["id_not_integer", "id_not_integer", "duplicate_annotation"]
    assert len(found.annotations) == 4


def test_annotation_id_of_two_things_goes_to_the_first():
    found = spoiled(lambda document: document["annotations"].append(annotation(12, 3)))

    assert found.told == [("duplicate_annotation_id", REPAIRED, "$.annotations[3].id")]
    assert [(record.coco_id, record.image) for record in found.annotations] == [(11, 0), (12, 1), (13, 2), (14, 2)]


@pytest.mark.parametrize("again", [HALF, RAW + "1e999", NUL, RAW + "NaN"])
def test_annotation_id_again_in_a_record_that_is_unusable_anyhow(again):
    found = spoiled(lambda document: document["annotations"].append(annotation(12, 3, whatever=again)))

    assert [record.coco_id for record in found.annotations] == [11, 12, 13]
    assert found.told[-1][1:] == (QUARANTINED, "$.annotations[3].whatever")


@pytest.mark.parametrize("greatest", [2**63 - 1, 2**62, 2**62 - 1])
def test_missing_ids_are_given_also_where_ids_are_as_great_as_can_be(greatest):
    found = spoiled(
        lambda document: document["annotations"].extend(
            [annotation(greatest, 1), {**annotation(0, 2), "id": RAW + "null"}]
            + [{name: value for name, value in annotation(0, 2).items() if name != "id"} for _ in range(2)]
        )
    )

    ids = [record.coco_id for record in found.annotations]
    assert len(ids) == len(set(ids)) == 6
    assert max(ids) < 2**63
    assert ids[:4] == [11, 12, 13, greatest]


def test_captions_and_objects_count_their_ids_apart():
    found = spoiled(lambda document: document["annotations"].append({"id": 12, "image_id": 1, "caption": "a cat"}))

    assert found.problems == []
    assert [(record.coco_id, record.family) for record in found.annotations][-1] == (12, 1)


# --- annotations: kept and flagged (14, 25, 26) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "at", "issue"),
    [
        ({"bbox": [10, 20, -30, 40], "area": 5}, "bbox_negative", ".bbox", "bbox_negative"),
        ({"bbox": [10, 20, 0, 40], "area": 0}, "bbox_empty", ".bbox", "bbox_empty bbox_mismatch"),
        ({"bbox": [10, 20, 0, 40], "area": 0, "segmentation": []}, "bbox_empty", ".bbox", "bbox_empty"),
        ({"bbox": [-1, 20, 30, 40]}, "bbox_outside", ".bbox", "bbox_mismatch bbox_outside"),
        ({"bbox": [630, 20, 30, 40]}, "bbox_outside", ".bbox", "bbox_mismatch bbox_outside"),
        ({"bbox": [1e300, 20, 1e300, 40]}, "bbox_outside", ".bbox", "bbox_mismatch bbox_outside"),
        ({"area": 1300}, "area_exceeds_bbox", ".area", "area_exceeds_bbox"),
        ({"area": -5}, "area_negative", ".area", None),
        ({"area": None}, "area_missing", ".area", None),
        ({"area": RAW + "null"}, "area_null", ".area", None),
        ({"area": [1]}, "area_invalid", ".area", None),
        ({"area": "large"}, "area_invalid", ".area", None),
        ({"iscrowd": 2}, "iscrowd_invalid", ".iscrowd", None),
        ({"iscrowd": RAW + "null"}, "iscrowd_invalid", ".iscrowd", None),
        ({"keypoints": [1, 2, 2, 4]}, "keypoints_odd", ".keypoints", "keypoints_odd"),
        ({"keypoints": "none"}, "keypoints_invalid", ".keypoints", None),
        (
            {"keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 2},
            "num_keypoints_wrong",
            ".num_keypoints",
            "num_keypoints_wrong",
        ),
        ({"category_id": None}, "category_id_missing", ".category_id", None),
        ({"category_id": RAW + "null"}, "category_id_null", ".category_id", None),
        ({"segmentation": 7}, "segmentation_invalid", ".segmentation", None),
        ({"segmentation": {"size": [4, 4], "counts": [16]}}, "rle_size_mismatch", ".segmentation", None),
    ],
)
def test_odd_annotation_is_kept_to_the_letter_and_told(fields, code, at, issue):
    found = with_annotation(**fields)

    assert found.told == [(code, KEPT, SPOILED + at)]
    record = found.annotation
    assert record.issues == tuple((issue or "").split())
    rest = json.loads(record.extra or b"{}")
    for name, value in fields.items():
        column = getattr(record, name)
        stored = json.loads(column) if isinstance(column, bytes) else rest.get(name, column)
        assert stored == (None if value == RAW + "null" else value)


@pytest.mark.parametrize(
    "fields",
    [
        {"attributes": RAW + "null"},
        {"attributes": {}},
        {"attributes": {"occluded": False, "deep": [[{"a": None}]]}},
        {"segmentation": []},
        {"segmentation": RAW + "null"},
        {"segmentation": None, "bbox": None},
        {"segmentation": {"size": [480, 640], "counts": [0, 480 * 640], "kept": "too"}},
        {"whatever": "\x7fdel, ÿ, \u2028, 🙂"},
        {"caption": "an object with a caption"},
        {"num_keypoints": 0, "keypoints": [0, 0, 0]},
        {"num_keypoints": 3},
        {"id": 0},
        {"id": -5},
        {"id": 2**63 - 1},
        {"area": RAW + "1E2"},
    ],
)
def test_valid_annotation_is_no_problem(fields):
    found = with_annotation(**fields)

    assert found.problems == []
    assert len(found.annotations) == 3
    assert all(record.family == 0 for record in found.annotations)


# --- images (9, 11, 15, 19, 20, 21, 22) -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "action", "at"),
    [
        ({"width": None}, "width_missing", KEPT, ""),
        ({"height": 0}, "height_zero", KEPT, ".height"),
        ({"width": "640"}, "width_not_integer", REPAIRED, ".width"),
        ({"width": 640.0}, "width_not_integer", REPAIRED, ".width"),
        ({"width": "wide"}, "width_invalid", KEPT, ".width"),
        ({"width": 640.5}, "width_invalid", KEPT, ".width"),
        ({"width": -640}, "width_invalid", KEPT, ".width"),
        ({"width": 2**31}, "width_invalid", KEPT, ".width"),
        ({"width": RAW + "null"}, "width_invalid", KEPT, ".width"),
        ({"file_name": None}, "file_name_missing", KEPT, ""),
        ({"file_name": 17}, "file_name_invalid", KEPT, ".file_name"),
        ({"file_name": RAW + "null"}, "file_name_invalid", KEPT, ".file_name"),
        ({"id": "2"}, "id_not_integer", REPAIRED, ".id"),
        ({"id": 2.0}, "id_not_integer", REPAIRED, ".id"),
    ],
)
def test_odd_image_lands_and_is_told(fields, code, action, at):
    found = with_image(**fields)

    assert found.told == [(code, action, f"$.images[1]{at}")]
    assert (len(found.images), len(found.annotations)) == (3, 3)
    if action is KEPT and at:
        (name,) = fields
        stored = {**json.loads(found.images[1].metadata), "height": found.images[1].height}[name]
        assert stored == (None if fields[name] == RAW + "null" else fields[name])


@pytest.mark.parametrize(
    ("fields", "code", "at"),
    [
        ({"id": None}, "id_missing", ""),
        ({"id": 2**63}, "id_invalid", ".id"),
        ({"id": 2.5}, "id_invalid", ".id"),
        ({"id": RAW + "null"}, "id_invalid", ".id"),
        ({"id": LONG}, "id_invalid", ".id"),
        ({"width": LONG}, "number_too_long", ".width"),
        ({"file_name": NUL}, "nul_character", ""),
        ({"file_name": HALF}, "lone_surrogate", ""),
        ({"file_name": ["a.jpg"]}, "file_name_invalid", ".file_name"),
        ({"file_name": "x" * 1_001}, "file_name_too_long", ".file_name"),
        ({"file_name": "한" * 900}, "file_name_too_long", ".file_name"),
        ({"whatever": {"a": RAW + "NaN"}}, "not_a_number", ".whatever"),
        ({"whatever": RAW + '{"a": 1, "a": 2}'}, "duplicate_key", ".whatever"),
    ],
)
def test_unusable_image_is_left_out_with_what_hangs_on_it(fields, code, at):
    found = with_image(**fields)

    told = [problem for problem in found.told if problem[1] is QUARANTINED]
    assert told == [
        (code, QUARANTINED, f"$.images[1]{at}"),
        ("dangling_image_id", QUARANTINED, "$.annotations[1].image_id"),
    ]
    assert [record.coco_id for record in found.images] == [1, 3]
    assert [record.coco_id for record in found.annotations] == [11, 13]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/absolute.jpg",
        r"C:\data\a.jpg",
        "a\nb\tc.jpg",
        "",
        " ",
        ".",
        "\x7f.jpg",
        "http://example.com/a.jpg",
        "이미지 01.jpg",
        "x" * 1_000,
    ],
)
def test_file_name_is_kept_as_it_is(name):
    found = with_image(file_name=name)

    assert found.problems == []
    assert found.images[1].file_name == name


def test_images_may_share_a_file_name():
    found = with_image(file_name="a.jpg")

    assert (found.problems, len(found.images)) == ([], 3)


def test_addresses_of_images_are_kept():
    found = with_image(coco_url="http://example.com/a.jpg", flickr_url="file:///etc/passwd")

    assert found.problems == []
    assert json.loads(found.images[1].metadata)["flickr_url"] == "file:///etc/passwd"


def test_same_image_twice_is_taken_once():
    found = spoiled(lambda document: document["images"].append(dict(document["images"][1])))

    assert found.told == [("duplicate_image", REPAIRED, "$.images[3]")]
    assert len(found.images) == 3


def test_image_id_of_two_images_goes_to_the_first():
    found = spoiled(lambda document: document["images"].append({**document["images"][1], "file_name": "z.jpg"}))

    assert found.told == [("duplicate_image_id", QUARANTINED, "$.images[3].id")]
    assert found.images[1].file_name == "b.jpg"


def test_ids_that_are_texts_are_kept_as_texts_and_found_again():
    document = good()
    for record in document["images"]:
        record["id"] = f"image-{record['id']}"
    for record in document["annotations"]:
        record["image_id"] = f"image-{record['image_id']}"

    found = read(document)

    assert {action for _, action, _ in found.told} == {REPAIRED}
    assert [record.coco_key for record in found.images] == ["image-1", "image-2", "image-3"]
    assert [record.image for record in found.annotations] == [0, 1, 2]
    assert found.images == read(document).images  # their numbers are the same each time


# --- categories (23) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "<b>x</b>", "=cmd|' /C calc'!A0", "고양이", "\x7f", "x" * 500, 'a"b\\c\n'])
def test_category_name_is_kept_as_it_is(name):
    found = spoiled(lambda document: document["categories"][1].update(name=name))

    assert found.problems == []
    assert found.categories[1].name == name


def test_categories_may_share_a_name():
    assert spoiled(lambda document: document["categories"][1].update(name="cat")).problems == []


@pytest.mark.parametrize(
    ("fields", "code", "at"),
    [
        ({"id": True}, "id_invalid", ".id"),
        ({"id": ""}, "id_invalid", ".id"),
        ({"id": None}, "id_missing", ""),
        ({"name": None}, "name_missing", ""),
        ({"name": ["dog"]}, "name_invalid", ".name"),
        ({"name": NUL}, "nul_character", ""),
        ({"name": HALF}, "lone_surrogate", ""),
        ({"name": "x" * 501}, "name_too_long", ".name"),
        ({"skeleton": RAW + "[NaN]"}, "not_a_number", ".skeleton"),
        ({"supercategory": NUL}, "nul_character", ""),
    ],
)
def test_unusable_category_is_left_out(fields, code, at):
    def change(document):
        record = document["categories"][1]
        record.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del record[name]

    found = spoiled(change)

    assert found.told == [(code, QUARANTINED, f"$.categories[1]{at}")]
    assert (len(found.categories), len(found.annotations)) == (1, 3)


def test_category_twice_is_taken_once_and_its_id_goes_to_the_first():
    found = spoiled(
        lambda document: document["categories"].extend([{"id": 2, "name": "dog"}, {"id": 2, "name": "cow"}])
    )

    assert found.told == [
        ("duplicate_category", REPAIRED, "$.categories[2]"),
        ("duplicate_category_id", QUARANTINED, "$.categories[3].id"),
    ]
    assert [record.name for record in found.categories] == ["cat", "dog"]


def test_category_name_that_is_a_number_becomes_text():
    found = spoiled(lambda document: document["categories"][1].update(name=7))

    assert found.told == [("name_not_text", REPAIRED, "$.categories[1].name")]
    assert found.categories[1].name == "7"


# --- other sections (5, 22) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"), [("NaN", "not_a_number"), (r'"\ud800"', "lone_surrogate"), ("1" * 5_000, "number_too_long")]
)
def test_unusable_section_is_left_out_and_told(text, code):
    found = read({**good(), "notes": [RAW + text]})

    assert found.told == [(code, QUARANTINED, "$.notes")]
    assert "notes" not in found.layout
    assert len(found.annotations) == 3


def test_section_that_is_too_large_to_be_kept_is_left_out(monkeypatch):
    monkeypatch.setattr("annotations.coco.document.MAX_SECTION", 20)

    assert read({**good(), "notes": "x" * 19}).told == [("section_too_large", QUARANTINED, "$.notes")]


def test_record_that_is_too_large_to_be_kept_is_left_out(monkeypatch):
    monkeypatch.setattr("annotations.coco.images.MAX_RECORD", 200)

    assert with_annotation(whatever="x" * 200).told == [("record_too_large", QUARANTINED, SPOILED)]


# --- 29 -------------------------------------------------------------------------------------------------------------


def test_reading_holds_little_more_than_where_records_stand(tmp_path, monkeypatch):
    """65 bytes a record for its place, 8 for its id; but for the pieces in which a file is looked through."""
    monkeypatch.setattr("annotations.coco.document.CHUNK", 64 * 1024)
    number = 4_000
    document = good()
    polygon = [[float(point) for point in range(400)]]
    document["annotations"] = [annotation(key, 1 + key % 3, segmentation=polygon) for key in range(number)]
    path = tmp_path / "large.json"
    path.write_bytes(text_of(document))
    tracemalloc.start()
    try:
        count = _count(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == number
    assert peak < 200 * number + 500_000 < path.stat().st_size / 5


def _count(path) -> int:
    from annotations.coco.annotations import read_annotations
    from annotations.coco.document import opened
    from annotations.coco.images import ImageTable, read_images

    table, flaws = ImageTable(), []
    with opened(path) as document:
        assert len(list(read_images(document.images, table, flaws.append))) == 3
        count = sum(1 for _ in read_annotations(document.annotations, table, {1}, flaws.append))
    assert flaws == [] or {flaw.code for flaw in flaws} == {"area_exceeds_bbox"}
    return count
