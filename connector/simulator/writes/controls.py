"""What a test may do to writes; a part of the switchboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from connector.simulator.writes.refusals import Refused

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator

# The permissions of a token that writes need, by the names of Intercom's own list.
SCOPES = ("write_users_companies", "write_tags", "write_events", "write_data_attributes")


class WriteControls:
    """Settings of writes, items that fail, and what was written."""

    simulator: Simulator

    def writing(self, **settings: Any) -> dict[str, Any]:
        """Set how writes behave: any of the settings of `Writing`; others stay. Returns them all.

        `job_delay`, `task_order` (in_order, shuffled), `close_after`, `keep_jobs`, `vanish`,
        `tag_delay`, `archive_delay`, `bulk_size`, `bulk_post` (create, update), `item_cost`,
        `preview`, `company_limit`. Tasks that were taken before keep their times.
        """
        self.simulator.settle()
        writes = self.simulator.writes
        writes.settings = writes.settings.changed(**settings)
        if writes.settings.vanish:
            writes.queue.vanish()
        return asdict(writes.settings)

    def refuse_items(
        self,
        share: float | None = None,
        ids: list[str] | None = None,
        external_ids: list[str] | None = None,
        message: str = "The item was refused",
        status: int = 400,
        code: str = "parameter_invalid",
    ) -> None:
        """Contacts and companies that cannot be written or deleted, in bulk or singly.

        By Intercom's id, by external_id or company_id (of a new contact without one its email), or
        a share of all, always the same ones. Bulk tells only that something failed, a request of
        their own answers with the message.
        """
        kept = frozenset(ids or ()), frozenset(external_ids or ())
        rule = Refused(share or 0.0, *kept, message, status, code)
        self.simulator.writes.refusals.rules.append(rule)

    def accept_items(self) -> None:
        """Forget what `refuse_items` was told."""
        self.simulator.writes.refusals.rules.clear()

    def withhold(self, scopes: list[str] | None = None, status: int = 403) -> None:
        """The token lacks these scopes of writing, or all: 403 or 401 says so.

        They are write_users_companies, write_tags, write_events and write_data_attributes.
        `allow_all` gives them back.
        """
        if unknown := set(scopes or ()) - set(SCOPES):
            raise ValueError(f"no scopes of writing: {', '.join(sorted(unknown))}")
        withheld = dict.fromkeys(SCOPES if scopes is None else scopes, status)
        self.simulator.gate.withheld.update(withheld)

    def jobs(self) -> list[dict[str, Any]]:
        """Every bulk job with its tasks, and what became of each item (`state`, `error`).

        An item is waiting, done, failed or lost; `effects` are what it did, with ids.
        """
        self.simulator.settle()
        return [job.truth() for job in self.simulator.writes.queue.jobs.values()]

    def writes(self) -> list[dict[str, Any]]:
        """Every write request that was carried out, also where its reply was lost.

        Method, path, number of items, job and task if there is one, and the effects so far: what
        was done (created, updated, unchanged, deleted, ...), to which kind and id.
        """
        self.simulator.settle()
        return [entry.as_dict() for entry in self.simulator.writes.log.entries]
