"""A stand-in for CVAT: stateful, over real HTTP, as wrong as the real one where that matters. For tests and the demo.

Built from recorded exchanges; `tests/exports/cvat/test_contract.py` holds it to them.
"""

from tests.cvat_double.server import Double

__all__ = ["Double"]
