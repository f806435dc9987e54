"""Column types that keep what COCO files say to the letter."""

from decimal import Decimal
from typing import Any

from django.db import models


class ExactNumberField(models.Field):
    """A number kept as it was written: PostgreSQL `numeric` without limits tells 531 from 531.0.

    Python sees `decimal.Decimal`.
    """

    description = "Exact number"

    def db_type(self, connection: Any) -> str:
        """The column's type in PostgreSQL."""
        return "numeric"

    def get_internal_type(self) -> str:
        """Its own, so that no backend converter rounds it."""
        return "ExactNumberField"

    def to_python(self, value: Any) -> Decimal | None:
        """A Decimal, or None."""
        return value if value is None or isinstance(value, Decimal) else Decimal(str(value))

    def get_prep_value(self, value: Any) -> Decimal | None:
        """What is sent to the database."""
        return self.to_python(super().get_prep_value(value))
