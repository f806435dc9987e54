"""Formats of ours beside Django's, by language."""
