"""What the story of the API's examples needs: a CVAT, pictures, and an annotator."""

from tests.exports.pulling.conftest import cvat, quick

__all__ = ["cvat", "quick"]
