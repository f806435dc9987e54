"""A client of CVAT's REST API, and the guards and conversions around what goes there and comes back.

Pure: no models, no settings of Django's; what it needs is passed in. Start at `client.Client`.
"""
