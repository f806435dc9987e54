"""Addresses in CVAT's web interface, for people. Made from configuration: CVAT's `url` fields name the API."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """`web_url` is where people reach CVAT, without a slash at the end."""

    web_url: str

    def project(self, project_id: int) -> str:
        """A project."""
        return f"{self.web_url}/projects/{project_id}"

    def task(self, task_id: int) -> str:
        """A task."""
        return f"{self.web_url}/tasks/{task_id}"

    def job(self, task_id: int, job_id: int, *, frame: int | None = None, shape_id: int | None = None) -> str:
        """A job, on a frame of the task, with a shape selected."""
        link = f"{self.web_url}/tasks/{task_id}/jobs/{job_id}"
        if frame is None:
            return link
        return f"{link}?frame={frame}" + (f"&type=shape&serverID={shape_id}" if shape_id is not None else "")

    def requests(self) -> str:
        """The list of background requests."""
        return f"{self.web_url}/requests"
