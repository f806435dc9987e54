"""Figures as tables and pictures: one model of a chart, drawn as SVG and as PNG."""
