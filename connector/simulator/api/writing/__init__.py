"""The handlers of writes, one module for each family; each names the scope that it needs.

They read what is asked and answer in Intercom's shapes. What a write does stands in ``writes``.
"""

from connector.simulator.api.writing import (
    attributes,
    bulk,
    companies,
    contacts,
    events,
    notes,
    tags,
)

ROUTES = [
    *contacts.ROUTES,
    *notes.ROUTES,
    *companies.ROUTES,
    *tags.ROUTES,
    *events.ROUTES,
    *attributes.ROUTES,
    *bulk.ROUTES,
]
