from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotations', '0010_names_of_fields'),
    ]

    operations = [
        migrations.AddField(
            model_name='previousimage',
            name='found',
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name='previouslabel',
            name='found',
            field=models.IntegerField(null=True),
        ),
    ]
