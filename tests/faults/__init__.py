"""A running installation whose parts are killed and stalled while it works, and which must not show it afterwards.

`make faults` runs it; docs/reliability.md tells what came of it.
"""
