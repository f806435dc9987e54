"""Simple filters of lists; images have the query language."""

from typing import Any

import django_filters
from django import forms
from django_filters.widgets import BooleanWidget

from annotations.models import Annotation


class _TruthWidget(BooleanWidget):
    """Keeps a word that says neither true nor false, so that it is refused rather than passed over."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """True, False, or what was given."""
        found = super().value_from_datadict(data, files, name)
        return data.get(name) if found is None else found


class _Truth(forms.NullBooleanField):
    widget = _TruthWidget

    def clean(self, value: Any) -> bool | None:
        """Nothing where nothing is given. Raises ValidationError."""
        if isinstance(value, bool) or not value:
            return value if isinstance(value, bool) else None
        raise forms.ValidationError("Expected true or false.")


class _TruthFilter(django_filters.BooleanFilter):
    field_class = _Truth


class AnnotationFilter(django_filters.FilterSet):
    """Annotations of one image, one category, one source."""

    image = django_filters.NumberFilter(field_name="image_id")
    category = django_filters.NumberFilter(field_name="category_id")
    is_machine = _TruthFilter()

    class Meta:
        model = Annotation
        fields = ("image", "category", "source", "is_machine")
