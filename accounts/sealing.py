"""Secrets that are kept to be used again, such as tokens: sealed in the database, opened only where they are sent.

Fernet (AES-128-CBC with HMAC-SHA256) under keys derived by HKDF-SHA256 from `CREDENTIALS_KEYS`: the first one seals,
every one opens, so a key is changed by putting the new one in front.
"""

import base64
from collections.abc import Iterator
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Model

from accounts.errors import ServiceError

PURPOSE = b"cocohub.credentials"


def seal(secret: str) -> str:
    """The secret as it may lie in the database."""
    return _keys(tuple(settings.CREDENTIALS_KEYS)).encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret again. Raises ServiceError if none of the keys is the one that sealed it."""
    try:
        return _keys(tuple(settings.CREDENTIALS_KEYS)).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise ServiceError(
            "A stored secret cannot be opened with the keys of this installation: add the former key to "
            "CREDENTIALS_KEYS, or give the secret again."
        ) from None


def reseal(sealed: str) -> str:
    """The same secret under the first key."""
    return seal(unseal(sealed))


def stored() -> Iterator[tuple[Model, str]]:
    """Every row that holds a secret, with the name of the field: those that end in `_sealed`, of whatever model."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.name.endswith("_sealed"):
                for row in model._base_manager.exclude(**{field.name: ""}).order_by("pk").iterator():
                    yield row, field.name


@transaction.atomic
def reseal_all() -> int:
    """Seal every stored secret under the first key; how many. After this the former keys can go."""
    count = 0
    for row, name in stored():
        before = getattr(row, name)
        changed = type(row)._base_manager.filter(pk=row.pk, **{name: before}).update(**{name: reseal(before)})
        count += changed  # a secret that was given anew meanwhile is under the first key already
    return count


@lru_cache(maxsize=8)
def _keys(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(secret)) for secret in secrets])


def _derived(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
