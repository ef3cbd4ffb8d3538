"""Receives Intercom's notifications; keeps of each only which objects may have changed.

Stands beside ``intercom``: it knows resources, not the warehouse, and asks Intercom nothing. Read
``signature`` (is it Intercom's?), ``notification`` (which objects does it name?), both pure, then
``arrivals`` (many notifications, one transaction, in the thread of a ``worker``) and ``server``
(HTTP), which ``bodies`` and ``connections`` keep within bounds.
"""
