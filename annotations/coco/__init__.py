"""Reading and checking COCO files: bytes -> records or problems. No Django in here."""
