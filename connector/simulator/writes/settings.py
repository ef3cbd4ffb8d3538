"""What nobody knows of Intercom's writes, or what may change, and so is to be chosen."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import fields, replace

_ORDERS = ("in_order", "shuffled")
_MEANINGS = ("create", "update")


class Writing(Struct, frozen=True):
    """How writes behave. Times are seconds by the simulator's clock.

    `job_delay` is how long a task waits until it starts, and as long again until it ends, when its
    items take effect all at once. With `task_order` "shuffled" tasks start and end in an order of
    their own. A job takes no more tasks `close_after` seconds after it was made; a job that has
    ended can be asked for `keep_jobs` seconds, None is for ever. With `vanish` jobs cannot be
    found, and what they have not done yet is never done. `tag_delay` is how long after its task an
    item's tags appear, `archive_delay` how long a company that is deleted lives on.

    `bulk_size` is the most items of a request. `bulk_post` "update" is what POST /contacts/bulk
    meant until June 2026. `item_cost` is what each item takes of the rate limit besides the one
    for its request. Without `preview` the workspace has no bulk endpoints. `company_limit` is the
    most companies of one contact.
    """

    job_delay: float = 5.0
    task_order: str = "in_order"
    close_after: float = 900.0
    keep_jobs: float | None = None
    vanish: bool = False
    tag_delay: float = 2.0
    archive_delay: float = 10.0
    bulk_size: int = 100
    bulk_post: str = "create"
    item_cost: int = 0
    preview: bool = True
    company_limit: int = 1000

    def changed(self, **settings: Any) -> Writing:
        """The same but for these; what is no setting, or no value of one, is a ValueError."""
        if unknown := set(settings) - {one.name for one in fields(self)}:
            raise ValueError(f"no settings of writing: {', '.join(sorted(unknown))}")
        chosen = replace(self, **settings)
        if chosen.task_order not in _ORDERS or chosen.bulk_post not in _MEANINGS:
            raise ValueError(f"task_order is one of {_ORDERS}, bulk_post one of {_MEANINGS}")
        return chosen
