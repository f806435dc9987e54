from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations

from accounts.indexes import AddIndexWhileInUse


class Migration(migrations.Migration):

    atomic = False  # the table may be full and in use

    dependencies = [
        ('annotations', '0011_version_found'),
    ]

    operations = [
        AddIndexWhileInUse(
            model_name='previousimage',
            index=BrinIndex(autosummarize=True, fields=['image_id'], name='annotations_previousimage_of'),
        ),
        AddIndexWhileInUse(
            model_name='previouslabel',
            index=BrinIndex(autosummarize=True, fields=['annotation_id'], name='annotations_previouslabel_of'),
        ),
    ]
