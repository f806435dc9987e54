import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('insights', '0001_initial'),
        ('projects', '0005_task_insights'),
    ]

    operations = [
        migrations.AddField(
            model_name='insightview',
            name='pinned',
            field=models.BooleanField(db_default=False, default=False, verbose_name='pinned'),
        ),
        migrations.CreateModel(
            name='MetricResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('metric', models.CharField(max_length=60)),
                ('query_key', models.CharField(max_length=64)),
                ('query', models.TextField(blank=True)),
                ('version', models.PositiveSmallIntegerField(default=0)),
                ('revision', models.BigIntegerField(null=True)),
                ('figures', models.JSONField(null=True)),
                ('computed_at', models.DateTimeField(null=True)),
                ('seconds', models.FloatField(null=True)),
                ('wanted_at', models.DateTimeField(null=True)),
                ('asked_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='metric_results', to='projects.project')),
            ],
            options={
                'verbose_name': 'metric result',
                'verbose_name_plural': 'metric results',
                'constraints': [models.UniqueConstraint(fields=('project', 'query_key', 'metric'), name='insights_result_identity')],
            },
        ),
    ]
