"""Finding the picture of each image record. Where two fit equally well, none is taken and both are told."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass
class Matches:
    """`found` maps the record's name to the picture's; `ambiguous` to all that fit; the rest is missing."""

    found: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    unreferenced: list[str] = field(default_factory=list)


def match(wanted: Iterable[str], available: Iterable[str], prefer: str = "") -> Matches:
    """Match record names to picture names.

    In this order: the exact path; the longest common path suffix, from whichever side; the base name; the same with
    separators, case and Unicode form folded; the same stem with another ending. Among several that fit equally well,
    the one below a folder called `prefer` (the split's) is taken if it is the only one.
    """
    index = _Index(available)
    matches, used = Matches(), set()
    for name in dict.fromkeys(wanted):
        candidates = index.find(name)
        if len(candidates) > 1 and prefer:
            near = [other for other in candidates if prefer in _folders(other)]
            candidates = near if len(near) == 1 else candidates
        if len(candidates) == 1:
            matches.found[name] = candidates[0]
            used.add(candidates[0])
        elif candidates:
            matches.ambiguous[name] = sorted(candidates)
    matches.unreferenced = sorted(index.exact - used)
    return matches


def _folders(name: str) -> set[str]:
    """The folders above a file, each also without a trailing year (`train2017` -> `train`)."""
    parts = PurePosixPath(name).parts[:-1]
    return {form for part in parts for form in (part.lower(), part.lower().rstrip("0123456789"))}


def _clean(name: str) -> str:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", _clean(name)).casefold()


class _Index:
    def __init__(self, available: Iterable[str]) -> None:
        self.exact = set(available)
        self.by_base: dict[str, list[str]] = defaultdict(list)
        self.by_folded: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.exact:
            base = name.rsplit("/", 1)[-1]
            self.by_base[base].append(name)
            folded = _folded(base)
            self.by_folded[folded].append(name)
            self.by_stem[folded.rsplit(".", 1)[0]].append(name)

    def find(self, name: str) -> list[str]:
        if name in self.exact:
            return [name]
        clean = _clean(name)
        base = clean.rsplit("/", 1)[-1]
        if not base:
            return []
        folded = _folded(base)
        for candidates, form in (
            (self.by_base.get(base), _clean),
            (self.by_folded.get(folded), _folded),
            (self.by_stem.get(folded.rsplit(".", 1)[0]), _stem),
        ):
            if candidates:
                return _longest_suffix(form(name), candidates, form)
        return []


def _stem(name: str) -> str:
    folded = _folded(name)
    return folded.rsplit(".", 1)[0] if "." in folded.rsplit("/", 1)[-1] else folded


def _longest_suffix(name: str, candidates: list[str], form: Callable[[str], str]) -> list[str]:
    """Those that share the most trailing path parts with the name."""
    wanted = name.split("/")[::-1]

    def shared(other: str) -> int:
        parts = form(other).split("/")[::-1]
        count = 0
        for ours, theirs in zip(wanted, parts, strict=False):
            if ours != theirs:
                break
            count += 1
        return count

    scores = {other: shared(other) for other in candidates}
    best = max(scores.values())
    return [other for other, score in scores.items() if score == best]
