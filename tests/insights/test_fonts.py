"""Charts as PNG with letters of any language: with a font that has them, or with a word that it is missing."""

import subprocess

import pytest
from PIL import ImageFont

from insights.plotting import fonts, png
from insights.plotting.shapes import Picture, Text


@pytest.fixture(autouse=True)
def forget():
    """What was found is kept for the life of the process."""
    yield
    fonts.font.cache_clear()
    fonts.with_hangul.cache_clear()


@pytest.fixture
def no_fonts(monkeypatch):
    """A system without any font of Hangul."""
    fonts.font.cache_clear()
    fonts.with_hangul.cache_clear()
    monkeypatch.setattr(fonts, "USUAL", ("NoSuchFont.ttf",))
    monkeypatch.setattr(fonts, "MATCH", ("no-such-program",))


def drawn(text):
    return png.png(Picture(300, 80, "", [Text(10, 20, text)]))


def test_pillows_own_font_is_known_not_to_have_hangul():
    own = ImageFont.load_default(24)
    assert fonts.has_letters(own, "Class 1")
    assert not fonts.has_letters(own, "차")


def test_without_a_font_the_picture_says_that_letters_are_missing(no_fonts):
    assert fonts.with_hangul() is None
    assert png._warning(Picture(300, 80, "", [Text(10, 20, "car")])) == []
    [warning] = png._warning(Picture(300, 80, "", [Text(10, 20, "차")]))
    assert "CHART_FONT" in warning.text
    assert drawn("차") != drawn("차 차")


def test_a_font_of_the_system_is_found_where_there_is_one():
    found = fonts.with_hangul()
    if found is None:
        pytest.skip("this system has no font with Hangul")
    assert fonts.has_letters(fonts.font(24), "차사람 car")
    assert drawn("차") != drawn("사")
    assert png._warning(Picture(300, 80, "", [Text(10, 20, "사람")])) == []


def test_the_font_of_the_settings_goes_first_and_a_wrong_one_does_not_matter(no_fonts, settings, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    settings.CHART_FONT = str(broken)
    assert fonts.with_hangul() is None
    assert drawn("car").startswith(b"\x89PNG")


def test_a_font_without_hangul_is_passed_over(no_fonts, monkeypatch):
    monkeypatch.setattr(fonts, "USUAL", ("DejaVuSans.ttf",))
    assert fonts.with_hangul() is None


@pytest.mark.parametrize(
    "fault", [OSError, subprocess.TimeoutExpired("fc-match", 5), subprocess.CalledProcessError(1, "")]
)
def test_a_system_without_fontconfig_is_no_failure(fault, no_fonts, monkeypatch):
    def fail(*args, **options):
        raise fault

    monkeypatch.setattr(subprocess, "run", fail)
    assert fonts.with_hangul() is None
