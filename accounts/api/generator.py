"""The generator of the OpenAPI document, for one thread at a time."""

import threading
from typing import Any

from drf_spectacular.generators import SchemaGenerator

_turn = threading.RLock()


class Generator(SchemaGenerator):
    """drf-spectacular's, whose registry of extensions is filled on first use and is not made for several threads."""

    def get_schema(self, request: Any = None, public: bool = False) -> dict[str, Any]:
        """The whole document, as far as `request` may see it."""
        with _turn:
            return super().get_schema(request, public)
