"""What a request's body may hold: a name that is nearly one of ours is a mistake, not something to pass over.

`{"delete": true, "dryrun": true}` would else delete. Names that are like none of ours are left alone: clients send back
what they were given, and what nobody may set, such as `owner` or `is_staff`, does nothing (BAD_INPUTS 64).
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers

LIKE = 0.75  # how like one of ours: `dryrun` is all of `dry_run`, `nmae` three quarters of `name`
SHORTEST = 4  # letters: `age` is not `page`, and two of three letters are soon alike
# What others call ours. `{"query": ...}` without our `q` would else be about everything.
MEANT = {
    "query": "q",
    "filter": "q",
    "preview": "dry_run",
    "simulate": "dry_run",
    "expires_at": "days",
    "expiry": "days",
}
# Said in answers, or tried by those who would be more than they are; not meant for a field of nearly that name.
OTHERS = frozenset({"id", "owner", "project", "role", "status", "user", "is_admin", "is_staff", "is_superuser"})


class Spelt:
    """For serializers that take a body. Raises ValidationError for a misspelt field, naming the one that is meant."""

    fields: Any

    def to_internal_value(self, data: Any) -> Any:
        """Look at the names before the values."""
        if isinstance(data, Mapping):
            faults = misspelt([str(name) for name in data], self.fields)
            if faults:
                raise serializers.ValidationError(faults)
        return super().to_internal_value(data)  # type: ignore[misc]


class Form(Spelt, serializers.Serializer):
    """A body that is no row of a model."""


def misspelt(given: list[str], fields: Mapping[str, serializers.Field]) -> dict[str, str]:
    """What to say of each name that is nearly a field that can be given, and is not given itself under its own name."""
    ours = {plain(name): name for name, field in fields.items() if not field.read_only}
    faults = {}
    for name in given:
        if name in fields or name in OTHERS or len(name) < SHORTEST:
            continue
        nearest = [each for each in [plain(MEANT.get(name.lower(), ""))] if each in ours]
        nearest = nearest or get_close_matches(plain(name[:100]), ours, 1, LIKE)
        if nearest:
            faults[name[:100]] = f"There is no field {name[:100]!r} here. Did you mean {ours[nearest[0]]!r}?"
    return faults


def plain(name: str) -> str:
    """Without what people write differently: `dryRun`, `dry-run` and `dry_run` are one."""
    return name.lower().replace("_", "").replace("-", "")
