"""Finding the picture of each image record. Where two fit equally well, none is taken and both are told."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

FEW = 16  # candidates that are looked at one by one
EXACT, BASE, FOLDED, STEM = 3, 2, 1, 0


class Fit(NamedTuple):
    """How well a picture's name fits a record's; greater is better."""

    kind: int
    shared: int = 0  # trailing path parts in common
    folded: int = 0  # the same, whatever their case and Unicode form
    whole: bool = True  # one of the two ends with all of the other


@dataclass
class Matches:
    """`found` maps the record's name to the picture's; the rest is missing.

    `ambiguous` maps names to pictures (FEW of them) that fit equally well, `contested` to the one picture that other
    names fit as well; `loose` are found names that have no folder in common with their picture, though both have one.
    """

    found: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, list[str]] = field(default_factory=dict)
    contested: dict[str, str] = field(default_factory=dict)
    loose: dict[str, str] = field(default_factory=dict)
    unreferenced: list[str] = field(default_factory=list)


def match(wanted: Iterable[str], available: Iterable[str], prefer: str = "") -> Matches:
    """Match record names to picture names.

    In this order: the exact path; the longest common path suffix, from whichever side; the base name; the same with
    separators, case and Unicode form folded; the same stem with another ending. Among several that fit equally well,
    the one below a folder called `prefer` (the split's) is taken if it is the only one. A picture goes to the name that
    fits it best: `b/1.jpg` does not get `a/1.jpg` if there is a record of that name.
    """
    index = _Index(available)
    matches = Matches()
    claims: dict[str, list[tuple[Fit, str]]] = defaultdict(list)
    for name in dict.fromkeys(wanted):
        fit, candidates = index.find(name)
        if len(candidates) > 1 and prefer:
            near = index.near(candidates, prefer.lower())
            candidates = near if len(near) == 1 else candidates
        if len(candidates) == 1:
            claims[candidates[0]].append((fit, name))
        elif candidates:
            matches.ambiguous[name] = sorted(candidates[:FEW])
    for picture, claimants in claims.items():
        best = max(fit for fit, _ in claimants)
        names = [name for fit, name in claimants if fit == best]
        if len({_clean(name) for name in names}) > 1:
            matches.contested.update(dict.fromkeys(names, picture))
            continue
        matches.found.update(dict.fromkeys(names, picture))
        if best.folded < 2 and not best.whole:
            matches.loose.update(dict.fromkeys(names, picture))
    matches.unreferenced = sorted(index.exact - set(matches.found.values()))
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
    """The available names by what may be known of them."""

    def __init__(self, available: Iterable[str]) -> None:
        self.exact = set(available)
        self.by_base: dict[str, list[str]] = defaultdict(list)
        self.by_folded: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self.exact):
            base = name.rsplit("/", 1)[-1]
            self.by_base[base].append(name)
            folded = _folded(base)
            self.by_folded[folded].append(name)
            self.by_stem[folded.rsplit(".", 1)[0]].append(name)
        # Made when needed, by the list that they are part of: names by their last folders, names near a folder.
        self._suffixes: dict[int, dict[str, list[str]]] = {}
        self._near: dict[int, list[str]] = {}

    def find(self, name: str) -> tuple[Fit, list[str]]:
        """How well the best pictures fit, and which they are."""
        if name in self.exact:
            return Fit(EXACT), [name]
        clean = _clean(name)
        base = clean.rsplit("/", 1)[-1]
        if not base:
            return Fit(STEM), []
        folded = _folded(base)
        for kind, candidates, form in (
            (BASE, self.by_base.get(base), _clean),
            (FOLDED, self.by_folded.get(folded), _folded),
            (STEM, self.by_stem.get(folded.rsplit(".", 1)[0]), _stem),
        ):
            if candidates:
                if len(candidates) > FEW:
                    candidates = self._below_same_folders(form(name), candidates, form)
                if len(candidates) > FEW:
                    return Fit(kind), candidates
                fit, best = _closest(name, candidates, form)
                return fit._replace(kind=kind), best
        return Fit(STEM), []

    def _below_same_folders(self, name: str, candidates: list[str], form: Callable[[str], str]) -> list[str]:
        """Those that share the most trailing path parts with the name; all of them if they share the last only."""
        suffixes = self._suffixes.get(id(candidates))
        if suffixes is None:
            suffixes = self._suffixes[id(candidates)] = defaultdict(list)
            for other in candidates:
                for suffix in _suffixes(form(other)):
                    suffixes[suffix].append(other)
        return next((suffixes[suffix] for suffix in _suffixes(name) if suffix in suffixes), candidates)

    def near(self, candidates: list[str], folder: str) -> list[str]:
        """Those below a folder of this name, in a list that this index gave; the folder is always the same."""
        if len(candidates) <= FEW:
            return [other for other in candidates if folder in _folders(other)]
        if id(candidates) not in self._near:
            self._near[id(candidates)] = [other for other in candidates if folder in _folders(other)]
        return self._near[id(candidates)]


def _suffixes(name: str) -> list[str]:
    """The path and what is left of it without its first folders, longest first; not the last part alone."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts) - 1)]


def _stem(name: str) -> str:
    folded = _folded(name)
    return folded.rsplit(".", 1)[0] if "." in folded.rsplit("/", 1)[-1] else folded


def _closest(name: str, candidates: list[str], form: Callable[[str], str]) -> tuple[Fit, list[str]]:
    """How well the closest fit the name, and which they are."""
    fits = {other: Fit(0, _shared(form(name), form(other)), *_folded_fit(name, other)) for other in candidates}
    best = max(fits.values())
    return best, [other for other, fit in fits.items() if fit == best]


def _shared(one: str, other: str) -> int:
    """How many trailing path parts are the same."""
    count = 0
    for ours, theirs in zip(one.split("/")[::-1], other.split("/")[::-1], strict=False):
        if ours != theirs:
            break
        count += 1
    return count


def _folded_fit(one: str, other: str) -> tuple[int, bool]:
    ours, theirs = _stem(one), _stem(other)
    shared = _shared(ours, theirs)
    return shared, shared == 1 + min(ours.count("/"), theirs.count("/"))
