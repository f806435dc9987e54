"""Settings from the environment, or from files it names: `SECRET_KEY_FILE=/run/secrets/key` for Docker secrets."""

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping


class _Files(FileAwareMapping):
    """The environment; where it has NAME_FILE, NAME is what that file holds, without the white space around it.

    Reading NAME raises ImproperlyConfigured if the file cannot be read, or if both are set.
    """

    def __getitem__(self, key: str) -> str:
        path = self.env.get(f"{key}_FILE")
        if not path:
            return str(self.env[key])
        if self.env.get(key):
            raise ImproperlyConfigured(f"{key} and {key}_FILE are both set; leave one of them out.")
        try:
            return str(super().__getitem__(key)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{key}_FILE is {path!r}, which cannot be read: {error}") from error


class Environment(environ.FileAwareEnv):
    """What settings are read with."""

    ENVIRON = _Files()
