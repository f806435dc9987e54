from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0002_task_outlives_project'),
    ]

    operations = [
        migrations.AlterField(
            model_name='task',
            name='kind',
            field=models.CharField(choices=[('import', 'import'), ('thumbnails', 'thumbnails'), ('export', 'export'), ('bulk_edit', 'bulk edit'), ('delete_project', 'delete project')], max_length=20, verbose_name='kind'),
        ),
    ]
