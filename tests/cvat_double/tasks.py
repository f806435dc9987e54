"""Tasks and jobs."""

import re
from typing import Any

from tests.cvat_double import hooks, lists
from tests.cvat_double.answers import Answer, as_json, broken, detail, empty, refuse, too_long
from tests.cvat_double.calls import Call, in_context, route
from tests.cvat_double.projects import add_labels, check_assignee, check_labels, check_name, shown_project
from tests.cvat_double.state import Job, Record, State, Task

STAGES = ("annotation", "validation", "acceptance")
STATES = ("new", "in progress", "completed", "rejected")


def shown_task(state: State, task: Task) -> Record:
    """A task as answered; what its data brings is left out before it has any."""
    record = task.record
    base, task_id = state.base, record["id"]
    jobs = state.jobs_of(task_id)
    done = [job for job in jobs if job.record["stage"] == "acceptance" and job.record["state"] == "completed"]
    data: Record = {}
    if task.has_data:
        data = {
            "data_chunk_size": 72 if task.frames else None,
            "data_original_chunk_type": "imageset",
            "data_compressed_chunk_type": "imageset",
            "data_cloud_storage_id": task.bucket,
            "size": len(task.frames),
            "image_quality": record["_quality"],
            "data": task_id,
        }
    shown = {
        "url": f"{base}/api/tasks/{task_id}",
        **record,
        "mode": "annotation" if task.frames else "",
        "status": task_status(jobs),
        **data,
        "jobs": {
            "count": len(jobs),
            "completed": len(done),
            "validation": sum(1 for job in jobs if job.record["stage"] == "validation"),
            "url": f"{base}/api/jobs?task_id={task_id}",
        },
        "labels": {"url": f"{base}/api/labels?task_id={task_id}"},
    }
    return {key: value for key, value in shown.items() if not key.startswith("_")}


def task_status(jobs: list[Job]) -> str:
    """Completed only if every job is accepted and completed."""
    stages = [job.record["stage"] for job in jobs]
    if jobs and all(job_status(job.record) == "completed" for job in jobs):
        return "completed"
    return (
        "validation"
        if "validation" in stages or ("acceptance" in stages and "annotation" not in stages)
        else "annotation"
    )


def job_status(record: Record) -> str:
    """The old field that follows stage and state."""
    if record["stage"] == "annotation":
        return "annotation"
    done = record["stage"] == "acceptance" and record["state"] == "completed"
    return "completed" if done else "validation"


@route("GET", "/tasks")
def list_tasks(call: Call) -> Answer:
    """Tasks of the context."""
    found = [task for task in call.state.tasks.values() if in_context(call, task.record["organization"])]
    return lists.answer("tasks", [shown_task(call.state, task) for task in found], call.query, call.url)


@route("POST", "/tasks")
def create_task(call: Call) -> Answer:
    """A task, without data yet."""
    state, data = call.state, call.json()
    wrong = check_name(data)
    if len(data.get("subset") or "") > 64:
        wrong["subset"] = [too_long(64)]
    if wrong:
        raise refuse(wrong)
    check_labels(data.get("labels", []))
    check_assignee(state, data)
    project_id = data.get("project_id")
    if project_id is not None:
        if data.get("labels"):
            raise refuse(["Task must have only one of Label set or project_id"])
        if project_id not in state.projects:
            raise refuse(["Project matching query does not exist."])
        if state.projects[project_id]["organization"] != call.organization:
            raise refuse(["The task and its project should be in the same organization."])
    task_id = state.next_id("task")
    add_labels(state, data.get("labels", []), {"_task": task_id})
    date = state.date()
    record = {
        "id": task_id,
        "name": data["name"].strip(),
        "project_id": project_id,
        "mode": "",
        "owner": state.person(call.user_id),
        "assignee": state.person(data["assignee_id"]) if data.get("assignee_id") else None,
        "bug_tracker": data.get("bug_tracker", ""),
        "created_date": date,
        "updated_date": state.date(),
        "overlap": data.get("overlap"),
        "segment_size": data.get("segment_size", 0),
        "status": "annotation",
        "guide_id": None,
        "dimension": "2d",
        "subset": data.get("subset", ""),
        "organization_id": call.organization,
        "organization": call.organization,
        "target_storage": None,
        "source_storage": None,
        "assignee_updated_date": None,
        "validation_mode": None,
        "consensus_enabled": False,
        "_quality": 70,
    }
    state.tasks[task_id] = Task(record)
    if project_id is not None:
        state.touch(state.projects[project_id])
        hooks.emit(state, "create:task", project_id, {"task": shown_task(state, state.tasks[task_id])})
        tell_project(state, project_id)
    shown = shown_task(state, state.tasks[task_id])
    return as_json(shown, 201, Location=shown["url"])


def tell_project(state: State, project_id: int | None) -> None:
    """Send update:project."""
    if project_id in state.projects:
        hooks.emit(state, "update:project", project_id, {"project": shown_project(state, state.projects[project_id])})


@route("GET", r"/tasks/(\d+)")
def read_task(call: Call, task_id: int) -> Answer:
    """One task, whatever the context."""
    return as_json(shown_task(call.state, call.state.task(task_id)))


@route("GET", r"/tasks/(\d+)/status")
def old_status(call: Call, task_id: int) -> Answer:
    """The old address of the state of the upload."""
    call.state.task(task_id)
    return as_json({"state": "Finished", "message": "", "progress": 0.0})


@route("PATCH", r"/tasks/(\d+)")
def change_task(call: Call, task_id: int) -> Answer:
    """Name, back-link, subset, assignee."""
    state = call.state
    task, data = state.task(task_id), call.json()
    if set(data) - {"name", "bug_tracker", "subset", "assignee_id", "labels"}:
        raise detail("Attempted to update an unknown field", 403)
    wrong = check_name(data, partial=True)
    if wrong:
        raise refuse(wrong)
    check_assignee(state, data)
    before = {key: task.record[key] for key in data if key in task.record}
    task.record |= {key: data[key] for key in ("name", "bug_tracker", "subset") if key in data}
    state.touch(task.record)
    hooks.emit(state, "update:task", task.record["project_id"], {"task": shown_task(state, task)}, before)
    return as_json(shown_task(state, task))


@route("DELETE", r"/tasks/(\d+)")
def delete_task(call: Call, task_id: int) -> Answer:
    """With its jobs."""
    remove_task(call.state, task_id)
    return empty()


def remove_task(state: State, task_id: int) -> None:
    """Take the task out; its requests stay, and are a 400 from then on."""
    task = state.task(task_id)
    project_id = task.record["project_id"]
    shown = shown_task(state, task)
    for job in state.jobs_of(task_id):
        hooks.emit(state, "delete:job", project_id, {"job": shown_job(state, job)})
        del state.jobs[job.record["id"]]
    del state.tasks[task_id]
    state.labels = {key: label for key, label in state.labels.items() if label.get("_task") != task_id}
    hooks.emit(state, "delete:task", project_id, {"task": shown})
    tell_project(state, project_id)


@route("DELETE", r"/projects/(\d+)")
def delete_project(call: Call, project_id: int) -> Answer:
    """With its tasks, labels and webhooks."""
    state = call.state
    record = state.project(project_id)
    for task in state.tasks_of(project_id):
        remove_task(state, task.record["id"])
    hooks.emit(state, "delete:project", project_id, {"project": shown_project(state, record)})
    del state.projects[project_id]
    state.labels = {key: label for key, label in state.labels.items() if label.get("_project") != project_id}
    state.webhooks = {key: hook for key, hook in state.webhooks.items() if hook["project_id"] != project_id}
    return empty()


# --- Jobs ---


def make_jobs(state: State, task: Task) -> None:
    """Cut the frames into jobs of `segment_size`, which share `overlap` frames."""
    record = task.record
    count = len(task.frames)
    size = record["segment_size"] or count
    record["segment_size"] = size
    # Without an overlap asked for, still images get none.
    record["overlap"] = overlap = min(record["overlap"] or 0, size // 2)
    start = 0
    while start < count:
        stop = min(start + size, count) - 1
        date = state.date()
        job_id = state.next_id("job")
        state.jobs[job_id] = Job(
            {
                "id": job_id,
                "task_id": record["id"],
                "project_id": record["project_id"],
                "assignee": None,
                "assignee_updated_date": None,
                "stage": "annotation",
                "state": "new",
                "start_frame": start,
                "stop_frame": stop,
                "created_date": date,
                "updated_date": state.date(),
                "type": "annotation",
            }
        )
        hooks.emit(state, "create:job", record["project_id"], {"job": shown_job(state, state.jobs[job_id])})
        if stop == count - 1:
            break
        start = stop + 1 - overlap


def shown_job(state: State, job: Job) -> Record:
    """A job as answered."""
    record, base = job.record, state.base
    task = state.tasks[record["task_id"]]
    issues = sum(1 for issue in state.issues.values() if issue["job"] == record["id"])
    return {
        "url": f"{base}/api/jobs/{record['id']}",
        **record,
        "guide_id": None,
        "dimension": "2d",
        "bug_tracker": task.record["bug_tracker"],
        "status": job_status(record),
        "mode": "annotation",
        "frame_count": record["stop_frame"] - record["start_frame"] + 1,
        "data_chunk_size": 72,
        "data_compressed_chunk_type": "imageset",
        "data_original_chunk_type": "imageset",
        "issues": {"url": f"{base}/api/issues?job_id={record['id']}", "count": issues},
        "labels": {"url": f"{base}/api/labels?job_id={record['id']}"},
        "organization": task.record["organization"],
        "target_storage": None,
        "source_storage": None,
        "parent_job_id": None,
        "consensus_replicas": 0,
    }


@route("GET", "/jobs")
def list_jobs(call: Call) -> Answer:
    """All jobs."""
    shown = [shown_job(call.state, job) for job in call.state.jobs.values()]
    return lists.answer("jobs", shown, call.query, call.url)


@route("GET", r"/jobs/(\d+)")
def read_job(call: Call, job_id: int) -> Answer:
    """One job."""
    return as_json(shown_job(call.state, call.state.job(job_id)))


@route("PATCH", r"/jobs/(\d+)")
def change_job(call: Call, job_id: int) -> Answer:
    """State, stage, assignee; a new stage alone resets the state."""
    state = call.state
    job, data = state.job(job_id), call.json()
    if set(data) - {"state", "stage", "assignee"}:
        raise detail("Attempted to update an unknown field", 403)
    for field, known in (("state", STATES), ("stage", STAGES)):
        if field in data and data[field] not in known:
            raise refuse({field: [f'"{data[field]}" is not a valid choice.']})
    check_assignee(state, data, "assignee")
    task = state.tasks[job.record["task_id"]]
    before_status = task_status(state.jobs_of(task.record["id"]))
    before = {"updated_date": job.record["updated_date"], **{key: job.record[key] for key in data}}
    if data.get("stage", job.record["stage"]) != job.record["stage"] and "state" not in data:
        data["state"] = "new"
    if "assignee" in data:
        job.record["assignee"] = state.person(data["assignee"]) if data["assignee"] else None
        job.record["assignee_updated_date"] = state.date()
    job.record |= {key: data[key] for key in ("state", "stage") if key in data}
    state.touch(job.record)
    project_id = job.record["project_id"]
    status = task_status(state.jobs_of(task.record["id"]))
    if status != before_status:
        state.touch(task.record)
        changed: dict[str, Any] = {"status": before_status}
        hooks.emit(state, "update:task", project_id, {"task": shown_task(state, task)}, changed)
    hooks.emit(state, "update:job", project_id, {"job": shown_job(state, job)}, before)
    return as_json(shown_job(state, job))


@route("DELETE", r"/jobs/(\d+)")
def delete_job(call: Call, job_id: int) -> Answer:
    """Not for these."""
    call.state.job(job_id)
    raise refuse(["Only ground truth jobs can be removed"])


# --- Frames ---


def shown_meta(state: State, task: Task, start: int, stop: int) -> Record:
    """data/meta of a task, or of a job's frames."""
    return {
        "chapters": None,
        "chunks_updated_date": task.chunks_date,
        "chunk_size": 72,
        "size": stop - start + 1,
        "image_quality": task.record["_quality"],
        "start_frame": start,
        "stop_frame": stop,
        "frame_filter": "",
        "frames": task.frames[start : stop + 1],
        "deleted_frames": [number for number in task.deleted_frames if start <= number <= stop],
        "included_frames": None,
        "cloud_storage_id": task.bucket,
        "storage": "local" if task.bucket is None else "cloud_storage",
    }


@route("GET", r"/tasks/(\d+)/data/meta")
def task_meta(call: Call, task_id: int) -> Answer:
    """The frames; a 500 before there is data."""
    task = call.state.task(task_id)
    if not task.frames:
        raise broken()
    return as_json(shown_meta(call.state, task, 0, len(task.frames) - 1))


@route("PATCH", r"/tasks/(\d+)/data/meta")
def change_meta(call: Call, task_id: int) -> Answer:
    """Frames taken out and brought back; numbers and shapes stay."""
    state = call.state
    task = state.task(task_id)
    task.deleted_frames = sorted(call.json().get("deleted_frames", task.deleted_frames))
    state.touch(task.record)
    hooks.emit(state, "update:task", task.record["project_id"], {"task": shown_task(state, task)})
    return as_json(shown_meta(state, task, 0, len(task.frames) - 1))


@route("GET", r"/jobs/(\d+)/data/meta")
def job_meta(call: Call, job_id: int) -> Answer:
    """The frames of a job."""
    record = call.state.job(job_id).record
    task = call.state.tasks[record["task_id"]]
    return as_json(shown_meta(call.state, task, record["start_frame"], record["stop_frame"]))


@route("GET", r"/tasks/(\d+)/data")
def frame_bytes(call: Call, task_id: int) -> Answer:
    """One frame as it was uploaded (also for compressed: the double does not compress)."""
    task = call.state.task(task_id)
    number = call.query.get("number", "")
    if not re.fullmatch(r"\d+", number) or int(number) >= len(task.frames):
        words = f"Invalid frame '{number}'. The frame number should be in the [0, {len(task.frames)}] range"
        raise refuse(words)
    kind = "image/png" if task.frames[int(number)]["name"].lower().endswith(".png") else "image/jpeg"
    return Answer(200, task.images[int(number)], {"Content-Type": kind})
