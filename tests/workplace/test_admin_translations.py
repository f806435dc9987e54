"""Korean for every string of ours: found in our modules and templates, looked up in the compiled translations."""

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
APPS = ("accounts", "projects", "assets", "annotations", "insights", "exports", "webhooks", "cocohub")
CALLS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2}
IN_TEMPLATES = re.compile(r"\b(?:n?gettext|_)\(((?:u?'(?:[^'\\]|\\.)*'|u?\"(?:[^\"\\]|\\.)*\")(?:\s*,)?\s*)+")
COUNTING = re.compile(r"\bngettext\((u?'(?:[^'\\]|\\.)*'|u?\"(?:[^\"\\]|\\.)*\")")
PLURALS = ("ngettext", "ngettext_lazy")
LITERAL = re.compile(r"u?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")


def of_module(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def of_template(path: Path) -> Iterator[str]:
    for call in IN_TEMPLATES.finditer(templatize(path.read_text(), origin=str(path))):
        yield ast.literal_eval(LITERAL.findall(call[0])[0])


def strings() -> dict[str, str]:
    """Each string of ours, and the file it was found in."""
    found = {}
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            found.update(dict.fromkeys(of_module(path), str(path.relative_to(ROOT))))
    for path in sorted((ROOT / "templates").rglob("*.html")):
        found.update(dict.fromkeys(of_template(path), str(path.relative_to(ROOT))))
    return found


@pytest.fixture(scope="module")
def korean() -> dict:
    with (ROOT / "locale/ko/LC_MESSAGES/django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)._catalog
    return {key if isinstance(key, str) else key[0]: value for key, value in catalog.items()}


def test_strings_are_found():
    found = strings()
    assert found["My projects"] == "cocohub/workplace/home.py"
    assert found["Needs attention"] == "templates/admin/index.html"
    assert "%(number)s issue" in found


def test_every_string_has_korean(korean):
    assert {text: where for text, where in strings().items() if not korean.get(text)} == {}


def test_every_string_that_counts_has_a_plural():
    """One of the same words without a plural would hide it: then Korean pages would count in English."""
    with (ROOT / "locale/ko/LC_MESSAGES/django.mo").open("rb") as compiled:
        catalog = gettext.GNUTranslations(compiled)._catalog
    counting = {}
    for path in sorted((ROOT / "templates").rglob("*.html")):
        for call in COUNTING.finditer(templatize(path.read_text(), origin=str(path))):
            counting[ast.literal_eval(call[1])] = path.name
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PLURALS:
                    counting[node.args[0].value] = path.name
    assert len(counting) > 20
    assert {text: where for text, where in counting.items() if (text, 0) not in catalog} == {}


def test_translations_keep_the_place_holders(korean):
    holders = re.compile(r"%\(\w+\)[sd]")
    for text, translated in korean.items():
        if text:
            assert set(holders.findall(text)) == set(holders.findall(translated)), text
