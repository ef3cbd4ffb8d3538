"""What Intercom makes of a write: checked, refused, or carried out, at once or by a job.

Knows no request and no endpoint; every change is made by the controls that tests use as well. Read
``hub`` first, which holds the rest together. ``settings`` is what a test may choose, ``identities``
finds who has an email or a key, ``values`` and ``attributes`` check what is written, ``contacts``
and ``companies`` write one object, ``associations`` what a bulk item brings along. ``bulk`` has the
jobs. ``refusals`` make chosen items fail, ``log`` remembers what was written, ``controls`` is what
a test may call.
"""
