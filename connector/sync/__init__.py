"""The loop that joins the two halves: it alone knows both Intercom and the warehouse.

Read ``run`` (what happens in which order), then ``passes`` (which pass a resource is due),
``resource_pass`` (what every pass shares), ``readings`` (the ways of reading) and ``writing`` (what
becomes of what was read). ``planning`` decides, ``pending`` and ``confirm_deletions``
come after the passes; ``tenure`` takes the schema over, ``steps`` keeps the accounts.
"""
