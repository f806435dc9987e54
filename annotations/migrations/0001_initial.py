import assets.fields
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('assets', '0001_initial'),
        ('projects', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Category',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('coco_id', models.BigIntegerField(verbose_name='COCO id')),
                ('name', models.TextField(verbose_name='name')),
                ('supercategory', models.TextField(blank=True, verbose_name='supercategory')),
                ('meta', models.JSONField(blank=True, default=dict, verbose_name='other fields')),
                ('color', models.CharField(blank=True, max_length=7, verbose_name='colour')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='categories', to='projects.project')),
            ],
            options={
                'verbose_name': 'category',
                'verbose_name_plural': 'categories',
                'ordering': ['project_id', 'coco_id', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Annotation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.PositiveSmallIntegerField(choices=[(0, 'objects'), (1, 'captions'), (2, 'panoptic')], default=0, verbose_name='kind')),
                ('coco_id', models.BigIntegerField(verbose_name='COCO id')),
                ('coco_key', models.TextField(blank=True, null=True, verbose_name='COCO id as given')),
                ('position', models.BigIntegerField(default=0, editable=False)),
                ('bbox', models.JSONField(blank=True, null=True, verbose_name='box')),
                ('area', assets.fields.ExactNumberField(blank=True, null=True, verbose_name='area')),
                ('iscrowd', models.SmallIntegerField(blank=True, null=True, verbose_name='crowd')),
                ('segmentation', models.JSONField(blank=True, null=True, verbose_name='segmentation')),
                ('keypoints', models.JSONField(blank=True, null=True, verbose_name='keypoints')),
                ('num_keypoints', models.IntegerField(blank=True, null=True, verbose_name='number of keypoints')),
                ('attributes', models.JSONField(blank=True, null=True, verbose_name='attributes')),
                ('score', assets.fields.ExactNumberField(blank=True, null=True, verbose_name='score')),
                ('extra', models.JSONField(blank=True, null=True, verbose_name='other fields')),
                ('issues', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), blank=True, null=True, size=None, verbose_name='issues')),
                ('source', models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='source')),
                ('is_machine', models.BooleanField(db_default=False, default=False, verbose_name='made by a machine')),
                ('version', models.IntegerField(db_default=1, default=1, editable=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='updated')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='annotations', to='assets.imageasset')),
                ('project', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='annotations', to='projects.project')),
                ('split', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='assets.split')),
                ('category', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='annotations', to='annotations.category')),
            ],
            options={
                'verbose_name': 'annotation',
                'verbose_name_plural': 'annotations',
            },
        ),
        migrations.CreateModel(
            name='CocoDocument',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.PositiveSmallIntegerField(choices=[(0, 'objects'), (1, 'captions'), (2, 'panoptic')], default=0, verbose_name='kind')),
                ('layout', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('sections', models.JSONField(default=dict)),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='documents', to='projects.project')),
                ('split', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='documents', to='assets.split')),
            ],
            options={
                'verbose_name': 'COCO document',
                'verbose_name_plural': 'COCO documents',
                'ordering': ['project_id', 'split_id', 'kind'],
            },
        ),
        migrations.CreateModel(
            name='DocumentCategory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.IntegerField()),
                ('fields', models.JSONField(default=dict)),
                ('category', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='listed', to='annotations.category')),
                ('document', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='listed', to='annotations.cocodocument')),
            ],
            options={
                'verbose_name': 'listed category',
                'verbose_name_plural': 'listed categories',
                'ordering': ['document_id', 'position'],
            },
        ),
        migrations.CreateModel(
            name='ImportJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('split', models.CharField(blank=True, max_length=100, verbose_name='split')),
                ('strict', models.BooleanField(default=False, help_text='Refuse the file if any record is unusable.', verbose_name='strict')),
                ('file_name', models.CharField(blank=True, max_length=500, verbose_name='file')),
                ('upload_uri', models.CharField(blank=True, max_length=200, verbose_name='upload')),
                ('images_uri', models.CharField(blank=True, max_length=200, verbose_name='pictures')),
                ('checksum', models.CharField(blank=True, max_length=64, verbose_name='SHA-256')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='import_jobs', to='projects.project', verbose_name='project')),
                ('task', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='import_job', to='projects.task', verbose_name='task')),
            ],
            options={
                'verbose_name': 'import',
                'verbose_name_plural': 'imports',
                'ordering': ['-id'],
            },
        ),
        migrations.AddIndex(
            model_name='category',
            index=models.Index(fields=['project', 'name'], name='annotations_category_name'),
        ),
        migrations.AddIndex(
            model_name='category',
            index=models.Index(fields=['project', 'supercategory'], name='annotations_category_super'),
        ),
        migrations.AddConstraint(
            model_name='category',
            constraint=models.UniqueConstraint(fields=('project', 'coco_id', 'name'), name='annotations_category_identity'),
        ),
        migrations.AddIndex(
            model_name='annotation',
            index=models.Index(fields=['project', 'category', 'image'], name='annotations_by_category'),
        ),
        migrations.AddConstraint(
            model_name='annotation',
            constraint=models.UniqueConstraint(fields=('project', 'split', 'kind', 'coco_id'), name='annotations_annotation_identity'),
        ),
        migrations.AddConstraint(
            model_name='cocodocument',
            constraint=models.UniqueConstraint(fields=('project', 'split', 'kind'), name='annotations_document_identity'),
        ),
        migrations.AddConstraint(
            model_name='documentcategory',
            constraint=models.UniqueConstraint(fields=('document', 'category'), name='annotations_listed_once'),
        ),
    ]
