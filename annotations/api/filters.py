"""Simple filters of lists; images have the query language."""

import django_filters

from annotations.models import Annotation


class AnnotationFilter(django_filters.FilterSet):
    """Annotations of one image, one category, one source."""

    image = django_filters.NumberFilter(field_name="image_id")
    category = django_filters.NumberFilter(field_name="category_id")

    class Meta:
        model = Annotation
        fields = ("image", "category", "source", "is_machine")
