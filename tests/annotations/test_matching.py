"""Which picture belongs to which record, by their names."""

import time

import pytest

from annotations.matching import FEW, match


def found(wanted, available, prefer=""):
    """The pictures found for the names."""
    return match([wanted] if isinstance(wanted, str) else wanted, available, prefer).found


@pytest.mark.parametrize(
    ("wanted", "available", "picture"),
    [
        ("a.jpg", ["a.jpg", "x/a.jpg"], "a.jpg"),
        ("x/a.jpg", ["a.jpg", "x/a.jpg", "y/x/a.jpg"], "x/a.jpg"),
        ("a.jpg", ["images/train/a.jpg"], "images/train/a.jpg"),
        ("data/images/a.jpg", ["a.jpg"], "a.jpg"),
        ("root/x/a.jpg", ["x/a.jpg", "y/a.jpg"], "x/a.jpg"),
        ("x/a.jpg", ["root/x/a.jpg", "root/y/a.jpg"], "root/x/a.jpg"),
        ("z/a.jpg", ["a.jpg", "y/a.jpg"], "a.jpg"),
        (r"images\x\a.jpg", ["images/x/a.jpg", "images/y/a.jpg"], "images/x/a.jpg"),
        (r"C:\data\a.jpg", ["a.jpg"], "a.jpg"),
        ("../../a.jpg", ["a.jpg"], "a.jpg"),
        ("/abs/x/a.jpg", ["x/a.jpg", "y/a.jpg"], "x/a.jpg"),
        ("./a.jpg", ["a.jpg"], "a.jpg"),
        ("http://host/x/a.jpg", ["x/a.jpg", "y/a.jpg"], "x/a.jpg"),
        ("IMG.JPG", ["img.jpg"], "img.jpg"),
        ("Img.jpg", ["Img.jpg", "img.jpg"], "Img.jpg"),
        ("Caf\u00e9.jpg", ["Cafe\u0301.jpg"], "Cafe\u0301.jpg"),
        ("\uac00.jpg", ["\u1100\u1161.jpg"], "\u1100\u1161.jpg"),
        ("a.png", ["a.jpg"], "a.jpg"),
        ("a", ["a.jpg"], "a.jpg"),
        ("v1.2.png", ["v1.2.jpg", "v1.jpg"], "v1.2.jpg"),
    ],
)
def test_closest_picture_is_found(wanted, available, picture):
    assert found(wanted, available) == {wanted: picture}


@pytest.mark.parametrize("wanted", ["b.jpg", "", ".", "..", "/", "x/", "a.jpg/b"])
def test_name_that_no_picture_has_is_missing(wanted):
    matches = match([wanted], ["a.jpg", "x/a.jpg"])

    assert (matches.found, matches.ambiguous, matches.contested) == ({}, {}, {})


@pytest.mark.parametrize(
    ("wanted", "available"),
    [
        ("a.jpg", ["x/a.jpg", "y/a.jpg"]),
        ("z/a.jpg", ["x/a.jpg", "y/a.jpg"]),
        ("A.JPG", ["a.jpg", "a.JPG"]),
        ("a.bmp", ["a.jpg", "a.png"]),
    ],
)
def test_pictures_that_fit_equally_well_are_not_guessed_between(wanted, available):
    matches = match([wanted], available)

    assert matches.found == {}
    assert matches.ambiguous == {wanted: sorted(available)}


@pytest.mark.parametrize(
    ("prefer", "picture"),
    [("train", "train2017/a.jpg"), ("val", "images/val/a.jpg"), ("Val", "images/val/a.jpg"), ("test", None)],
)
def test_folder_of_the_split_decides_between_equals(prefer, picture):
    assert found("a.jpg", ["train2017/a.jpg", "images/val/a.jpg"], prefer) == ({"a.jpg": picture} if picture else {})


def test_split_does_not_overrule_a_better_fit():
    assert found("val/a.jpg", ["train/a.jpg", "x/val/a.jpg"], "train") == {"val/a.jpg": "x/val/a.jpg"}


def test_picture_goes_to_the_record_that_fits_it_best():
    matches = match(["b/1.jpg", "a/1.jpg", "1.png"], ["a/1.jpg"])

    assert matches.found == {"a/1.jpg": "a/1.jpg"}
    assert (matches.ambiguous, matches.contested) == ({}, {})


def test_exact_name_wins_over_the_same_in_other_case():
    assert found(["a.jpg", "A.jpg"], ["a.jpg"]) == {"a.jpg": "a.jpg"}


def test_folder_in_other_case_wins_over_another_folder():
    assert found(["b/1.jpg", "a/1.jpg"], ["A/1.jpg"]) == {"a/1.jpg": "A/1.jpg"}


def test_picture_that_two_records_fit_equally_well_goes_to_neither():
    matches = match(["a/1.jpg", "b/1.jpg"], ["1.jpg"])

    assert matches.found == {}
    assert matches.contested == {"a/1.jpg": "1.jpg", "b/1.jpg": "1.jpg"}
    assert matches.unreferenced == ["1.jpg"]


def test_names_that_differ_in_separators_only_share_a_picture():
    wanted = ["x/a.jpg", r"x\a.jpg", "./x/a.jpg"]

    matches = match(wanted, ["images/x/a.jpg"])

    assert matches.found == dict.fromkeys(wanted, "images/x/a.jpg")


@pytest.mark.parametrize(
    ("wanted", "available", "loose"),
    [
        ("video1/0001.jpg", "video2/0001.jpg", True),
        ("a/x/0001.jpg", "b/x/0001.jpg", False),
        ("0001.jpg", "video2/0001.jpg", False),
        ("video1/0001.jpg", "0001.jpg", False),
        ("Video1/0001.jpg", "video1/0001.jpg", False),
        ("video1/0001.png", "video2/0001.jpg", True),
    ],
)
def test_picture_with_other_folders_is_told(wanted, available, loose):
    matches = match([wanted], [available])

    assert matches.found == {wanted: available}
    assert (wanted in matches.loose) is loose


def test_pictures_that_nobody_wants_are_listed():
    assert match(["a.jpg"], ["z.jpg", "a.jpg", "b.jpg"]).unreferenced == ["b.jpg", "z.jpg"]


def test_many_pictures_of_one_base_name_are_told_apart_by_their_folders():
    folders = [f"scene_{number:05}" for number in range(5_000)]
    available = [f"{folder}/rgb.png" for folder in folders] + ["val/x/rgb.png"]
    wanted = [f"data/{folder}/RGB.png" for folder in folders]
    start = time.process_time()

    matches = match([*wanted, "nowhere/rgb.png"], available, prefer="val")

    assert matches.found == {
        **{name: f"{folder}/rgb.png" for name, folder in zip(wanted, folders, strict=True)},
        "nowhere/rgb.png": "val/x/rgb.png",
    }
    assert time.process_time() - start < 3  # and not in the square of their number


def test_many_pictures_that_fit_equally_well_are_not_all_listed():
    matches = match(["rgb.png"], [f"scene_{number}/rgb.png" for number in range(100)])

    assert len(matches.ambiguous["rgb.png"]) == FEW
