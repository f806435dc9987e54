from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0003_task_bulk_edit'),
    ]

    operations = [
        migrations.AddField(
            model_name='task',
            name='phase_started_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='phase started'),
        ),
    ]
