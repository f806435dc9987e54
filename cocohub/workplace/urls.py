"""The workplace's addresses, all below /admin/work/."""

from django.urls import path, re_path

from cocohub.workplace import browse, bulk, home, moving, picture

app_name = "workplace"
urlpatterns = [
    path("tasks", home.tasks, name="tasks"),
    path("projects", home.start_project, name="start-project"),
    re_path(r"^tasks/(?P<task_pk>[0-9a-f-]{36})/(?P<what>cancel|retry)$", home.steer_task, name="steer-task"),
    path("<int:project_pk>/images", browse.images, name="images"),
    path("<int:project_pk>/images/more", browse.more, name="more"),
    path("<int:project_pk>/images/facets", browse.facets, name="facets"),
    path("<int:project_pk>/images/complete", browse.complete, name="complete"),
    path("<int:project_pk>/images/bulk", bulk.bulk, name="bulk"),
    path("<int:project_pk>/images/bulk/<int:edit_pk>/undo", bulk.undo, name="undo"),
    path("<int:project_pk>/images/<int:image_pk>", picture.image, name="image"),
    path("<int:project_pk>/images/<int:image_pk>/objects", picture.objects, name="objects"),
    path("<int:project_pk>/images/<int:image_pk>/edit", picture.edit, name="edit-image"),
    path("<int:project_pk>/imports", moving.imports, name="imports"),
    path("<int:project_pk>/imports/<int:job_pk>", moving.one_import, name="import"),
    path("<int:project_pk>/imports/<int:job_pk>/report", moving.download_report, name="import-report"),
    path("<int:project_pk>/exports", moving.exports, name="exports"),
    path("<int:project_pk>/exports/<int:job_pk>", moving.one_export, name="export"),
    path("<int:project_pk>/exports/<int:job_pk>/file", moving.download_export, name="export-file"),
]
