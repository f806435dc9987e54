"""Exports, the connection to CVAT, and what exports made there."""

from exports.models.connections import CvatConnection, CvatProject, OfProjectQuerySet
from exports.models.cvat import CvatImage, CvatJob, CvatTask, with_steps
from exports.models.jobs import ExportJob
from exports.pulling.models import CvatDifference, CvatKnown, CvatPull, CvatRemark

__all__ = [
    "CvatConnection",
    "CvatDifference",
    "CvatImage",
    "CvatJob",
    "CvatKnown",
    "CvatProject",
    "CvatPull",
    "CvatRemark",
    "CvatTask",
    "ExportJob",
    "OfProjectQuerySet",
    "with_steps",
]
