"""The way back from CVAT: what was sent, what CVAT has now and what we have now, compared and brought together.

Pure, without Django: `states`, `tracks`, `matching`, `comparing`, `drawing`, `differing`.
"""
