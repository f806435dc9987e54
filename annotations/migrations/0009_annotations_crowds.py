from django.db import migrations, models

from accounts.indexes import AddIndexWhileInUse


class Migration(migrations.Migration):

    atomic = False  # the table may be full and in use

    dependencies = [
        ('annotations', '0008_category_keys'),
    ]

    operations = [
        AddIndexWhileInUse(
            model_name='annotation',
            index=models.Index(condition=models.Q(('iscrowd', 1)), fields=['project', 'image'], name='annotations_crowds'),
        ),
    ]
