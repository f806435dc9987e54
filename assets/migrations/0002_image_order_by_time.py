from django.db import migrations, models

from accounts.indexes import AddIndexWhileInUse


class Migration(migrations.Migration):

    atomic = False  # the table may hold millions of images, which people go on using

    dependencies = [
        ('assets', '0001_initial'),
    ]

    operations = [
        AddIndexWhileInUse(
            model_name='imageasset',
            index=models.Index(fields=['project', 'created_at', 'id'], name='assets_image_created'),
        ),
        AddIndexWhileInUse(
            model_name='imageasset',
            index=models.Index(fields=['project', 'updated_at', 'id'], name='assets_image_updated'),
        ),
    ]
