from django.db import migrations, models

from accounts.indexes import AddIndexWhileInUse


class Migration(migrations.Migration):

    atomic = False  # the table may be full and in use

    dependencies = [
        ('annotations', '0006_label_edits'),
    ]

    operations = [
        AddIndexWhileInUse(
            model_name='annotation',
            index=models.Index(condition=models.Q(('issues__isnull', False)), fields=['project', 'image'], name='annotations_with_issues'),
        ),
    ]
