"""Predictions of a source against people's annotations, as COCO's evaluation judges them."""
