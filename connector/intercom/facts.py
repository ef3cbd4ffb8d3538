"""What is known of Intercom and relied on: a table of facts, and what happens where one is false.

Nobody but a user can ask a live workspace, and Intercom changes. So each sentence that code rests
on stands here once, with what it is known from, which code relies on it, what notices that it is
false in the user's own workspace, and what happens then. ``observations`` counts what was noticed,
``intercom/probes`` asks for each of them on request, ``docs/facts.md`` is made from this.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Surety(Enum):
    """How surely a fact is known."""

    DOCUMENTED = "documented by Intercom"
    RECORDED = "seen in recorded traffic of a workspace"
    REPORTED = "reported by users of other connectors"
    INFERRED = "inferred; nobody has confirmed it"


class Fact(Struct, frozen=True):
    """One sentence about Intercom that code relies on.

    ``relied_on_by`` are modules below ``connector/``. ``guard`` says what a run notices it by, or
    why nobody can; ``then`` what happens where it is false. ``is_noticed``: runs count it.
    ``makes_full_passes_due``: what was read while it was taken to be true is read again.
    ``leaves_rows_out``: there is no other way to what is missing then, so runs go on failing.
    """

    id: str
    sentence: str
    known_from: str
    surety: Surety
    relied_on_by: tuple[str, ...]
    guard: str
    then: str
    is_noticed: bool = True
    makes_full_passes_due: bool = False
    leaves_rows_out: bool = False


SEARCH_BY_DAY = Fact(
    "search-by-day",
    "On stable API versions a search of contacts compares times by days of the workspace's"
    " timezone: `>` begins with the day after, `<` ends before the day.",
    "Description of POST /contacts/search, 2.16",
    Surety.DOCUMENTED,
    ("intercom/paging/search.py", "sync/planning/plan.py"),
    "The newest contact of the pass before is asked for with the changes, and must be listed.",
    "If times are compared by the second nothing is missed: searches begin two days early. If a"
    " search leaves out what it must show, the run says so and the next one reads everything.",
    makes_full_passes_due=True,
)
SEARCH_BY_SECOND = Fact(
    "search-by-second",
    "Searches of conversations and tickets, and of contacts on Preview, compare times by the"
    " second.",
    "Description of POST /contacts/search, Preview; other connectors for conversations and tickets",
    Surety.REPORTED,
    ("intercom/paging/search.py", "sync/planning/plan.py"),
    "The newest object of the pass before is asked for with the changes, and must be listed; a"
    " full pass that lists fewer than Intercom counts reads once more across the edges of its"
    " partitions.",
    "Searches go by whole days from then on, and everything is read again.",
    makes_full_passes_due=True,
)
SEARCH_SORTED = Fact(
    "search-sorted",
    "A search of conversations, tickets or contacts can be sorted by created_at and by"
    " updated_at, in both directions.",
    "Guide to pagination; other connectors",
    Surety.REPORTED,
    ("sync/planning/plan.py", "sync/readings/search_changes.py", "sync/readings/search_full.py"),
    "Each page of a search for changes is compared with the one before.",
    "Reading does not stop early, but goes to the end of the search. What moves meanwhile is"
    " shown by the next run, which reads from when this one began.",
)
SEARCH_COUNTS = Fact(
    "search-counts",
    "total_count is how many records a search shows, and its pages leave out none of them.",
    "Guide to pagination",
    Surety.DOCUMENTED,
    ("sync/readings/search_full.py", "sync/readings/members.py"),
    "What a full pass lists, and after it the living rows and what is pending, are counted against"
    " total_count, and so are the members of each segment: three fewer, and one in a hundred,"
    " contradict it. What a search for changes lists is counted too, in one reply exactly.",
    "The edges of all partitions are read again, and the segment. What is missing then is said, and"
    " nobody can say which records those are; the segment is pending.",
    leaves_rows_out=True,
)
EMBEDDED_LISTS = Fact(
    "embedded-lists",
    "A contact embeds the first elements of its tags, companies and subscriptions, and has_more"
    " tells whether there are others.",
    "Description of the contact, 2.16; recorded traffic",
    Surety.DOCUMENTED,
    ("resources/lists.py", "sync/fetch_by_id.py"),
    "Of the contacts that a run reads, the complete lists of up to 20 that embed most are compared"
    " with what they embed. A list whose total_count is more than it holds counts as cut, whatever"
    " its has_more is.",
    "The complete lists of all contacts are asked for from then on, and everything is read again.",
    makes_full_passes_due=True,
)
SUBSCRIPTIONS_EMBEDDED = Fact(
    "subscriptions-embedded",
    "A contact embeds the subscription types that it opted in to and out of; together they are what"
    " GET /contacts/{id}/subscriptions lists.",
    "35 contacts in recorded traffic; examples of GET /contacts/{id}, 2.16",
    Surety.RECORDED,
    ("resources/declarations/contacts.py", "sync/readings/per_contact.py"),
    "A contact that does not embed both, each time one is read; the lists of 50 contacts that embed"
    " none in a first load, and of 5 in each run, are compared with what they embed.",
    "Of contacts that do not embed them the list is asked for, and again within"
    " CONNECTOR_EVENTS_SWEEP_DAYS; where it lists more than is embedded, with each record from then"
    " on, and everything is read again.",
    makes_full_passes_due=True,
)

WHOLE_LISTS = Fact(
    "whole-lists",
    "Tags, segments, admins, teams, attributes, subscription types, ticket types and states, and"
    " the lists of one contact come whole in one reply.",
    "Their descriptions, 2.16, which have no paging",
    Surety.DOCUMENTED,
    ("intercom/paging/styles.py", "sync/readings/lists.py"),
    "A reply that names a next page, or counts more than it holds.",
    "The next pages are read. Where a list holds fewer than it counts nothing is marked deleted,"
    " and the resource fails.",
)
PARTS_SHOWN = Fact(
    "parts-shown",
    "A conversation or ticket shows its 500 newest parts.",
    "Description of GET /conversations/{id}, 2.16",
    Surety.DOCUMENTED,
    ("resources/declarations/conversations.py", "resources/declarations/tickets.py"),
    "One that shows fewer parts than it counts, though it shows fewer than 500.",
    "parts_truncated is true for it: its oldest parts cannot be read by anybody. What was stored"
    " before stays.",
)
PARTS_COUNTED = Fact(
    "parts-counted",
    "statistics.count_conversation_parts counts the parts of a conversation and its first message.",
    "Six conversations in recorded traffic",
    Surety.RECORDED,
    ("warehouse/reports/completeness.py",),
    "A conversation that counts more than it shows and says that it shows all.",
    "The figure of incomplete conversations means nothing then; what was shown is stored.",
)
CREATED_AT_FIXED = Fact(
    "created-at-fixed",
    "created_at of an object never changes.",
    "No description of any call that changes it",
    Surety.INFERRED,
    ("sync/readings/search_full.py", "sync/planning/plan.py"),
    "What a pass lists is compared with what is stored.",
    "The new value is stored. An object that moved between two partitions of a pass may have been"
    " read by neither, so everything is read again.",
    makes_full_passes_due=True,
)
ABSENT_IS_GONE = Fact(
    "absent-is-gone",
    "What GET by id answers 404 to does not exist any more.",
    "Error codes; other connectors",
    Surety.DOCUMENTED,
    ("sync/readings/by_id.py", "sync/confirm_deletions.py"),
    "A search for the ids of what was not found, together with some that are known to live.",
    "What is shown all the same is pending and not deleted, and the run names it.",
)
MERGED_IS_TOLD = Fact(
    "merged-is-told",
    "From 2.16 on GET of a contact that was merged answers 410 with a link to the surviving one.",
    "Description of GET /contacts/{id}, 2.16",
    Surety.DOCUMENTED,
    ("intercom/responses.py", "sync/readings/by_id.py"),
    "An answer of 410 without a link.",
    "The contact is marked deleted; into which one it was merged is known only if the activity"
    " feed or the surviving contact's merge history tells.",
)
BY_ID_IS_CURRENT = Fact(
    "by-id-is-current",
    "GET by id shows at least what a search announced before.",
    "Recorded traffic, one case",
    Surety.RECORDED,
    ("sync/readings/by_id.py",),
    "A copy that is older than announced, still so when it is read again after the index lag.",
    "The copy is stored if it is newer than the row, and the object stays pending until it is"
    " current.",
)
DELETIONS_FED = Fact(
    "deletions-fed",
    "GET /conversations/deleted lists each deleted conversation, the newest first.",
    "Description, 2.16",
    Surety.DOCUMENTED,
    ("sync/readings/feeds.py",),
    "What the feed does not tell between two full passes nobody can notice; a full pass omits the"
    " conversation, asks for it by id and marks it.",
    "Deleted conversations are marked by full passes, so up to CONNECTOR_FULL_PASS_DAYS later.",
    is_noticed=False,
)
CONTACT_ACTIVITIES = Fact(
    "contact-activities",
    "GET /contacts/activities of Preview tells of each deletion and merge of a contact, the"
    " oldest first.",
    "Description, Preview",
    Surety.DOCUMENTED,
    ("sync/readings/feeds.py",),
    "What the feed does not tell between two full passes nobody can notice; a full pass omits the"
    " contact, asks for it by id and marks it.",
    "Deleted and merged contacts are marked by full passes, so up to CONNECTOR_FULL_PASS_DAYS"
    " later.",
    is_noticed=False,
)
UPDATED_AT_MOVES = Fact(
    "updated-at-moves",
    "A change of an object moves its updated_at; of contacts not that of notes, segments and"
    " subscriptions.",
    "Recorded traffic for parts, replies and merges; not known for tags and companies of contacts",
    Surety.INFERRED,
    ("sync/readings/search_changes.py",),
    "What moves nothing nobody can notice between two full passes.",
    "Full passes read everything whatever its updated_at, so up to CONNECTOR_FULL_PASS_DAYS later.",
    is_noticed=False,
)
INDEX_LAG = Fact(
    "index-lag",
    "Searches show a change within ten minutes.",
    "Description of POST /contacts/search; 30 to 101 seconds in recorded traffic",
    Surety.RECORDED,
    ("sync/writing/writer.py", "sync/resource_pass.py"),
    "Three changes and more that the pass before should have shown, and that only this one's"
    " lookback shows: fewer can have been archived meanwhile.",
    "It is stored now. What comes later than CONNECTOR_LOOKBACK is found by the next full pass,"
    " so everything is read again; set CONNECTOR_LOOKBACK higher.",
    makes_full_passes_due=True,
)
NOTES_COUNTED = Fact(
    "notes-counted",
    "notes.total_count of a contact is how many notes GET /contacts/{id}/notes shows.",
    "Recorded traffic, one contact",
    Surety.RECORDED,
    ("sync/readings/per_contact.py",),
    "A list that is shorter than counted each time it is read, six times in some weeks.",
    "The list is believed, and read again only in its turn.",
)
MERGE_HISTORY = Fact(
    "merge-history",
    "include_merge_history=true adds the merges of a contact to whatever shows it.",
    "Description, 2.16",
    Surety.DOCUMENTED,
    ("resources/declarations/contacts.py",),
    "Nobody can tell a contact without merges from one whose merges are kept back.",
    "The activity feed and answers of 410 tell the same.",
    is_noticed=False,
)
ROLES = Fact(
    "roles",
    "Each contact that searches show is a lead or a user.",
    "Description of POST /contacts/search, 2.16",
    Surety.DOCUMENTED,
    ("resources/declarations/contacts.py",),
    "Runs ask for leads and for users alone, so they do not see others; `check --facts` counts"
    " all.",
    "Contacts of another role are stored only where something refers to them.",
    is_noticed=False,
)
SCROLL = Fact(
    "scroll",
    "The scroll shows every company that has users; it lives for a minute between two pages, and"
    " there is one in a workspace.",
    "Description of GET /companies/scroll; other connectors",
    Surety.DOCUMENTED,
    ("intercom/paging/scroll.py", "sync/readings/lists.py"),
    "A scroll that is refused or breaks off is begun again, then the list is read. What neither"
    " shows, though it is known, is asked for by id.",
    "The rows are the same.",
    is_noticed=False,
)
EVENTS_KEPT = Fact(
    "events-kept",
    "GET /events shows the events of a contact in the last 90 days, the newest first.",
    "Description, 2.16",
    Surety.DOCUMENTED,
    ("sync/readings/per_contact.py", "intercom/paging/list_gaps.py"),
    "An event that is not shown looks like one that never was.",
    "Events are never marked deleted, whatever a list omits.",
    is_noticed=False,
)
RATE_LIMIT = Fact(
    "rate-limit",
    "Requests are counted in windows of ten seconds by Intercom's clock, and headers tell the"
    " limit and what is left.",
    "Guide to rate limits; recorded traffic",
    Surety.RECORDED,
    ("intercom/budget/windows.py",),
    "A 429 is waited out, and teaches the budget where windows begin.",
    "The run is slower; no row depends on it.",
    is_noticed=False,
)
DATE_HEADER = Fact(
    "date-header",
    "The Date of each reply is Intercom's clock.",
    "HTTP; recorded traffic",
    Surety.RECORDED,
    ("intercom/clock.py",),
    "Replies of several front ends and what records say are compared; cursors go by the earliest.",
    "More is read again than need be, times of deletions may be too early, and the run says so.",
    is_noticed=False,
)

FACTS = (
    SEARCH_BY_DAY,
    SEARCH_BY_SECOND,
    SEARCH_SORTED,
    SEARCH_COUNTS,
    EMBEDDED_LISTS,
    SUBSCRIPTIONS_EMBEDDED,
    WHOLE_LISTS,
    PARTS_SHOWN,
    PARTS_COUNTED,
    CREATED_AT_FIXED,
    ABSENT_IS_GONE,
    MERGED_IS_TOLD,
    BY_ID_IS_CURRENT,
    DELETIONS_FED,
    CONTACT_ACTIVITIES,
    UPDATED_AT_MOVES,
    INDEX_LAG,
    NOTES_COUNTED,
    MERGE_HISTORY,
    ROLES,
    SCROLL,
    EVENTS_KEPT,
    RATE_LIMIT,
    DATE_HEADER,
)
BY_ID = {fact.id: fact for fact in FACTS}
