import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.contrib.postgres.operations import BtreeGinExtension, TrigramExtension
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('projects', '0001_initial'),
    ]

    operations = [
        # Served by every PostgreSQL with contrib; both are trusted, the database's owner may create them.
        BtreeGinExtension(),
        TrigramExtension(),
        migrations.CreateModel(
            name='Split',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, max_length=100, verbose_name='name')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='splits', to='projects.project')),
            ],
            options={
                'verbose_name': 'split',
                'verbose_name_plural': 'splits',
                'ordering': ['project_id', 'id'],
            },
        ),
        migrations.CreateModel(
            name='ImageAsset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('coco_id', models.BigIntegerField(verbose_name='COCO id')),
                ('coco_key', models.TextField(blank=True, null=True, verbose_name='COCO id as given')),
                ('position', models.BigIntegerField(default=0, editable=False)),
                ('file_name', models.TextField(blank=True, null=True, verbose_name='file name')),
                ('width', models.IntegerField(blank=True, null=True, verbose_name='width')),
                ('height', models.IntegerField(blank=True, null=True, verbose_name='height')),
                ('metadata', models.JSONField(blank=True, default=dict, verbose_name='metadata')),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None, verbose_name='tags')),
                ('status', models.CharField(choices=[('missing', 'no picture'), ('broken', 'broken picture'), ('ready', 'ready'), ('in_review', 'in review'), ('approved', 'approved'), ('rejected', 'rejected')], default='missing', max_length=10, verbose_name='status')),
                ('issues', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, default=list, size=None, verbose_name='issues')),
                ('annotation_count', models.IntegerField(default=0, editable=False, verbose_name='annotations')),
                ('uri', models.CharField(blank=True, max_length=200, verbose_name='storage key')),
                ('thumbnail_uri', models.CharField(blank=True, max_length=200, verbose_name='thumbnail key')),
                ('checksum', models.CharField(blank=True, max_length=64, verbose_name='SHA-256')),
                ('format', models.CharField(blank=True, max_length=10, verbose_name='format')),
                ('size_bytes', models.BigIntegerField(blank=True, null=True, verbose_name='bytes')),
                ('version', models.IntegerField(db_default=1, default=1, editable=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='updated')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assets', to='projects.project', verbose_name='project')),
                ('split', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assets', to='assets.split', verbose_name='split')),
            ],
            options={
                'verbose_name': 'image',
                'verbose_name_plural': 'images',
            },
        ),
        migrations.AddConstraint(
            model_name='split',
            constraint=models.UniqueConstraint(fields=('project', 'name'), name='assets_split_unique'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'id'], name='assets_image_project'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'file_name', 'id'], name='assets_image_file'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'width', 'id'], name='assets_image_width'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'height', 'id'], name='assets_image_height'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'annotation_count', 'id'], name='assets_image_annotations'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'status', 'id'], name='assets_image_status'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'split', 'id'], name='assets_image_split'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=models.Index(fields=['project', 'checksum'], name='assets_image_checksum'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=django.contrib.postgres.indexes.GinIndex(fields=['project', 'tags'], name='assets_image_tags'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=django.contrib.postgres.indexes.GinIndex(fields=['project', 'issues'], name='assets_image_issues'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass('metadata', name='jsonb_path_ops'), name='assets_image_metadata'),
        ),
        migrations.AddIndex(
            model_name='imageasset',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass(django.db.models.functions.text.Upper('file_name'), name='gin_trgm_ops'), name='assets_image_file_trgm'),
        ),
        migrations.AddConstraint(
            model_name='imageasset',
            constraint=models.UniqueConstraint(fields=('project', 'split', 'coco_id'), name='assets_image_identity'),
        ),
    ]
