from django.db import migrations, models

from accounts.indexes import AddIndexWhileInUse


class Migration(migrations.Migration):

    atomic = False  # the table may be full and in use

    dependencies = [
        ('annotations', '0003_ways_in'),
    ]

    operations = [
        AddIndexWhileInUse(
            model_name='annotation',
            index=models.Index(condition=models.Q(('is_machine', True)), fields=['project', 'source', 'split'], name='annotations_by_machine'),
        ),
    ]
