"""What must not be kept: fields that are excluded, contacts that are forgotten.

``pinning`` holds a schema to its exclusions, ``cleaning`` takes newly excluded values out of what
is stored, ``erasure`` empties contacts, ``revival`` has read again what was emptied.
"""
