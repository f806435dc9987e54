from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0004_task_phase_started_at'),
    ]

    operations = [
        migrations.AlterField(
            model_name='task',
            name='kind',
            field=models.CharField(choices=[('import', 'import'), ('thumbnails', 'thumbnails'), ('export', 'export'), ('bulk_edit', 'bulk edit'), ('insights', 'insights'), ('delete_project', 'delete project')], max_length=20, verbose_name='kind'),
        ),
    ]
