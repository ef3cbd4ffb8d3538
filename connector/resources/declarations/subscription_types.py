"""Subscription types: the kinds of message that contacts opt in to or out of."""

from connector.resources.readings import Snapshot
from connector.resources.resource import Resource, Table, identifier, json, text

TABLE = Table(
    name="subscription_types",
    comment="Subscription types of the workspace.",
    columns=(
        identifier("id", "Intercom's id of the subscription type"),
        text("state", "live, draft or archived"),
        text("consent_type", "opt_out or opt_in"),
        text("default_translation.name", "Name in the default language"),
        text("default_translation.description", "Description in the default language"),
        text("default_translation.locale", "Code of the default language"),
        json("translations", "Name and description in each language"),
        json("content_types", "Kinds of message it covers: email, sms_message"),
    ),
)

SUBSCRIPTION_TYPES = Resource("subscription_types", TABLE, Snapshot("/subscription_types"))
