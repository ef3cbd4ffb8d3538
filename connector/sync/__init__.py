"""The loop that joins the two halves: it alone knows both Intercom and the warehouse.

Read ``run`` (which pass each resource is due, and how a run ends), then ``work`` (what every pass
shares), ``store`` (the writing half: one thread, fenced transactions) and the readings. ``plan``
and ``due`` decide, ``pending``, ``contradictions`` and ``deletions`` come after the passes.
"""
