"""Exports to CVAT: frozen, planned, sent in steps that can be taken again, and taken out again if asked."""
