"""What services, the query and the reader of files say, in the language of a page.

They speak English: some of them know nothing of Django, and their words go into reports, logs and the API as well. A
page says the same in its own language where `locale/<language>/phrases.toml` has the sentence, and else as it is.
"""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import get_language

HOLE = "{}"
REMEMBERED = 4_096  # sentences
LONGEST = 600  # characters of what is looked up
# As annotations.query.errors.QueryError puts its parts together.
OF_QUERY = re.compile(r"(?P<what>.+?) at column (?P<column>[0-9]+)(?:: (?P<hint>.+?))?[.]?", re.DOTALL)
PLACE = {"ko": "{what}({column}번째 글자){hint}."}
ASKING = "나요"  # the end of a question that comes without its mark
SENTENCES = re.compile(r"(?<=[.?!]) (?=[A-Z0-9'\"{])")


def in_words(text: str) -> str:
    """The text in the language of this page, as far as that has words for it."""
    language = get_language() or settings.LANGUAGE_CODE
    if not text or language.startswith("en") or len(text) > LONGEST:
        return text
    return _translated(text, language.partition("-")[0])


@lru_cache(REMEMBERED)
def _translated(text: str, language: str) -> str:
    if language in PLACE and (parts := OF_QUERY.fullmatch(text)):
        hint = f": {_part(parts['hint'], language)}" if parts["hint"] else ""
        told = PLACE[language].format(what=_part(parts["what"], language), column=parts["column"], hint=hint)
        return f"{told[:-1]}?" if hint.endswith(ASKING) else told
    if (found := _look_up(text, language)) is not None:
        return found
    return " ".join(_part(each, language) for each in SENTENCES.split(text))


def _part(text: str, language: str) -> str:
    """A sentence, or a piece of one that comes without its full stop."""
    for piece in (text, text.rstrip(".?")):
        if (found := _look_up(piece, language)) is not None:
            return found
    what, colon, hint = text.partition(": ")
    if colon and (found := _look_up(what, language)) is not None:
        return f"{found}: {_look_up(hint.rstrip('.?'), language) or hint}"
    return text


def _look_up(text: str, language: str) -> str | None:
    exact, patterns = _phrases(language)
    if text in exact:
        return exact[text]
    for pattern, translated in patterns:
        if found := pattern.fullmatch(text):
            return translated.format(*(in_words(piece) for piece in found.groups()))
    return None


@cache
def _phrases(language: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Sentences without a hole, and patterns of the others: those that say more by themselves come first."""
    path = Path(settings.BASE_DIR, "locale", language, "phrases.toml")
    said: dict[str, str] = tomllib.loads(path.read_text()) if path.exists() else {}
    open_ones = sorted((text for text in said if HOLE in text), key=lambda text: -len(text.replace(HOLE, "")))
    patterns = [
        (re.compile("(.*?)".join(map(re.escape, text.split(HOLE))), re.DOTALL), said[text]) for text in open_ones
    ]
    return {text: translated.format() for text, translated in said.items() if HOLE not in text}, patterns
