import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotations', '0001_initial'),
        ('projects', '0003_task_bulk_edit'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BulkEdit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(choices=[('edit', 'edit'), ('delete', 'delete'), ('undo', 'undo')], max_length=10, verbose_name='action')),
                ('selection', models.JSONField(default=dict, verbose_name='selection')),
                ('change', models.JSONField(default=dict, verbose_name='change')),
                ('key', models.CharField(blank=True, max_length=100)),
                ('fingerprint', models.CharField(blank=True, max_length=64)),
                ('total', models.BigIntegerField(null=True, verbose_name='images')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='bulk_edits', to='projects.project')),
                ('task', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='bulk_edit', to='projects.task')),
                ('undoes', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='undos', to='annotations.bulkedit')),
            ],
            options={
                'verbose_name': 'bulk edit',
                'verbose_name_plural': 'bulk edits',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='BulkEditBatch',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.IntegerField()),
                ('ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('changed', models.IntegerField(default=0)),
                ('skipped', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
                ('done_at', models.DateTimeField(null=True)),
                ('undone_at', models.DateTimeField(null=True)),
                ('edit', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='batches', to='annotations.bulkedit')),
                ('undoes', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='annotations.bulkeditbatch')),
            ],
            options={
                'ordering': ['edit_id', 'number'],
            },
        ),
        migrations.CreateModel(
            name='PreviousAnnotation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('image_id', models.BigIntegerField()),
                ('record', models.JSONField()),
                ('batch', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='annotations', to='annotations.bulkeditbatch')),
            ],
            options={
                'verbose_name': 'previous state of an annotation',
                'verbose_name_plural': 'previous states of annotations',
            },
        ),
        migrations.CreateModel(
            name='PreviousImage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('image_id', models.BigIntegerField()),
                ('version', models.IntegerField()),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None)),
                ('status', models.CharField(max_length=10, null=True)),
                ('metadata', models.JSONField(null=True)),
                ('split_id', models.BigIntegerField(null=True)),
                ('record', models.JSONField(null=True)),
                ('batch', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='images', to='annotations.bulkeditbatch')),
            ],
            options={
                'verbose_name': 'previous state of an image',
                'verbose_name_plural': 'previous states of images',
            },
        ),
        migrations.AddIndex(
            model_name='bulkedit',
            index=models.Index(fields=['project', '-id'], name='annotations_bulkedit_newest'),
        ),
        migrations.AddConstraint(
            model_name='bulkedit',
            constraint=models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('project', 'created_by', 'key'), name='annotations_bulkedit_key_once'),
        ),
        migrations.AddConstraint(
            model_name='bulkeditbatch',
            constraint=models.UniqueConstraint(fields=('edit', 'number'), name='annotations_bulkeditbatch_number'),
        ),
    ]
