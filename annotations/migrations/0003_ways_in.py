import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotations', '0002_bulk_edits'),
        ('assets', '0002_image_order_by_time'),
        ('projects', '0004_task_phase_started_at'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ResumableUpload',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('file_name', models.CharField(blank=True, max_length=500, verbose_name='file')),
                ('length', models.BigIntegerField(verbose_name='bytes')),
                ('offset', models.BigIntegerField(default=0, verbose_name='received')),
                ('key', models.CharField(blank=True, max_length=200, verbose_name='storage key')),
                ('multipart', models.CharField(blank=True, editable=False, max_length=1000)),
                ('parts', models.JSONField(default=list, editable=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created')),
                ('expires_at', models.DateTimeField(verbose_name='kept until')),
            ],
            options={
                'verbose_name': 'upload',
                'verbose_name_plural': 'uploads',
            },
        ),
        migrations.AddField(
            model_name='importjob',
            name='source',
            field=models.CharField(blank=True, help_text='What made the predictions.', max_length=100, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='importjob',
            name='splits',
            field=models.JSONField(blank=True, default=dict, verbose_name='splits'),
        ),
        migrations.AddField(
            model_name='importjob',
            name='what',
            field=models.CharField(choices=[('coco', 'COCO'), ('images', 'pictures'), ('predictions', 'predictions')], default='coco', max_length=12, verbose_name='what'),
        ),
        migrations.AlterField(
            model_name='importjob',
            name='images_uri',
            field=models.CharField(blank=True, max_length=1000, verbose_name='pictures'),
        ),
        migrations.AlterField(
            model_name='importjob',
            name='upload_uri',
            field=models.CharField(blank=True, max_length=1000, verbose_name='upload'),
        ),
        migrations.AddField(
            model_name='resumableupload',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='resumableupload',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to='projects.project', verbose_name='project'),
        ),
        migrations.AddIndex(
            model_name='resumableupload',
            index=models.Index(fields=['expires_at'], name='annotations_upload_expiry'),
        ),
    ]
