import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('projects', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='InsightView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('query', models.JSONField(blank=True, default=dict, verbose_name='query')),
                ('visualization', models.JSONField(blank=True, default=dict, verbose_name='visualization')),
                ('shared', models.BooleanField(default=True, verbose_name='shared')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='insight_views', to='projects.project', verbose_name='project')),
                ('saved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='insight_views', to=settings.AUTH_USER_MODEL, verbose_name='saved by')),
            ],
            options={
                'verbose_name': 'insight view',
                'verbose_name_plural': 'insight views',
                'ordering': ['project_id', 'name', 'id'],
                'constraints': [models.UniqueConstraint(fields=('project', 'saved_by', 'name'), name='insights_view_name_unique')],
            },
        ),
    ]
